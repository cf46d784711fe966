"""What settings and batches must look like, and messages that say what to change."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from muscletransfer.errors import DataError, SettingError

__all__ = ["BatchCheck", "batch_value", "check_positive"]


def check_positive(name: str, value: Any, *, zero: bool = False) -> None:
    """Refuse what is not a number above zero.

    Args:
        name: Name of the argument.
        value: What was given.
        zero: Whether 0 is fine too.

    Raises:
        SettingError: The number is too small, infinite, or no number.

    Example:
        >>> check_positive("lr", 1e-3)
        >>> check_positive("lr", "1e-3")
        Traceback (most recent call last):
        muscletransfer.errors.SettingError: lr is '1e-3'; wanted a number above 0.
    """
    number = isinstance(value, int | float) and not isinstance(value, bool)
    if not number or not math.isfinite(value) or not (value > 0 or (zero and value == 0)):
        wanted = "0 or a number above" if zero else "a number above 0"
        raise SettingError(f"{name} is {value!r}; wanted {wanted}.")


def batch_value(batch: Mapping[str, Any], key: str) -> Any:
    """Take one entry of a batch.

    Args:
        batch: What the data module gave.
        key: The entry.

    Raises:
        DataError: The batch has no such entry; the message lists what it has.

    Example:
        >>> batch_value({"image": 1}, "image")
        1
    """
    if not isinstance(batch, Mapping):
        raise DataError(
            f"the batch is a {type(batch).__name__}; wanted a dict with 'image' (B, C, H, W) and "
            "'mask' (B, H, W). Return a dict from your data set's __getitem__."
        )
    if key not in batch:
        raise DataError(
            f"the batch has no {key!r}, only {', '.join(map(repr, batch))}. Fine-tuning wants "
            "'image' (B, C, H, W), 'mask' (B, H, W) and, to validate, 'case' (B,), the number of "
            "each row in the manifest."
        )
    return batch[key]


class BatchCheck:
    """Finds masks and losses that cannot be, without making an accelerator wait at every step.

    On the CPU each batch is checked at once. On an accelerator the outcome of each batch is kept
    there and looked at every ``interval`` batches, since reading it stops the pipeline.

    Args:
        num_classes: Classes of the model; 1 stands for the values 0 and 1.
        ignore_index: The mask value that is always allowed.
        interval: Batches between two looks on an accelerator.

    Example:
        >>> check = BatchCheck(num_classes=1)
        >>> check.masks(torch.tensor([[[0, 1]], [[255, 1]]]), case=torch.tensor([3, 4]))
        >>> check.masks(torch.tensor([[[0, 2]]]), case=torch.tensor([5]))
        Traceback (most recent call last):
        muscletransfer.errors.DataError: the mask of case 5 holds the value 2; ...
    """

    def __init__(self, num_classes: int, ignore_index: int = 255, interval: int = 50) -> None:
        self.limit = max(2, num_classes)
        self.num_classes = num_classes
        self.ignore_index = ignore_index
        self.interval = interval
        self._masks: list[tuple[Tensor, Tensor | None]] = []
        self._losses: list[tuple[Tensor, Tensor, Tensor | None, str]] = []

    def masks(self, masks: Tensor, case: Tensor | None = None) -> None:
        """Check the class indices of a batch.

        Args:
            masks: (B, H, W) class indices.
            case: (B,) case numbers, for the message.

        Raises:
            DataError: A value is no class index (now, or on an accelerator some batches later).
        """
        if masks.ndim != 3 or masks.is_floating_point():
            raise DataError(
                f"the masks have shape {tuple(masks.shape)} and type {masks.dtype}; wanted "
                "(B, H, W) integers, one class index a pixel."
            )
        if masks.device.type == "cpu" and masks.numel():
            low, high = torch.aminmax(masks)
            if low >= 0 and high < self.limit:  # the rule; one pass over the pixels
                return
        wrong = ((masks < 0) | (masks >= self.limit)) & (masks != self.ignore_index)
        # 0 is always a class, so it can stand for "nothing wrong".
        worst = torch.where(wrong, masks, 0).flatten(1)
        self._masks.append((torch.where(worst.amin(1) < 0, worst.amin(1), worst.amax(1)), case))
        if masks.device.type == "cpu" or len(self._masks) >= self.interval:
            self.flush()

    def loss(self, loss: Tensor, images: Tensor, case: Tensor | None, where: str) -> None:
        """Check that a loss is a number.

        Args:
            loss: Scalar.
            images: The batch it was computed from.
            case: (B,) case numbers, for the message.
            where: The step, for the message.

        Raises:
            DataError: An image holds NaN or infinity (now, or some batches later).
            SettingError: The images are sound and the loss is not: the run diverged.
        """
        loss = loss.detach()
        if loss.device.type == "cpu" and math.isfinite(loss.item()):
            return
        self._losses.append((loss, images.isfinite().flatten(1).all(1), case, where))
        if loss.device.type == "cpu" or len(self._losses) >= self.interval:
            self.flush()

    @staticmethod
    def scored(losses: Sequence[float], images: Tensor, case: Tensor | None) -> None:
        """Check that no image of a scored batch is to blame for its loss.

        A loss that is no number for a sound image is a result, and stays in the table.

        Args:
            losses: One a case.
            images: The batch they were computed from.
            case: (B,) case numbers, for the message.

        Raises:
            DataError: An image holds NaN or infinity.
        """
        for item, loss in enumerate(losses):
            if not math.isfinite(loss) and not bool(images[item].isfinite().all()):
                name = _name(case, item)
                raise _bad_image(name, f"the loss of {name} is {loss}")

    def flush(self) -> None:
        """Look at what has piled up.

        Raises:
            DataError: A mask value is no class index, or an image holds NaN or infinity.
            SettingError: A loss is not finite although its images are.
        """
        masks, self._masks = self._masks, []
        losses, self._losses = self._losses, []
        for extreme, case in masks:
            for item, value in enumerate(extreme.tolist()):
                if value:
                    raise DataError(self._bad_value(_name(case, item), value))
        for loss, sound, case, where in losses:
            if math.isfinite(loss.item()):
                continue
            if not bool(sound.all()):
                name = _name(case, sound.tolist().index(False))
                raise _bad_image(name, f"the loss is {loss.item()} at {where}")
            raise SettingError(
                f"the loss is {loss.item()} at {where}: the run diverged. Try a smaller lr, a "
                "longer warm-up, Trainer(gradient_clip_val=1.0), or another precision (bf16-mixed "
                "or 32-true rather than 16-mixed)."
            )

    def _bad_value(self, name: str, value: int) -> str:
        classes = "0 and 1" if self.limit == 2 else f"0 to {self.limit - 1}"
        relabel = "map the labels of the mask file to 0, 1, 2, ..."
        more = f"build the model with num_classes={value + 1}, or "
        way_out = (more if self.limit <= value < self.ignore_index else "") + relabel
        return (
            f"the mask of {name} holds the value {value}; num_classes={self.num_classes} allows "
            f"{classes}, and {self.ignore_index} for pixels without a label. "
            f"{way_out[0].upper()}{way_out[1:]}"
        )


def _bad_image(name: str, found: str) -> DataError:
    return DataError(
        f"{found}: the image of {name} holds NaN or infinity. Mend the image, or leave the case "
        "out of the manifest."
    )


def _name(case: Tensor | None, item: int) -> str:
    return f"case {int(case[item])}" if case is not None else f"item {item} of a batch"
