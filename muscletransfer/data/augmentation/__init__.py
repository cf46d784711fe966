"""Augmentation of whole batches on their device."""

from __future__ import annotations

from typing import TYPE_CHECKING

from muscletransfer.lazy import lazy_names

if TYPE_CHECKING:
    from muscletransfer.data.augmentation.batch import Augmentation

_HOMES = {
    "batch": ["Augmentation"],
}

__all__ = [
    "Augmentation",
]

__getattr__, __dir__ = lazy_names(__name__, _HOMES)
