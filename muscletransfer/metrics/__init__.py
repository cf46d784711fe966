"""Metrics per case in mm: Dice and distance-to-agreement, as functions and torchmetrics classes."""

from muscletransfer.metrics.boundary import boundary
from muscletransfer.metrics.functional import dice, distance_to_agreement
from muscletransfer.metrics.segmentation import DiceScore, DistanceToAgreement

__all__ = ["DiceScore", "DistanceToAgreement", "boundary", "dice", "distance_to_agreement"]
