"""Mean Dice or IoU over classes from one confusion matrix, exact over an epoch and all devices."""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor
from torchmetrics import Metric

__all__ = ["MeanOverlap"]


class MeanOverlap(Metric):
    """Dice or intersection over union of each class over all pixels, averaged over classes.

    The pixels of an epoch are pooled before the ratio is taken, so the value does not depend on how
    they were batched or spread over devices. Classes that neither occur nor are predicted are left
    out of the mean; if none is left the value is NaN.

    Args:
        num_classes: Number of classes K.
        score: ``"dice"`` is 2 TP / (2 TP + FP + FN), ``"iou"`` is TP / (TP + FP + FN).
        ignore_index: Target value of pixels that do not count.
        background: Whether class 0 is background and left out of the mean.

    Example:
        >>> metric = MeanOverlap(3, "iou")
        >>> metric.update(torch.tensor([[1, 1, 2, 0]]), torch.tensor([[1, 2, 2, 255]]))
        >>> metric.compute()
        tensor(0.5000)
    """

    is_differentiable = False
    higher_is_better = True
    full_state_update = False
    confusion: Tensor

    def __init__(
        self,
        num_classes: int,
        score: Literal["dice", "iou"],
        ignore_index: int = 255,
        background: bool = True,
    ) -> None:
        super().__init__()
        self.num_classes = num_classes
        self.score = score
        self.ignore_index = ignore_index
        self.background = background
        zeros = torch.zeros(num_classes, num_classes, dtype=torch.long)
        self.add_state("confusion", zeros, dist_reduce_fx="sum")

    def update(self, preds: Tensor, target: Tensor) -> None:
        """Count pixels.

        Args:
            preds: Class indices of any shape.
            target: Class indices of the same shape, or ``ignore_index``.
        """
        bins = self.num_classes**2
        pair = target.flatten() * self.num_classes + preds.flatten()
        pair = torch.where(target.flatten() == self.ignore_index, bins, pair)
        counts = torch.bincount(pair, minlength=bins + 1)[:bins]
        self.confusion += counts.view(self.num_classes, self.num_classes)

    def compute(self) -> Tensor:
        """Return the mean over classes, a scalar."""
        hit = self.confusion.diagonal().double()
        either = (self.confusion.sum(0) + self.confusion.sum(1)).double()
        ratio = 2 * hit / either if self.score == "dice" else hit / (either - hit)
        start = 1 if self.background else 0
        return ratio[start:].nanmean().float()  # 0 / 0 for a class that is nowhere
