"""The two data modules: few labels to fine-tune on, and images to pre-train on."""

from __future__ import annotations

from muscletransfer.data.low_data import LowDataModule
from muscletransfer.data.pretext_data import PretextDataModule

__all__ = ["LowDataModule", "PretextDataModule"]
