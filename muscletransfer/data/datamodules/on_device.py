"""The last steps before the network, for a whole batch on its device."""

from __future__ import annotations

from dataclasses import replace
from functools import lru_cache
from typing import Any

import torch
from torch import Tensor

from muscletransfer.data.augmentation import Augmentation
from muscletransfer.data.augmentation.own import OwnAugmentation
from muscletransfer.data.datamodules.samplers import step_seed
from muscletransfer.data.preprocessing import PreprocessingSpec
from muscletransfer.data.preprocessing.per_channel import per_channel

__all__ = ["finish_batch", "standardise", "to_unit"]


@lru_cache(maxsize=32)
def _unit_spec(spec: PreprocessingSpec) -> PreprocessingSpec:
    return replace(spec, channels=spec.stored_channels, mean=0.0, std=1.0)


def to_unit(image: Tensor, spec: PreprocessingSpec) -> Tensor:
    """Map stored slices to [0, 1], not yet standardised, without repeating grey channels.

    Args:
        image: int16 ``(B, h, w)`` or ``(B, h, w, 3)`` as the cache stores it; floats
            ``(B, C, h, w)`` are taken to be in [0, 1] already (a user's transform made them).
        spec: The preprocessing; gives the window.

    Returns:
        float32 ``(B, stored channels, h, w)``.

    Example:
        >>> import torch
        >>> hu = torch.tensor([[[-1024, 50, 3000]]], dtype=torch.int16)
        >>> to_unit(hu, PreprocessingSpec(hu_window=(-150, 250))).flatten().tolist()
        [0.0, 0.5, 1.0]
    """
    if image.is_floating_point():
        return image.float()
    return _unit_spec(spec).to_float(image)


def standardise(image: Tensor, spec: PreprocessingSpec) -> Tensor:
    """Repeat grey to the channels wanted, subtract the mean and divide by the deviation.

    Args:
        image: ``(B, C, h, w)`` floats in [0, 1].
        spec: Gives ``channels``, ``mean`` and ``std``.

    Returns:
        ``(B, spec.channels, h, w)``.

    Example:
        >>> import torch
        >>> spec = PreprocessingSpec(channels=3, mean=0.5, std=0.25)
        >>> standardise(torch.ones(1, 1, 8, 8), spec).shape
        torch.Size([1, 3, 8, 8])
    """
    image = image.expand(-1, spec.channels, -1, -1)
    if spec.mean != 0.0 or spec.std != 1.0:
        image = (image - per_channel(spec.mean, image)) / per_channel(spec.std, image)
    return image.contiguous()


def finish_batch(
    batch: dict[str, Any],
    spec: PreprocessingSpec,
    augmentation: Augmentation | OwnAugmentation | None,
    seed: int,
    rank: int = 0,
) -> dict[str, Any]:
    """Turn a loader's batch into the batch that tasks get.

    Training batches are told by their ``"epoch"`` and ``"step"`` (see
    :class:`~muscletransfer.data.datamodules.samplers.ResumableLoader`), which are used up here:
    the generator
    of the augmentation is seeded with (seed, epoch, step, rank), so a step's images are the same
    in a run that was interrupted and in one that was not.

    Args:
        batch: ``image`` as stored, ``mask`` uint8 ``(B, h, w)`` if there is one, and the rest.
        spec: The preprocessing of the images.
        augmentation: For training batches; None for none.
        seed: The data module's seed.
        rank: This process.

    Returns:
        A new dictionary: ``image`` float32 ``(B, C, h, w)`` standardised, ``mask`` int64.
    """
    batch = dict(batch)
    epoch, step = batch.pop("epoch", None), batch.pop("step", None)
    image = to_unit(batch["image"], spec)
    mask: Tensor | None = batch.get("mask")
    if step is not None and augmentation is not None:
        # A function of the user's draws where the images are; ours needs a few numbers a sample.
        own = isinstance(augmentation, OwnAugmentation)
        generator = torch.Generator(image.device if own else "cpu")
        generator.manual_seed(step_seed(seed, epoch, step, rank))
        image, mask = augmentation(image, mask, generator)
    batch["image"] = standardise(image, spec)
    if mask is not None:
        batch["mask"] = mask.long()
    return batch
