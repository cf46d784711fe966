"""The two data modules: few labels to fine-tune on, and images to pre-train on."""

from __future__ import annotations

from typing import TYPE_CHECKING

from muscletransfer.lazy import lazy_names

if TYPE_CHECKING:
    from muscletransfer.data.datamodules.low_data import LowDataModule
    from muscletransfer.data.datamodules.pretext_data import PretextDataModule

_HOMES = {
    "low_data": ["LowDataModule"],
    "pretext_data": ["PretextDataModule"],
}

__all__ = [
    "LowDataModule",
    "PretextDataModule",
]

__getattr__, __dir__ = lazy_names(__name__, _HOMES)
