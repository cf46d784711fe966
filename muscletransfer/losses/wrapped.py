"""Losses of other libraries behind the shapes and the ignore index of ours."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from muscletransfer.errors import ContractError, SettingError
from muscletransfer.losses.base import SegmentationLoss, activate, share_of_images

__all__ = ["OneHotLoss", "OverlapLoss", "PixelLoss"]

_CONFIDENT = 20.0  # a logit whose sigmoid is 1 - 2e-9: no loss to speak of, and no overflow


class OverlapLoss(SegmentationLoss):
    """A MONAI loss over sums of probabilities (Tversky, generalised Dice).

    Ignored pixels have probability and target 0, so they add nothing to any of the sums.

    Args:
        loss: A module taking probabilities and a one-hot target, both (B, C, H, W).
        num_classes: Number of channels of the logits.
        ignore_index: Target value of pixels that do not count.
        include_background: Whether class 0 takes part when there are several classes.
    """

    def __init__(
        self,
        loss: nn.Module,
        num_classes: int = 1,
        ignore_index: int = 255,
        include_background: bool = False,
    ) -> None:
        super().__init__(num_classes, ignore_index)
        self.loss = loss
        self.first = 0 if include_background or num_classes == 1 else 1
        self.adds_background = include_background and num_classes == 1

    def compute(self, logits: Tensor, target: Tensor, valid: Tensor) -> Tensor:
        """Return the wrapped loss; see :meth:`SegmentationLoss.compute`."""
        probability = activate(logits)
        if self.adds_background:
            probability = torch.cat([1 - probability, probability], dim=1)
            target = torch.cat([1 - target, target], dim=1)
        probability = torch.where(valid, probability, 0.0)[:, self.first :]
        value: Tensor = self.loss(probability, torch.where(valid, target, 0.0)[:, self.first :])
        return value * share_of_images(valid)


class PixelLoss(SegmentationLoss):
    """A MONAI loss with a value a pixel (focal), averaged over the pixels that count.

    Args:
        loss: A module taking logits and a one-hot target, both (B, K, H, W), with
            ``reduction="none"``.
        num_classes: Number of channels of the logits.
        ignore_index: Target value of pixels that do not count.
    """

    def __init__(self, loss: nn.Module, num_classes: int = 1, ignore_index: int = 255) -> None:
        super().__init__(num_classes, ignore_index)
        self.loss = loss

    def compute(self, logits: Tensor, target: Tensor, valid: Tensor) -> Tensor:
        """Return the mean of the wrapped loss; see :meth:`SegmentationLoss.compute`."""
        pixel: Tensor = self.loss(logits, target)  # (B, K, H, W)
        total = torch.where(valid, pixel, 0.0).sum()
        return total / (valid.sum() * pixel.shape[1]).clamp(min=1)


class OneHotLoss(SegmentationLoss):
    """Any ``nn.Module`` called as ``loss(logits, one_hot)``, both (B, K, H, W).

    That is the call of MONAI's losses (with ``to_onehot_y=False``), of
    ``nn.BCEWithLogitsLoss`` for one class and of ``nn.CrossEntropyLoss`` for several. A foreign
    loss knows no mask, so ignored pixels are handed to it as confidently right background: they
    get no gradient and nothing the network does there changes the value, but a loss that divides
    by the number of pixels counts them. Derive from :class:`SegmentationLoss` where that matters.

    .. versionadded:: 0.1

    Args:
        loss: The module; it applies the activation itself and returns a scalar.
        num_classes: Number of channels of the logits.
        ignore_index: Target value of pixels that do not count.

    Example:
        >>> loss = OneHotLoss(nn.BCEWithLogitsLoss(), num_classes=1)
        >>> loss(torch.zeros(1, 1, 2, 2), torch.ones(1, 2, 2, dtype=torch.long)).item()
        0.693147...
    """

    def __init__(self, loss: nn.Module, num_classes: int = 1, ignore_index: int = 255) -> None:
        super().__init__(num_classes, ignore_index)
        self.loss = loss

    def compute(self, logits: Tensor, target: Tensor, valid: Tensor) -> Tensor:
        """Return the wrapped loss; see :meth:`SegmentationLoss.compute`."""
        background = torch.full_like(logits, -_CONFIDENT)
        if self.num_classes > 1:
            background[:, 0] = _CONFIDENT
        logits = torch.where(valid, logits, background)
        try:
            value: Tensor = self.loss(logits, target)
        except torch.OutOfMemoryError:
            raise
        except (RuntimeError, TypeError, ValueError, IndexError) as error:
            raise ContractError(
                f"the loss {type(self.loss).__name__} failed ({type(error).__name__}: {error}). It "
                f"was called with logits {tuple(logits.shape)} and a one-hot target "
                f"{tuple(target.shape)}, both {logits.dtype}. For class indices (B, H, W) derive "
                "from muscletransfer.losses.SegmentationLoss."
            ) from error
        if value.ndim:
            raise SettingError(
                f"the loss {type(self.loss).__name__} returned a tensor of shape "
                f"{tuple(value.shape)}; wanted a scalar. Set its reduction to 'mean'."
            )
        return value
