"""Fine-tune a segmentation model on few labelled slices."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal, Self, get_args

import torch
from lightning.pytorch import Callback, LightningModule
from lightning.pytorch.utilities.types import OptimizerLRSchedulerConfig
from torch import Tensor, nn

from muscletransfer.data.preprocessing import PreprocessingSpec
from muscletransfer.encoders import EncoderSpec
from muscletransfer.errors import DataError, SettingError
from muscletransfer.finetune.assembly import (
    assemble,
    assemble_loss,
    encoder_name,
    move_weights,
)
from muscletransfer.finetune.callbacks import UnfreezeEncoder, default_callbacks
from muscletransfer.finetune.checks import MaskCheck, batch_value, check_positive
from muscletransfer.finetune.evaluation import predict_batch, score_batch
from muscletransfer.finetune.randomness import seeded
from muscletransfer.finetune.scoring import NativeScores, summarise
from muscletransfer.metrics.functional import check_option
from muscletransfer.schedule import planned_steps, warmup_cosine
from muscletransfer.transfer import (
    CHECKPOINT_KEY,
    Provenance,
    TransferReport,
    checkpoint_block,
    checkpoint_provenance,
    describe_run,
    is_restoring,
    layerwise_groups,
    rehearse,
    restoring,
    warn_preprocessing_mismatch,
)
from muscletransfer.transfer import freeze as freeze_module
from muscletransfer.transfer.to_plain import to_plain

__all__ = ["SegmentationFineTuner"]

Transfer = Literal["encoder", "encoder+decoder"]
Freeze = Literal["none", "encoder", "until_epoch"]
Stem = Literal["strict", "adapt"]


class SegmentationFineTuner(LightningModule):
    """A segmentation model fine-tuned from a source task, scored in mm on the native grid.

    Batches are dicts as `LowDataModule` gives them: ``image`` float32 (B, C, H, W), ``mask`` int64
    (B, H, W) with 255 for pixels without a label, ``case`` int64 (B,); to validate, test and
    predict also lists of ``native_mask``, ``native_hu`` and ``geometry``. Without a geometry the
    scores are on the network's grid, in pixels.

    Logged: ``train_loss``, ``val_loss``, ``val_dice`` (mean over cases; with several classes over
    the foreground classes of each case, and each class as ``val_dice_<name>``),
    ``val_dta_rms_mm`` (``val_dta_rms_px`` where the spacing is unknown), ``val_n_failed`` (cases
    with an empty prediction, or a missed class: Dice 0, no distance); the same with ``test_``.

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
    ) -> None:
        super().__init__()
        _check_settings(num_classes, encoder_lr_decay, lr, weight_decay, warmup_steps)
        check_option("transfer", transfer, get_args(Transfer))
        check_option("stem", stem, get_args(Stem))
        check_option("freeze", freeze, get_args(Freeze))
        self.unfreezing = UnfreezeEncoder(unfreeze_epoch) if freeze == "until_epoch" else None
        self.model = assemble(
            encoder, decoder, num_classes, in_channels, depth, encoder_kwargs, decoder_kwargs, seed
        )
        self.loss = assemble_loss(loss, num_classes, loss_kwargs)
        self.val_scores = NativeScores(num_classes, class_names)
        self.test_scores = NativeScores(num_classes, class_names)
        # Modules are recorded by what rebuilds them: a checkpoint holds plain types only.
        self.save_hyperparameters(ignore=["encoder", "loss"])
        named = {"encoder": encoder_name(encoder, self.model), "loss": loss}
        self.save_hyperparameters(to_plain({**self.hparams, **named}))
        self.transfer_report = (
            TransferReport(source="random")
            if is_restoring()
            else move_weights(self.model, weights, transfer, stem)
        )
        if channels_last:
            self.model.to(memory_format=torch.channels_last)
        if freeze != "none":
            freeze_module(self.model.encoder)
        self._check_masks = MaskCheck(num_classes)
        self._cases: list[dict[str, Any]] | None = None
        self._preprocessing: PreprocessingSpec | None = None
        self._data: dict[str, Any] | None = None
        self._restored: Provenance | None = None

    @classmethod
    def load_from_checkpoint(
        cls,
        checkpoint_path: Any,
        map_location: Any = None,
        hparams_file: Any = None,
        strict: bool | None = None,
        weights_only: bool | None = True,
        **kwargs: Any,
    ) -> Self:
        """Rebuild a model from its checkpoint alone.

        Neither the file it was pre-trained from nor the network is needed, and nothing in the file
        is run.

        Args:
            checkpoint_path: The file.
            map_location: See `torch.load`.
            hparams_file: See Lightning.
            strict: See Lightning.
            weights_only: Leave at True: the checkpoints hold tensors and plain types only.
            kwargs: Arguments that replace those in the file. An encoder or loss that was given as
                a module has to be given again.

        Returns:
            The model, on the device of ``map_location`` (default: where it was saved from).
        """
        with restoring():
            return super().load_from_checkpoint(
                checkpoint_path, map_location, hparams_file, strict, weights_only, **kwargs
            )

    @staticmethod
    def default_callbacks() -> list[Callback]:
        """Return the callbacks that a run should have: best and last checkpoint."""
        return default_callbacks()

    @property
    def preprocessing(self) -> PreprocessingSpec | None:
        """How images have to be prepared: of the data module, or as the checkpoint says."""
        if self._preprocessing is None and self._restored and self._restored.preprocessing:
            return PreprocessingSpec.from_dict(self._restored.preprocessing)
        return self._preprocessing

    def forward(self, images: Tensor) -> Tensor:
        """Return logits (B, K, H, W) of images (B, C, H, W).

        Raises:
            ChannelMismatchError: The images have another number of channels than the encoder.
            ImageSizeError: The encoder cannot take their height or width.
        """
        if self.hparams["channels_last"]:
            images = images.contiguous(memory_format=torch.channels_last)
        logits: Tensor = self.model(images)
        return logits

    def training_step(self, batch: Mapping[str, Any], batch_idx: int) -> Tensor:
        """Return the loss of a batch; logged as ``train_loss``."""
        images, masks = batch_value(batch, "image"), batch_value(batch, "mask")
        self._check_masks(masks, batch.get("case"))
        with self._step_stream(batch_idx):
            logits = self(images)
        loss: Tensor = self.loss(logits, masks)
        # On the step only, and not in the progress bar: both would wait for the device each step.
        self.log("train_loss", loss, batch_size=len(images))
        return loss

    def on_train_epoch_end(self) -> None:
        """Look at the mask values that an accelerator still holds."""
        self._check_masks.flush()

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
        return predict_batch(logits, batch, self.preprocessing)

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

    def configure_optimizers(self) -> OptimizerLRSchedulerConfig:
        """Return AdamW with layer-wise rates, under a warm-up and a cosine."""
        rate, decay = self.hparams["lr"], self.hparams["encoder_lr_decay"]
        trained = [self.model.decoder, self.model.head, self.loss]
        groups = layerwise_groups(self.model.encoder, trained, rate, decay)
        optimizer = torch.optim.AdamW(groups, rate, weight_decay=self.hparams["weight_decay"])
        steps = planned_steps(self.trainer)
        scheduler = warmup_cosine(optimizer, steps, self.hparams["warmup_steps"])
        return {
            "optimizer": optimizer,
            "lr_scheduler": {"scheduler": scheduler, "interval": "step"},
        }

    def configure_callbacks(self) -> list[Callback]:
        """Bring the callback that ``freeze="until_epoch"`` needs."""
        return [] if self.unfreezing is None else [self.unfreezing]

    def setup(self, stage: str) -> None:
        """Take preprocessing and description of the data module; warn where they differ."""
        source: Any = getattr(self.trainer, "datamodule", None)
        before = self._restored if stage != "fit" else self._parent()
        if isinstance(spec := getattr(source, "preprocessing", None), PreprocessingSpec):
            self._preprocessing = spec
            if self.trainer.is_global_zero:
                warn_preprocessing_mismatch(before, spec.to_dict())
        if stage == "fit":
            self._data = source.describe() if hasattr(source, "describe") else {}

    def on_fit_start(self) -> None:
        """Rehearse the transfer: what no checkpoint could hand on fails in the first second."""
        rehearse(self.model.encoder, self.model.decoder)

    def on_train_start(self) -> None:
        """Freeze again: converting to synchronised batch norm makes new modules."""
        if self.hparams["freeze"] == "encoder":
            freeze_module(self.model.encoder)

    def provenance(self) -> Provenance:
        """Return the record of this run, with the records of what it started from."""
        return describe_run(
            task="segmentation-finetuning",
            hyperparameters=self.hparams,
            data=self._data,
            seed=self.hparams["seed"],
            parent=self._parent(),
            stem=self.transfer_report.stem if self.transfer_report.provenance else None,
            restored=self._restored,
        )

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Add the block that says what the weights are and how to rebuild them."""
        checkpoint[CHECKPOINT_KEY] = {
            **checkpoint_block(
                self, self.provenance(), encoder="model.encoder", decoder="model.decoder"
            ),
            "class_path": f"{type(self).__module__}.{type(self).__qualname__}",
        }

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Read the record back, and leave the loss to the constructor."""
        self._restored = checkpoint_provenance(checkpoint)
        state = checkpoint["state_dict"]
        # Tensors of a loss (class weights, say) come from the loss that was passed, if any.
        own = {f"loss.{key}": value for key, value in self.loss.state_dict().items()}
        kept = {key: value for key, value in state.items() if not key.startswith("loss.")}
        checkpoint["state_dict"] = kept | {key: state.get(key, value) for key, value in own.items()}

    def _parent(self) -> Provenance | None:
        return self.transfer_report.provenance

    def _step_stream(self, batch_idx: int) -> contextlib.AbstractContextManager[None]:
        """Random numbers of one step (dropout), the same in a run that was resumed."""
        seed = self.hparams["seed"]
        if seed is None:
            return contextlib.nullcontext()
        return seeded(seed, self.current_epoch, batch_idx, self.global_rank, device=self.device)

    def _score(self, scores: NativeScores, batch: Mapping[str, Any]) -> None:
        images, masks = batch_value(batch, "image"), batch_value(batch, "mask")
        self._check_masks(masks, batch.get("case"))
        self._check_masks.flush()
        logits = self(images)
        # One loss a case, so that the mean over cases is exact on any number of processes.
        pairs = zip(logits.split(1), masks.split(1), strict=True)
        losses = torch.stack([self.loss(*pair) for pair in pairs]).tolist()
        score_batch(scores, logits, losses, batch, self.preprocessing)

    def _log_scores(self, stage: str, scores: NativeScores) -> None:
        self._cases = scores.table()
        for name, value in summarise(self._cases).items():
            bar = name in ("dice", "loss")
            self.log(f"{stage}_{name}", value, prog_bar=bar, sync_dist=True)
        scores.reset()


def _check_settings(
    num_classes: int, encoder_lr_decay: float, lr: float, weight_decay: float, warmup_steps: int
) -> None:
    if not isinstance(num_classes, int) or num_classes < 1:
        raise SettingError(
            f"num_classes is {num_classes}; wanted 1 for one structure, or the number of "
            "structures plus one (the background is class 0)."
        )
    if not 0 < encoder_lr_decay <= 1:
        raise SettingError(
            f"encoder_lr_decay is {encoder_lr_decay}; wanted more than 0 and at most 1 (1 trains "
            "encoder and decoder at the same rate)."
        )
    check_positive("lr", lr)
    check_positive("weight_decay", weight_decay, zero=True)
    check_positive("warmup_steps", warmup_steps, zero=True)
