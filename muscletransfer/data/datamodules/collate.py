"""From cases to a batch: joining samples, and carrying what is not a tensor past Lightning."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import torch
from torch import Tensor

from muscletransfer.errors import DataError

__all__ = ["CaseList", "as_is", "join_samples"]


class CaseList:
    """One plain object a case, such as its geometry; reads like a list.

    Not a ``Sequence`` by design: Lightning rebuilds every sequence and data class of a batch when
    it moves the batch to a device, and cannot rebuild frozen ones.

    Args:
        items: One object a case.

    Example:
        >>> cases = CaseList(["a", "b", "c"])
        >>> len(cases), cases[1], cases[-2:], [c for c in cases]
        (3, 'b', ['b', 'c'], ['a', 'b', 'c'])
    """

    def __init__(self, items: Sequence[Any]) -> None:
        self._items = list(items)

    def __len__(self) -> int:
        return len(self._items)

    def __getitem__(self, index: int | slice) -> Any:
        return self._items[index]

    def __iter__(self) -> Iterator[Any]:
        return iter(self._items)

    def __repr__(self) -> str:
        return f"CaseList({self._items!r})"


def as_is(batch: dict[str, Any]) -> dict[str, Any]:
    """Return the batch that the data set has already joined; the loaders' ``collate_fn``.

    Example:
        >>> as_is({"case": 3})
        {'case': 3}
    """
    return batch


def join_samples(
    samples: Sequence[dict[str, Tensor]], source: str = "the transform"
) -> dict[str, Tensor]:
    """Stack samples of equal keys and shapes.

    Args:
        samples: One dictionary of tensors a case.
        source: What made them, for the message.

    Returns:
        The same keys with a leading batch axis.

    Raises:
        DataError: Keys or shapes differ between the samples.

    Example:
        >>> import torch
        >>> join_samples([{"x": torch.zeros(3)}, {"x": torch.ones(3)}])["x"].shape
        torch.Size([2, 3])
    """
    first = samples[0]
    for sample in samples[1:]:
        if sample.keys() != first.keys():
            raise DataError(
                f"{source} returned {sorted(sample)} for one case and {sorted(first)} for another; "
                "wanted the same keys for every case"
            )
        for key, value in sample.items():
            if value.shape != first[key].shape:
                raise DataError(
                    f"{source} returned {key!r} of shape {tuple(value.shape)} for one case and "
                    f"{tuple(first[key].shape)} for another; wanted one shape for all (crop or "
                    "resize at the end of the transform)"
                )
    return {key: torch.stack([s[key] for s in samples]) for key in first}
