"""What can be wrong with a batch or a step, and the errors that say so."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor

from muscletransfer.errors import ChannelMismatchError, ContractError, DataError, close_matches

__all__ = ["DeferredChecks", "PretextBatch", "check_images", "check_indices"]

_SOURCES = {
    "label": 'PretextDataModule(kind="class_folder") or kind="class_csv", or a manifest with a '
    'label column (kind="manifest")',
    "mask": 'PretextDataModule(kind="mask_folders"), or a manifest with a mask column '
    '(kind="manifest")',
}


class PretextBatch(dict[str, Any]):
    """A batch whose missing keys explain themselves.

    Args:
        batch: What the data loader gave.
        task: Name of the task, for messages.

    Raises:
        DataError: If the batch is no mapping.

    Example:
        >>> PretextBatch({"image": torch.zeros(1, 1, 8, 8)}, "segmentation")["mask"]
        Traceback (most recent call last):
        muscletransfer.errors.DataError: The task 'segmentation' needs batch['mask'], ...
    """

    def __init__(self, batch: Mapping[str, Any], task: str) -> None:
        if not isinstance(batch, Mapping):
            raise DataError(
                f"The task {task!r} got a batch of type {type(batch).__name__}; wanted a dict with "
                'the key "image" (float tensor (B, C, H, W)). A PretextDataModule gives such '
                'batches; a data set of your own returns {"image": image} from __getitem__.'
            )
        super().__init__(batch)
        self.task = task

    def __missing__(self, key: str) -> Any:
        near = close_matches(str(key), self)
        source = _SOURCES.get(key)
        hint = f" Did you mean {near[0]!r}?" if near else ""
        way_out = f" It comes from {source}." if source else ""
        raise DataError(
            f"The task {self.task!r} needs batch[{key!r}], but this data source gives only "
            f"{', '.join(map(repr, sorted(self)))}.{hint}{way_out}"
        )


class DeferredChecks:
    """Checks on device values that do not make the host wait for the device at every step.

    On the CPU a check is made at once. On another device its outcome is looked at when the next
    step starts, by when it is known.

    Example:
        >>> checks = DeferredChecks()
        >>> checks.add(torch.tensor(False), lambda: ValueError("never"))
        >>> checks.settle()
    """

    def __init__(self) -> None:
        self._waiting: list[tuple[Tensor, Callable[[], Exception]]] = []

    def add(self, wrong: Tensor, error: Callable[[], Exception]) -> None:
        """Raise ``error()``, now or later, if the bool scalar ``wrong`` is true."""
        self._waiting.append((wrong, error))
        if wrong.device.type == "cpu":
            self.settle()

    def settle(self) -> None:
        """Look at every outcome that is waiting."""
        waiting, self._waiting = self._waiting, []
        for wrong, error in waiting:
            if bool(wrong):
                raise error()


def check_images(batch: PretextBatch, in_channels: int) -> Tensor:
    """Return the images of a batch if the encoder can take them.

    Args:
        batch: The batch.
        in_channels: Channels of the encoder.

    Raises:
        DataError: If they are missing, no float tensor or of another rank.
        ChannelMismatchError: If they have another number of channels.

    Example:
        >>> check_images(PretextBatch({"image": torch.zeros(2, 3, 8, 8)}, "jigsaw"), 1)
        Traceback (most recent call last):
        muscletransfer.errors.ChannelMismatchError: The images have 3 channels, the encoder ...
    """
    image = batch["image"]
    if not isinstance(image, Tensor) or image.ndim != 4 or not image.is_floating_point():
        found = (
            f"{image.dtype} of shape {tuple(image.shape)}"
            if isinstance(image, Tensor)
            else type(image).__name__
        )
        raise DataError(
            f"batch['image'] is {found}; wanted a float tensor (B, C, H, W). A data module of this "
            "library converts stored integers in on_after_batch_transfer; with a data loader of "
            "your own, convert them in the data set."
        )
    if image.shape[1] != in_channels:
        raise ChannelMismatchError(
            f"The images have {image.shape[1]} channels, the encoder of {batch.task!r} takes "
            f"{in_channels}. Build the task with in_channels={image.shape[1]}, or let the data "
            f"give {in_channels} (PreprocessingSpec(channels={in_channels}))."
        )
    return image


def check_indices(
    checks: DeferredChecks, values: Tensor, num_classes: int, what: str, ignore: int | None = None
) -> Tensor:
    """Check class indices, and return them in range so that no device kernel is aborted.

    Args:
        checks: Where the outcome waits.
        values: Integer tensor of any shape.
        num_classes: Indices go from 0 to ``num_classes - 1``.
        what: What holds them, for the message.
        ignore: A value outside the range that is allowed.

    Returns:
        int64 of the same shape.

    Raises:
        DataError: If they are no integers, or (perhaps at the next step) out of range.

    Example:
        >>> check_indices(DeferredChecks(), torch.tensor([0, 7]), 4, "batch['label']")
        Traceback (most recent call last):
        muscletransfer.errors.DataError: batch['label'] holds 7; wanted class indices 0 to 3, ...
    """
    if values.is_floating_point() or values.dtype == torch.bool:
        raise DataError(
            f"{what} is {values.dtype}; wanted whole class indices (torch.int64) from 0 to "
            f"{num_classes - 1}."
        )
    values = values.long()
    allowed = torch.zeros_like(values, dtype=torch.bool) if ignore is None else values == ignore
    wrong = ((values < 0) | (values >= num_classes)) & ~allowed

    def error() -> ContractError | DataError:
        found = sorted(set(values[wrong].tolist()))
        listed = ", ".join(map(str, found[:8])) + (", ..." if len(found) > 8 else "")
        also = "" if ignore is None else f" or {ignore} (ignored)"
        enough = f" num_classes={max(found) + 1} would hold them." if min(found) >= 0 else ""
        return DataError(
            f"{what} holds {listed}; wanted class indices 0 to {num_classes - 1}{also}, since the "
            f"task has num_classes={num_classes}.{enough}"
        )

    checks.add(wrong.any(), error)
    return torch.where(wrong, 0, values)
