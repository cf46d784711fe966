"""Fine-tune a segmentation model on few labelled slices."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Literal, get_args

import torch
from lightning.pytorch import Callback
from torch import Tensor, nn

from muscletransfer.encoders import EncoderSpec
from muscletransfer.errors import DataError, SettingError
from muscletransfer.finetune.assembly import assemble, assemble_loss, move_weights
from muscletransfer.finetune.callbacks import UnfreezeEncoder, default_callbacks
from muscletransfer.finetune.checks import BatchCheck, batch_value, check_positive
from muscletransfer.finetune.evaluation import predict_batch, score_batch
from muscletransfer.finetune.randomness import seeded
from muscletransfer.finetune.record import FineTuningRecord
from muscletransfer.finetune.scoring import NativeScores
from muscletransfer.metrics.functional import check_option
from muscletransfer.plain import unboxed
from muscletransfer.transfer import freeze as freeze_module
from muscletransfer.transfer import is_restoring, layerwise_groups

__all__ = ["SegmentationFineTuner"]

Transfer = Literal["encoder", "encoder+decoder"]
Freeze = Literal["none", "encoder", "until_epoch"]
Stem = Literal["strict", "adapt"]


class SegmentationFineTuner(FineTuningRecord):
    """A segmentation model fine-tuned from a source task, scored in mm on the native grid.

    Batches are dicts as `LowDataModule` gives them: ``image`` float32 (B, C, H, W), ``mask`` int64
    (B, H, W) with 255 for pixels without a label, ``case`` int64 (B,); to validate, test and
    predict also lists of ``native_mask``, ``native_hu`` and ``geometry``. Without a geometry the
    scores are on the network's grid, in pixels.

    Logged: ``train_loss``, ``val_loss``, ``val_dice`` (mean over cases; with several classes over
    the foreground classes of each case, and each class as ``val_dice_<name>``),
    ``val_dta_rms_mm`` (``val_dta_rms_px`` where the spacing is unknown), ``val_n_failed`` (cases
    with an empty prediction, or a missed class: Dice 0, no distance); the same with ``test_``.

    .. versionadded:: 0.1

    Args:
        encoder: A name (`muscletransfer.list_encoders`), an `EncoderSpec` or a module.
        decoder: A name (`muscletransfer.decoders.list_decoders`).
        num_classes: 1 for one structure (sigmoid; mask values 0 and 1); K for background and K-1
            structures (softmax; mask values 0 to K-1).
        in_channels: Image channels.
        depth: Halvings of the image in the encoder, 1 to 5.
        weights: What the encoder starts from: ``None`` (random), a source
            (`muscletransfer.list_weights`), a ``.safetensors`` or ``.ckpt`` file,
            ``"hf-hub:org/name"``.
        transfer: ``"encoder"``, or ``"encoder+decoder"`` where the source task trained a decoder.
        stem: ``"strict"`` refuses weights for another number of image channels, ``"adapt"`` fits
            the first convolution.
        loss: A name (`muscletransfer.losses.list_losses`), the path of a class, or a module.
        loss_kwargs: Arguments of a named loss.
        lr: Peak learning rate of decoder and head.
        encoder_lr_decay: Factor from the decoder to the encoder's deepest stage, and from each
            stage to the one before it, in (0, 1]; 1 trains all with ``lr``.
        weight_decay: Of AdamW, on kernels only.
        warmup_steps: Optimiser steps of linear warm-up; a cosine to 0 follows.
        freeze: ``"encoder"`` never trains the encoder, ``"until_epoch"`` not before
            ``unfreeze_epoch``; norm statistics stay as they came meanwhile.
        unfreeze_epoch: See ``freeze``; counted from 0.
        class_names: Names of the foreground classes in logs and tables.
        encoder_kwargs: Further arguments of an encoder given by name.
        decoder_kwargs: Further arguments of the decoder.
        channels_last: Memory layout of images and weights; the faster one for convolutions.
        seed: Of random weights and dropout; ``None`` takes the global random state.
        metrics: Metrics of your own by name, each a path, a path with arguments or an object, see
            `muscletransfer.finetune.OwnMetrics`; logged as ``val_<name>``, and in `case_table`.

    Raises:
        UnknownNameError: An unknown encoder, decoder, loss, weight source or option.
        SettingError: A number that cannot work.
        TransferError: The weights do not fit, or hold no decoder when one is asked for.

    Example:
        >>> model = SegmentationFineTuner("timm/resnet18", "unet", seed=1)
        >>> model(torch.zeros(2, 1, 64, 64)).shape
        torch.Size([2, 1, 64, 64])
        >>> model.transfer_report.source
        'random'
    """

    def __init__(
        self,
        encoder: str | EncoderSpec | dict[str, Any] | nn.Module = "timm/resnet18",
        decoder: str = "unet",
        num_classes: int = 1,
        in_channels: int = 1,
        depth: int = 5,
        weights: str | Path | None = None,
        transfer: Transfer = "encoder",
        stem: Stem = "strict",
        loss: str | nn.Module = "bce_dice",
        loss_kwargs: dict[str, Any] | None = None,
        lr: float = 1e-3,
        encoder_lr_decay: float = 1.0,
        weight_decay: float = 0.01,
        warmup_steps: int = 50,
        freeze: Freeze = "none",
        unfreeze_epoch: int = 1,
        class_names: list[str] | None = None,
        encoder_kwargs: dict[str, Any] | None = None,
        decoder_kwargs: dict[str, Any] | None = None,
        channels_last: bool = True,
        seed: int | None = 0,
        metrics: dict[str, str | dict[str, Any] | Callable[..., Any]] | None = None,
    ) -> None:
        settings = {k: v for k, v in locals().items() if k not in ("self", "__class__")}
        super().__init__()
        numbers = num_classes, in_channels, depth, warmup_steps, seed, unfreeze_epoch
        num_classes, in_channels, depth, warmup_steps, seed, unfreeze_epoch = unboxed(numbers)
        lr, encoder_lr_decay, weight_decay = unboxed((lr, encoder_lr_decay, weight_decay))
        _check_settings(num_classes, encoder_lr_decay, lr, weight_decay, warmup_steps, seed)
        check_option("transfer", transfer, get_args(Transfer))
        check_option("stem", stem, get_args(Stem))
        check_option("freeze", freeze, get_args(Freeze))
        self.num_classes, self.channels_last, self.seed = num_classes, channels_last, seed
        self.lr, self.encoder_lr_decay = lr, encoder_lr_decay
        self.weight_decay, self.warmup_steps = weight_decay, warmup_steps
        self.unfreezing = UnfreezeEncoder(unfreeze_epoch) if freeze == "until_epoch" else None
        self._stays_frozen = freeze == "encoder"
        self.model = assemble(
            encoder, decoder, num_classes, in_channels, depth, encoder_kwargs, decoder_kwargs, seed
        )
        self.loss = assemble_loss(loss, num_classes, loss_kwargs)
        self.val_scores = NativeScores(num_classes, class_names, metrics)
        self.test_scores = NativeScores(num_classes, class_names, metrics)
        self.record(settings)
        wanted = None if is_restoring() else weights
        self.transfer_report = move_weights(self.model, wanted, transfer, stem)
        if channels_last:
            self.model.to(memory_format=torch.channels_last)
        if self.unfreezing is not None:
            self.unfreezing.note(self.model.encoder)
        if freeze != "none":
            freeze_module(self.model.encoder)
        self._check = BatchCheck(num_classes)
        self._cases: list[dict[str, Any]] | None = None

    @staticmethod
    def default_callbacks() -> list[Callback]:
        """Return the callbacks that a run should have: best and last checkpoint."""
        return default_callbacks()

    def forward(self, images: Tensor) -> Tensor:
        """Return logits (B, K, H, W) of images (B, C, H, W).

        Raises:
            ChannelMismatchError: The images have another number of channels than the encoder.
            ImageSizeError: The encoder cannot take their height or width.
        """
        if self.channels_last and images.ndim == 4:
            images = images.contiguous(memory_format=torch.channels_last)
        logits: Tensor = self.model(images)
        return logits

    def training_step(self, batch: Mapping[str, Any], batch_idx: int) -> Tensor:
        """Return the loss of a batch; logged as ``train_loss``."""
        images, masks = batch_value(batch, "image"), batch_value(batch, "mask")
        self._check.masks(masks, batch.get("case"))
        with self._step_stream(batch_idx):
            logits = self(images)
        loss: Tensor = self.loss(logits, masks)
        where = f"step {self.global_step} (epoch {self.current_epoch})"
        self._check.loss(loss, images, batch.get("case"), where)
        # On the step only, and not in the progress bar: both would wait for the device each step.
        self.log("train_loss", loss, batch_size=len(images))
        return loss

    def on_train_epoch_end(self) -> None:
        """Look at the checks whose outcome an accelerator still holds."""
        self._check.flush()

    def on_validation_epoch_start(self) -> None:
        """Forget the cases of a validation that did not end."""
        self.val_scores.reset()

    def on_test_epoch_start(self) -> None:
        """Forget the cases of a test that did not end."""
        self.test_scores.reset()

    def validation_step(self, batch: Mapping[str, Any], batch_idx: int) -> None:
        """Score a batch on the native grid."""
        self._score(self.val_scores, batch)

    def test_step(self, batch: Mapping[str, Any], batch_idx: int) -> None:
        """Score a batch on the native grid."""
        self._score(self.test_scores, batch)

    def predict_step(self, batch: Mapping[str, Any], batch_idx: int) -> list[dict[str, Any]]:
        """Predict a batch on the native grid.

        Returns:
            One dict a case: ``case`` (row number in the manifest), ``mask`` uint8 (H, W),
            ``probability`` float16 (H, W) and ``max_probability``, on the CPU.
        """
        logits = self(batch_value(batch, "image"))
        return predict_batch(logits, batch, self.data_preprocessing)

    def on_validation_epoch_end(self) -> None:
        """Log ``val_*`` over the cases of all processes."""
        self._log_scores("val", self.val_scores)

    def on_test_epoch_end(self) -> None:
        """Log ``test_*`` over the cases of all processes."""
        self._log_scores("test", self.test_scores)

    def case_table(self) -> list[dict[str, Any]]:
        """Return one row a case of the last validation or test, of all processes.

        Returns:
            Rows with ``case`` (row number in the manifest), ``loss``, ``dice``, ``dta_rms_mm`` or
            ``dta_rms_px``, ``failed``, ``area_cm2`` and ``reference_area_cm2`` where the spacing is
            known, and on CT ``sma_cm2``, ``smd_hu`` and the same of the reference. With several
            classes, the figures of each class as well.

        Raises:
            DataError: Nothing was scored yet.
        """
        if self._cases is None:
            raise DataError(
                "no case was scored yet; call trainer.validate(model, datamodule) or "
                "trainer.test(model, datamodule) first."
            )
        return [dict(row) for row in self._cases]

    def parameter_groups(self) -> list[dict[str, Any]]:
        """Return the parameters with layer-wise rates; norms and biases do not decay."""
        others = [self.model.decoder, self.model.head, self.loss]
        rates = self.lr, self.encoder_lr_decay
        return layerwise_groups(self.model.encoder, others, *rates, self._stage_of)

    def configure_callbacks(self) -> list[Callback]:
        """Bring the callback that ``freeze="until_epoch"`` needs."""
        return [] if self.unfreezing is None else [self.unfreezing]

    def on_train_start(self) -> None:
        """Freeze again: converting to synchronised batch norm makes new modules."""
        if self._stays_frozen:
            freeze_module(self.model.encoder)

    def _step_stream(self, batch_idx: int) -> contextlib.AbstractContextManager[None]:
        """Random numbers of one step (dropout), the same in a run that was resumed."""
        if self.seed is None:
            return contextlib.nullcontext()
        return seeded(
            self.seed, self.current_epoch, batch_idx, self.global_rank, device=self.device
        )

    def _score(self, scores: NativeScores, batch: Mapping[str, Any]) -> None:
        images, masks = batch_value(batch, "image"), batch_value(batch, "mask")
        self._check.masks(masks, batch.get("case"))
        self._check.flush()
        logits = self(images)
        # One loss a case, so that the mean over cases is exact on any number of processes.
        pairs = zip(logits.split(1), masks.split(1), strict=True)
        losses = torch.stack([self.loss(*pair) for pair in pairs]).tolist()
        self._check.scored(losses, images, batch.get("case"))
        score_batch(scores, logits, losses, batch, self.data_preprocessing)

    def _log_scores(self, stage: str, scores: NativeScores) -> None:
        self._cases = scores.table()
        for name, value in scores.summary(self._cases).items():
            bar = name in ("dice", "loss")
            self.log(f"{stage}_{name}", value, prog_bar=bar, sync_dist=True)


def _check_settings(
    num_classes: int,
    encoder_lr_decay: float,
    lr: float,
    weight_decay: float,
    warmup_steps: int,
    seed: int | None,
) -> None:
    if not isinstance(num_classes, int) or num_classes < 1:
        raise SettingError(
            f"num_classes is {num_classes!r}; wanted 1 for one structure, or the number of "
            "structures plus one (the background is class 0)."
        )
    check_positive("encoder_lr_decay", encoder_lr_decay)
    if encoder_lr_decay > 1:
        raise SettingError(
            f"encoder_lr_decay is {encoder_lr_decay}; wanted at most 1 (which trains encoder and "
            "decoder at the same rate)."
        )
    check_positive("lr", lr)
    check_positive("weight_decay", weight_decay, zero=True)
    check_positive("warmup_steps", warmup_steps, zero=True)
    if seed is not None:
        check_positive("seed", seed, zero=True)
