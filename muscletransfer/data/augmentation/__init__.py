"""Augmentation of whole batches on their device."""

from __future__ import annotations

from typing import TYPE_CHECKING

from muscletransfer.lazy import lazy_names

if TYPE_CHECKING:
    from muscletransfer.data.augmentation.batch import IGNORE_INDEX, Augmentation
    from muscletransfer.data.augmentation.warping import affine_matrices, warp

_HOMES = {
    "batch": ["Augmentation", "IGNORE_INDEX"],
    "warping": ["affine_matrices", "warp"],
}

__all__ = [
    "IGNORE_INDEX",
    "Augmentation",
    "affine_matrices",
    "warp",
]

__getattr__, __dir__ = lazy_names(__name__, _HOMES)
