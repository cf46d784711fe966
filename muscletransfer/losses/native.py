"""Cross-entropy and soft Dice, written out so that training needs no heavy import."""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from muscletransfer.errors import SettingError
from muscletransfer.losses.base import SegmentationLoss, activate, share_of_images

__all__ = ["CrossEntropyLoss", "SoftDiceLoss", "WeightedSumLoss"]


class CrossEntropyLoss(SegmentationLoss):
    """Cross-entropy over the pixels that count: binary for one class, softmax for several.

    The mean is over all valid pixels of the batch; a batch without any is 0.

    .. versionadded:: 0.1

    Args:
        num_classes: Number of channels of the logits.
        ignore_index: Target value of pixels that do not count.

    Example:
        >>> loss = CrossEntropyLoss(num_classes=1)
        >>> loss(torch.zeros(1, 1, 2, 2), torch.tensor([[[0, 1], [1, 255]]])).item()
        0.693147...
    """

    def compute(self, logits: Tensor, target: Tensor, valid: Tensor) -> Tensor:
        """Return the mean cross-entropy; see :meth:`SegmentationLoss.compute`."""
        if self.num_classes == 1:
            pixel = F.binary_cross_entropy_with_logits(logits, target, reduction="none")
        else:
            pixel = -(F.log_softmax(logits, dim=1) * target).sum(dim=1, keepdim=True)
        return torch.where(valid, pixel, 0.0).sum() / valid.sum().clamp(min=1)


class SoftDiceLoss(SegmentationLoss):
    """One minus the soft Dice, a mean over images (with a valid pixel) and foreground classes.

    ``1 - (2 sum(p g) + s) / (sum(p) + sum(g) + s)`` for each image and class (Milletari et al.
    2016, arXiv 1606.04797, without the squares). The probabilities are never rounded: a rounded
    Dice has no gradient. With several classes the background (class 0) is left out of the mean.

    .. versionadded:: 0.1

    Args:
        num_classes: Number of channels of the logits.
        ignore_index: Target value of pixels that do not count.
        smooth: The constant ``s`` in numerator and denominator; it makes the loss 0 when an image
            has neither target nor prediction.

    Example:
        >>> target = torch.tensor([[[0, 1], [1, 0]]])
        >>> perfect = (target.unsqueeze(1).float() - 0.5) * 100
        >>> round(SoftDiceLoss()(perfect, target).item(), 6)
        0.0
    """

    def __init__(self, num_classes: int = 1, ignore_index: int = 255, smooth: float = 1e-5) -> None:
        super().__init__(num_classes, ignore_index)
        self.smooth = smooth

    def compute(self, logits: Tensor, target: Tensor, valid: Tensor) -> Tensor:
        """Return the mean soft Dice loss; see :meth:`SegmentationLoss.compute`."""
        probability = torch.where(valid, activate(logits), 0.0)
        target = torch.where(valid, target, 0.0)
        if self.num_classes > 1:
            probability, target = probability[:, 1:], target[:, 1:]
        overlap = (probability * target).sum(dim=(2, 3))
        total = probability.sum(dim=(2, 3)) + target.sum(dim=(2, 3))
        loss = (1 - (2 * overlap + self.smooth) / (total + self.smooth)).mean()
        return loss * share_of_images(valid)


class WeightedSumLoss(SegmentationLoss):
    """A weighted sum of losses of the same classes and ignore index.

    .. versionadded:: 0.1

    Args:
        losses: The terms.
        weights: One factor a term; all 1 by default.

    Raises:
        SettingError: When there is no term, another number of weights than of terms, or the terms
            are of other classes or ignore indices.

    Example:
        >>> loss = WeightedSumLoss([CrossEntropyLoss(), SoftDiceLoss()])
        >>> logits, target = torch.zeros(1, 1, 4, 4), torch.ones(1, 4, 4, dtype=torch.long)
        >>> round(loss(logits, target).item(), 3)  # log(2) + 1/3
        1.026
    """

    def __init__(
        self, losses: Sequence[SegmentationLoss], weights: Sequence[float] | None = None
    ) -> None:
        weights = [1.0] * len(losses) if weights is None else list(weights)
        if not losses or len(weights) != len(losses):
            raise SettingError(
                f"got {len(losses)} losses and {len(weights)} weights; wanted at least one loss "
                "and one weight for each."
            )
        terms = {(term.num_classes, term.ignore_index) for term in losses}
        if len(terms) > 1:
            raise SettingError(
                f"the terms have num_classes and ignore_index {sorted(terms)}; wanted the same "
                "for all: build each with the model's num_classes and one ignore_index."
            )
        super().__init__(losses[0].num_classes, losses[0].ignore_index)
        self.losses = torch.nn.ModuleList(losses)
        self.weights = weights

    def compute(self, logits: Tensor, target: Tensor, valid: Tensor) -> Tensor:
        """Return the weighted sum; see :meth:`SegmentationLoss.compute`."""
        total = logits.new_zeros(())
        for weight, loss in zip(self.weights, self.losses, strict=True):
            assert isinstance(loss, SegmentationLoss)
            total = total + weight * loss.compute(logits, target, valid)
        return total
