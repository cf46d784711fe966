"""What settings and batches must look like, and messages that say what to change."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from muscletransfer.errors import DataError, SettingError

__all__ = ["MaskCheck", "batch_value", "check_positive"]


def check_positive(name: str, value: float, *, zero: bool = False) -> None:
    """Refuse a number that is not above zero.

    Args:
        name: Name of the argument.
        value: What was given.
        zero: Whether 0 is fine too.

    Raises:
        SettingError: The number is too small, or no number.

    Example:
        >>> check_positive("lr", 1e-3)
    """
    if not (value > 0 or (zero and value == 0)):
        raise SettingError(f"{name} is {value}; wanted {'0 or more' if zero else 'more than 0'}.")


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


class MaskCheck:
    """Finds class indices out of range without making an accelerator wait at every step.

    On the CPU each batch is checked at once. On an accelerator the worst value of each image is
    kept there and looked at every ``interval`` batches, since reading it stops the pipeline.

    Args:
        num_classes: Classes of the model; 1 stands for the values 0 and 1.
        ignore_index: The value that is always allowed.
        interval: Batches between two looks on an accelerator.

    Example:
        >>> check = MaskCheck(num_classes=1)
        >>> check(torch.tensor([[[0, 1]], [[255, 1]]]), case=torch.tensor([3, 4]))
        >>> check(torch.tensor([[[0, 2]]]), case=torch.tensor([5]))
        Traceback (most recent call last):
        muscletransfer.errors.DataError: the mask of case 5 holds the value 2; ...
    """

    def __init__(self, num_classes: int, ignore_index: int = 255, interval: int = 50) -> None:
        self.limit = max(2, num_classes)
        self.num_classes = num_classes
        self.ignore_index = ignore_index
        self.interval = interval
        self._pending: list[tuple[Tensor, Tensor | None]] = []

    def __call__(self, masks: Tensor, case: Tensor | None = None) -> None:
        """Check a batch.

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
        wrong = ((masks < 0) | (masks >= self.limit)) & (masks != self.ignore_index)
        # 0 is always a class, so it can stand for "nothing wrong".
        worst = torch.where(wrong, masks, 0).flatten(1)
        extreme = torch.where(worst.amin(1) < 0, worst.amin(1), worst.amax(1))
        self._pending.append((extreme, case))
        if masks.device.type == "cpu" or len(self._pending) >= self.interval:
            self.flush()

    def flush(self) -> None:
        """Look at what has piled up.

        Raises:
            DataError: A value is no class index.
        """
        pending, self._pending = self._pending, []
        for extreme, case in pending:
            values = extreme.tolist()
            for i, value in enumerate(values):
                if value:
                    name = f"case {int(case[i])}" if case is not None else f"item {i} of a batch"
                    raise DataError(self._message(name, value))

    def _message(self, name: str, value: int) -> str:
        classes = "0 and 1" if self.limit == 2 else f"0 to {self.limit - 1}"
        relabel = "map the labels of the mask file to 0, 1, 2, ..."
        more = f"build the model with num_classes={value + 1}, or "
        way_out = (more if self.limit <= value < self.ignore_index else "") + relabel
        return (
            f"the mask of {name} holds the value {value}; num_classes={self.num_classes} allows "
            f"{classes}, and {self.ignore_index} for pixels without a label. "
            f"{way_out[0].upper()}{way_out[1:]}"
        )
