"""A user's own transform of single samples, such as a MONAI dictionary transform."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, TypeAlias

import torch
from torch import Tensor

from muscletransfer.data.augmentation.batch import IGNORE_INDEX
from muscletransfer.errors import DataError
from muscletransfer.randomness import own_streams

__all__ = ["SampleTransform", "name_of", "run_transform"]

SampleTransform: TypeAlias = Callable[[dict[str, Any]], Mapping[str, Any]]
"""Takes and returns ``image`` (C, H, W) in [0, 1] and, where there is one, ``mask`` (1, H, W)."""


def name_of(transform: SampleTransform) -> str:
    """Return what messages and provenance call a transform."""
    return str(getattr(transform, "__name__", type(transform).__name__))


def run_transform(
    transform: SampleTransform, sample: dict[str, Tensor], seed: int
) -> dict[str, Tensor]:
    """Run a transform on one sample, with all of its randomness drawn from ``seed``.

    A MONAI transform is seeded through its ``set_random_state``, and so are the global generators
    of torch (on the CPU), NumPy and Python while it runs; they are left as they were.

    Args:
        transform: The user's callable.
        sample: ``image`` float32 ``(C, H, W)`` in [0, 1]; ``mask`` uint8 ``(1, H, W)``.
        seed: Non-negative; the same seed gives the same result.

    Returns:
        The same keys: ``image`` float32, ``mask`` uint8, as plain tensors.

    Raises:
        DataError: The transform failed, lost a key, or returned another rank, size or values than
            an image or a mask can have; the message says which.

    Example:
        >>> import torch
        >>> flip = lambda sample: {k: v.flip(-1) for k, v in sample.items()}
        >>> sample = {"image": torch.arange(4.0).reshape(1, 2, 2) / 4}
        >>> run_transform(flip, sample, seed=0)["image"].flatten().tolist()
        [0.25, 0.0, 0.75, 0.5]
    """
    name = name_of(transform)
    set_random_state = getattr(transform, "set_random_state", None)
    if callable(set_random_state):
        set_random_state(seed=seed % 2**32)
    with own_streams(seed):
        try:
            result = transform(dict(sample))
        except Exception as error:
            raise DataError(
                f"the transform {name} failed on image {_shape(sample['image'])}"
                f"{' and mask ' + _shape(sample['mask']) if 'mask' in sample else ''}: {error}"
            ) from error
    if not isinstance(result, Mapping):
        raise DataError(
            f"the transform {name} returned {type(result).__name__}; wanted a dictionary with the "
            "keys it was given (use MONAI's dictionary transforms, whose names end in 'd')"
        )
    missing = [key for key in sample if key not in result]
    if missing:
        raise DataError(
            f"the transform {name} lost the key {missing[0]!r} and returned {sorted(result)}; "
            f"wanted {sorted(sample)}"
        )
    image = _plain(result["image"]).float()
    if image.ndim != 3 or image.shape[0] != sample["image"].shape[0]:
        raise DataError(
            f"the transform {name} returned an image of shape {tuple(image.shape)}; wanted "
            f"({sample['image'].shape[0]}, H, W)"
        )
    if not torch.isfinite(image).all():
        raise DataError(
            f"the transform {name} returned an image with nan or infinite values; wanted finite "
            "numbers"
        )
    if "mask" not in sample:
        return {"image": image}
    mask = _plain(result["mask"])
    if mask.shape != (1, *image.shape[1:]):
        raise DataError(
            f"the transform {name} returned a mask of shape {tuple(mask.shape)} for an image of "
            f"{tuple(image.shape)}; wanted {(1, *image.shape[1:])}. Name both keys in it."
        )
    # int64: NumPy's unsigned types have no least and most in torch
    whole = mask.round() if mask.is_floating_point() else mask.long()
    if mask.is_floating_point() and not torch.equal(mask, whole):
        raise DataError(
            f"the transform {name} returned mask values between classes, such as "
            f"{mask[mask != whole][0]:.3g}; wanted whole numbers: give masks mode='nearest'"
        )
    low, high = (float(value) for value in whole.aminmax())
    if low < 0 or high > IGNORE_INDEX:
        raise DataError(
            f"the transform {name} returned mask values from {low:.0f} to {high:.0f}; wanted 0 to "
            f"{IGNORE_INDEX}, which means no label"
        )
    return {"image": image, "mask": whole.to(torch.uint8)}


def _plain(value: Any) -> Tensor:
    """Drop MONAI's ``MetaTensor`` and numpy wrappings."""
    as_tensor = getattr(value, "as_tensor", None)
    if callable(as_tensor):
        value = as_tensor()
    return torch.as_tensor(value).detach().cpu().contiguous()


def _shape(value: Tensor) -> str:
    return str(tuple(value.shape))
