"""Segmentation losses with a proper ignore index; see :func:`build_loss` for the names."""

from muscletransfer.losses.base import SegmentationLoss, activate
from muscletransfer.losses.build import build_loss, list_losses
from muscletransfer.losses.native import CrossEntropyLoss, SoftDiceLoss, WeightedSumLoss
from muscletransfer.losses.wrapped import OneHotLoss

__all__ = [
    "CrossEntropyLoss",
    "OneHotLoss",
    "SegmentationLoss",
    "SoftDiceLoss",
    "WeightedSumLoss",
    "activate",
    "build_loss",
    "list_losses",
]
