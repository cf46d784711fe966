"""The base class of all pretext tasks: everything but the puzzle itself."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping
from typing import Any, ClassVar, Literal

import torch
from torch import Tensor, nn
from torchmetrics import Metric

from muscletransfer.encoders import EncoderSpec, resolve_encoder
from muscletransfer.errors import ContractError, SettingError, close_matches
from muscletransfer.plain import unboxed
from muscletransfer.pretext.checks import DeferredChecks
from muscletransfer.pretext.loop import PretextLoop
from muscletransfer.pretext.record import PretextRecord
from muscletransfer.registry import owner_of
from muscletransfer.transfer import is_restoring, load_encoder
from muscletransfer.transfer.arguments import keep_arguments, recorded

__all__ = ["PretextTask"]


class PretextTask(PretextRecord, PretextLoop):
    """A source task that teaches an encoder before any muscle was outlined.

    To write one, derive and give

    - ``__init__(...)``: call ``super().__init__(encoder=..., ...)``, then set ``self.head``, and
      ``self.decoder`` (of ``create_decoder``) if fine-tuning should get one;
    - ``make_targets(batch) -> (inputs, targets)``: make the puzzle, on the batch's device and for
      the whole batch at once, with random draws from ``self.generator`` only;
    - ``compute_loss(outputs, targets) -> Tensor``: a scalar;
    - if wanted, ``forward(inputs)`` and ``add_metrics(outputs, targets)``.

    Everything else is done here: training, validation and test steps, logging (``train_loss``,
    ``val_loss``, ``val_<metric>``, ...), AdamW with warm-up and cosine decay (others by
    ``use_optimizer`` and ``use_scheduler``, or override ``configure_optimizers``), reproducible
    draws, plain hyperparameters and provenance in each checkpoint, exact resume, and a rehearsal
    of the transfer before the first step.
    All constructor arguments of a subclass are stored by themselves; do not call
    ``save_hyperparameters``. No method that a subclass may override is called from ``__init__``.

    .. versionadded:: 0.1

    Args:
        encoder: A name (``"timm/resnet18"``), a spec (also as a dict), or an encoder module, which
            is trained in place.
        in_channels: Channels of the images; must agree with a spec or module.
        depth: Number of halvings of the encoder; must agree with a spec or module.
        weights: What the encoder starts from: ``None`` (random), a registered source
            (``"imagenet"``), a ``.safetensors`` or ``.ckpt`` file, ``"hf-hub:org/name"``.
        stem: ``"strict"`` or ``"adapt"``, see :func:`~muscletransfer.load_encoder`.
        lr: Learning rate after the warm-up.
        weight_decay: Decoupled weight decay of kernels and matrices.
        warmup_steps: Optimiser steps over which the rate rises linearly.
        seed: Seed of all random draws of the task (not of the weights' initial values, which come
            from torch's global generator: ``lightning.seed_everything``).
        channels_last: Use the memory layout that convolutions are fastest in.
        encoder_kwargs: Arguments for an encoder given by name or spec that a task needs
            (``required_encoder_kwargs`` of its decoder); those of a spec win.

    Attributes:
        encoder: The encoder that is trained, see :class:`~muscletransfer.Encoder`.
        stage: ``"train"``, ``"val"`` or ``"test"``, inside a step.
        transfer_report: What loading ``weights`` did; ``None`` without weights or after a reload.

    Raises:
        ContractError: If a subclass lacks ``make_targets`` or ``compute_loss``.
        SettingError: If a value cannot work.

    Example:
        >>> class Flipped(PretextTask):
        ...     '''Tell whether an image is upside down.'''
        ...     def __init__(self, encoder="timm/resnet18", in_channels=1, **kwargs):
        ...         super().__init__(encoder, in_channels, **kwargs)
        ...         self.head = ClassificationHead(self.encoder.out_channels[-1], 2)
        ...     def make_targets(self, batch):
        ...         image = batch["image"]
        ...         target = torch.randint(2, (len(image),), generator=self.generator)
        ...         turned = torch.where(target.bool()[:, None, None, None], image.flip(2), image)
        ...         return turned, target
        ...     def compute_loss(self, outputs, targets):
        ...         return torch.nn.functional.cross_entropy(outputs, targets)
        >>> from muscletransfer.pretext import ClassificationHead
        >>> task = Flipped(lr=3e-4)
        >>> inputs, targets = task.make_targets({"image": torch.rand(2, 1, 64, 64)})
        >>> task(inputs).shape
        torch.Size([2, 2])
        >>> task.hparams["lr"], task.provenance().task
        (0.0003, 'Flipped')
    """

    task_name: ClassVar[str]
    """The registered name, or the class's own; set for each class by itself."""

    head: nn.Module
    decoder: Any

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        cls.task_name = cls.__name__  # register_pretext replaces it

    def __init__(
        self,
        encoder: str | EncoderSpec | dict[str, Any] | nn.Module = "timm/resnet18",
        in_channels: int = 1,
        depth: int = 5,
        weights: str | None = None,
        stem: Literal["strict", "adapt"] = "strict",
        lr: float = 1e-3,
        weight_decay: float = 0.01,
        warmup_steps: int = 50,
        seed: int = 0,
        channels_last: bool = True,
        encoder_kwargs: Mapping[str, Any] | None = None,
    ) -> None:
        super().__init__()
        self._check_class()
        lr, weight_decay, warmup_steps = unboxed((lr, weight_decay, warmup_steps))
        in_channels, depth, seed = unboxed((in_channels, depth, seed))
        if not (0 < lr < math.inf and 0 <= weight_decay < math.inf and warmup_steps >= 0):
            raise SettingError(
                f"lr={lr}, weight_decay={weight_decay}, warmup_steps={warmup_steps}; "
                "wanted finite numbers, lr above 0 and the others at least 0."
            )
        if stem not in ("strict", "adapt"):
            raise SettingError(f"stem is {stem!r}; wanted 'strict' or 'adapt'.")
        self.encoder = _build(encoder, in_channels, depth, dict(encoder_kwargs or {}))
        self._built_with = frozenset(name for name, _ in self.encoder.named_modules())
        self.lr = lr
        self.weight_decay = weight_decay
        self.warmup_steps = warmup_steps
        self.seed = seed
        self.channels_last = channels_last

        own: dict[str, Any] = {
            "lr": lr,
            "weight_decay": weight_decay,
            "warmup_steps": warmup_steps,
            "seed": seed,
        }
        own |= {"in_channels": in_channels, "depth": depth, "weights": weights, "stem": stem}
        self._effective, _ = recorded({**own, **self.given_arguments}, self.encoder)
        stored, self._left_out = self.storable_arguments(self.encoder)
        keep_arguments(self, stored)

        if weights is not None and not is_restoring():
            self.transfer_report = load_encoder(self.encoder, weights, stem=stem)

    # What an author writes -----------------------------------------------------------------------

    def make_targets(self, batch: dict[str, Any]) -> tuple[Any, Any]:
        """Make the puzzle of a batch.

        Args:
            batch: ``batch["image"]`` is a float tensor (B, C, H, W); a supervised source adds
                ``"label"`` (B,) or ``"mask"`` (B, H, W).

        Returns:
            ``(inputs, targets)``: what ``forward`` takes and what ``compute_loss`` compares with.
        """
        raise NotImplementedError

    def compute_loss(self, outputs: Any, targets: Any) -> Tensor:
        """Return the scalar loss of what ``forward`` and ``make_targets`` gave."""
        raise NotImplementedError

    def forward(self, inputs: Any) -> Any:
        """Run the encoder, the decoder if there is one, and the head.

        Args:
            inputs: Images (B, C, H, W).

        Returns:
            ``head(decoder(features))``, or ``head(features[-1])`` without a decoder.
        """
        features = self.encoder(self.as_layout(inputs))
        decoder = getattr(self, "decoder", None)
        return self.head(features[-1] if decoder is None else decoder(features))

    def add_metrics(self, outputs: Any, targets: Any) -> Mapping[str, float | Tensor | Metric]:
        """Return more numbers to log, under ``<stage>_<name>``.

        Called in every step without gradients; ``self.stage`` tells which. A tensor is averaged
        over the images of the epoch. A torchmetrics ``Metric`` that is an attribute of the task,
        updated here, is computed at the end of the epoch, exactly and over all devices.

        Args:
            outputs: What ``forward`` returned.
            targets: What ``make_targets`` returned.
        """
        return {}

    # Helpers for authors -------------------------------------------------------------------------

    @property
    def checks(self) -> DeferredChecks:
        """Where to put checks on values that live on the device."""
        return self._checks

    def as_layout(self, images: Tensor) -> Tensor:
        """Return images (B, C, H, W) in the memory layout that the kernels are in."""
        if not self.channels_last:
            return images
        return images.contiguous(memory_format=torch.channels_last)

    # Checks --------------------------------------------------------------------------------------

    def _check_class(self) -> None:
        missing = [
            f"{name}({arguments})"
            for name, arguments in (
                ("make_targets", "batch) -> (inputs, targets"),
                ("compute_loss", "outputs, targets) -> Tensor"),
            )
            if getattr(type(self), name) is getattr(PretextTask, name)
        ]
        if missing:
            raise ContractError(
                f"{type(self).__name__} does not define {' and '.join(missing)}; a pretext task "
                f"must. The class is that of {owner_of(type(self))}."
            )

    def _check_head(self) -> None:
        self._check_encoder_is_bare()
        if type(self).forward is not PretextTask.forward or isinstance(
            getattr(self, "head", None), nn.Module
        ):
            return
        children = [n for n, _ in self.named_children() if n not in ("encoder", "decoder")]
        near = close_matches("head", children) or children[:1]
        hint = f" Is self.{near[0]} meant to be it?" if near else ""
        raise ContractError(
            f"{type(self).__name__} has no self.head (an nn.Module), which the standard forward "
            f"needs.{hint} Set self.head in __init__ after super().__init__(...), for example "
            "ClassificationHead(self.encoder.out_channels[-1], num_classes), or write forward. The "
            f"class is that of {owner_of(type(self))}."
        )

    def _check_encoder_is_bare(self) -> None:
        """Refuse a head inside the encoder: it would be saved, and looked for, as part of it."""
        inner = getattr(self.encoder, "_orig_mod", self.encoder)
        names = [n for n, _ in inner.named_modules()]
        # An encoder that lacks what was built is another one, and the rehearsal tells of it.
        added = [n for n in names if n not in self._built_with and self._built_with <= set(names)]
        added = [f"encoder.{n}" for n in added if n.rpartition(".")[0] not in added]
        added += [n for n, _ in self.named_children() if n.startswith(("encoder.", "decoder."))]
        if added:
            name = added[0].rpartition(".")[2]
            raise ContractError(
                f"{type(self).__name__} put {', '.join(f'self.{n}' for n in added)} into the "
                "encoder, where it would be exported as a part of it and fit no other encoder. "
                f"Assign it to the task itself, self.{name} = ... (self.head for the standard "
                f"forward). The class is that of {owner_of(type(self))}."
            )


def _build(
    encoder: str | EncoderSpec | dict[str, Any] | nn.Module,
    in_channels: int,
    depth: int,
    kwargs: dict[str, Any],
) -> nn.Module:
    """Build the encoder, or check the one that was given."""
    if isinstance(encoder, Mapping):
        encoder = EncoderSpec.from_dict({"in_channels": in_channels, "depth": depth, **encoder})
    if isinstance(encoder, EncoderSpec):
        encoder = dataclasses.replace(encoder, kwargs={**kwargs, **encoder.kwargs})
    if isinstance(encoder, str):
        return resolve_encoder(encoder, in_channels, depth, **kwargs)
    return resolve_encoder(encoder, in_channels, depth)
