"""What every segmentation loss shares: shapes, activation and the ignore index."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from muscletransfer.errors import SettingError

__all__ = ["SegmentationLoss", "activate", "share_of_images"]


def activate(logits: Tensor) -> Tensor:
    """Turn logits into probabilities: sigmoid for one channel, softmax for several.

    .. versionadded:: 0.1

    Args:
        logits: (B, K, H, W).

    Returns:
        Probabilities (B, K, H, W); with K > 1 they sum to 1 over the channels.

    Example:
        >>> activate(torch.zeros(1, 1, 1, 1)).item()
        0.5
        >>> activate(torch.zeros(1, 4, 1, 1)).flatten().tolist()
        [0.25, 0.25, 0.25, 0.25]
    """
    return torch.sigmoid(logits) if logits.shape[1] == 1 else torch.softmax(logits, dim=1)


def share_of_images(valid: Tensor) -> Tensor:
    """Return what turns a mean over all images into one over those that have a valid pixel.

    Args:
        valid: (B, 1, H, W) bool. An image without any must have the loss 0.

    Returns:
        A float32 scalar: 1 where every image has a valid pixel.

    Example:
        >>> share_of_images(torch.tensor([True, False]).view(2, 1, 1, 1)).item()
        2.0
    """
    return len(valid) / valid.flatten(1).any(1).sum().clamp(min=1).float()


class SegmentationLoss(nn.Module):
    """Base of the losses: ``loss(logits, target) -> scalar``.

    ``logits`` is (B, K, H, W) in any float type (the loss is computed in float32), ``target`` is
    (B, H, W) of class indices. With ``num_classes=1`` the classes are 0 (background) and 1, and the
    activation is a sigmoid; with more, class 0 is the background and the activation a softmax.
    Pixels whose target is ``ignore_index`` change neither the value nor any gradient.

    A subclass implements :meth:`compute`, which sees the ignored pixels already neutralised.

    .. versionadded:: 0.1

    Args:
        num_classes: Number of channels of the logits.
        ignore_index: Target value of pixels that do not count.

    Raises:
        SettingError: When ``num_classes`` is below 1.

    Example:
        >>> class Missed(SegmentationLoss):
        ...     def compute(self, logits, target, valid):
        ...         wrong = (logits.softmax(1) * (1 - target)).sum(1, keepdim=True)
        ...         return (wrong * valid).sum() / valid.sum()
        >>> loss = Missed(num_classes=2)
        >>> target = torch.tensor([[[0, 1, 255, 255]]])
        >>> loss(torch.zeros(1, 2, 1, 4), target)  # ignored pixels do not count
        tensor(0.5000)
    """

    def __init__(self, num_classes: int = 1, ignore_index: int = 255) -> None:
        super().__init__()
        if num_classes < 1:
            raise SettingError(
                f"num_classes is {num_classes}; wanted 1 (one structure, sigmoid) or more "
                "(softmax, background is class 0)."
            )
        self.num_classes = num_classes
        self.ignore_index = ignore_index

    def forward(self, logits: Tensor, target: Tensor) -> Tensor:
        """Return the loss of a batch as a scalar.

        Args:
            logits: (B, K, H, W).
            target: (B, H, W) class indices or ``ignore_index``.

        Returns:
            A float32 scalar.

        Raises:
            SettingError: When a shape does not fit ``num_classes`` or the other's.
        """
        batch, channels, *size = logits.shape
        if channels != self.num_classes or tuple(target.shape) != (batch, *size):
            raise SettingError(
                f"logits are {tuple(logits.shape)} and the target {tuple(target.shape)}; wanted "
                f"(B, {self.num_classes}, H, W) and (B, H, W) with num_classes={self.num_classes}."
            )
        valid = (target != self.ignore_index).unsqueeze(1)
        # where, not a product: an infinite logit at an ignored pixel must not turn into NaN.
        logits = torch.where(valid, logits.float(), 0.0)
        # Clamped, because an index out of range would abort a CUDA process; the fine-tuner checks.
        classes = target.masked_fill(~valid.squeeze(1), 0).clamp(0, max(1, channels - 1))
        return self.compute(logits, self._one_hot(classes), valid)

    def compute(self, logits: Tensor, target: Tensor, valid: Tensor) -> Tensor:
        """Return the scalar loss.

        Args:
            logits: (B, K, H, W) float32, 0 and without gradient at ignored pixels.
            target: (B, K, H, W) float32 one-hot; (B, 1, H, W) of 0 and 1 when K is 1. Ignored
                pixels are background.
            valid: (B, 1, H, W) bool, False at ignored pixels.
        """
        raise NotImplementedError(f"{type(self).__name__} does not implement compute()")

    def _one_hot(self, classes: Tensor) -> Tensor:
        # Not F.one_hot: it checks the range on the host, which waits for the device at each step.
        if self.num_classes == 1:
            return classes.unsqueeze(1).float()
        index = torch.arange(self.num_classes, device=classes.device).view(1, -1, 1, 1)
        return (classes.unsqueeze(1) == index).float()
