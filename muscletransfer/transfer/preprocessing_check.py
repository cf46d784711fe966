"""Warn when images are prepared in another way than the weights met them."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from typing import Any

from muscletransfer.transfer.provenance import Provenance
from muscletransfer.transfer.to_plain import to_plain

__all__ = [
    "PreprocessingMismatchWarning",
    "preprocessing_differences",
    "warn_preprocessing_mismatch",
]


class PreprocessingMismatchWarning(UserWarning):
    """The parent's images and this run's images were prepared differently.

    .. versionadded:: 0.1

    Example:
        >>> import warnings
        >>> parent = Provenance(task="jigsaw", preprocessing={"size": 128})
        >>> with warnings.catch_warnings(record=True) as caught:
        ...     warnings.simplefilter("always")
        ...     warn_preprocessing_mismatch(parent, {"size": 256})
        >>> caught[0].category.__name__
        'PreprocessingMismatchWarning'
    """


def preprocessing_differences(
    parent: Mapping[str, Any], preprocessing: Mapping[str, Any]
) -> dict[str, tuple[Any, Any]]:
    """Return the fields in which two preprocessing records differ.

    Only fields that the parent recorded count: natural-image weights state a mean and a standard
    deviation and no HU window. A number equals a list that repeats it (one mean for each channel).

    .. versionadded:: 0.1

    Args:
        parent: The record of the weights.
        preprocessing: The record of this run.

    Returns:
        ``{field: (parent's value, this run's value)}``.

    Example:
        >>> preprocessing_differences({"mean": [0.5, 0.5]}, {"mean": 0.5, "size": 256})
        {}
        >>> preprocessing_differences({"size": 128}, {"size": 256})
        {'size': (128, 256)}
    """
    theirs, ours = to_plain(parent), to_plain(preprocessing)
    return {
        name: (value, ours.get(name))
        for name, value in theirs.items()
        if _simple(value) != _simple(ours.get(name))
    }


def warn_preprocessing_mismatch(
    parent: Provenance | None, preprocessing: Mapping[str, Any]
) -> None:
    """Warn with the differing fields when images are prepared unlike the parent's.

    .. versionadded:: 0.1

    Args:
        parent: ``report.provenance`` of the load; ``None`` is fine.
        preprocessing: ``datamodule.describe()["preprocessing"]``.

    Warns:
        PreprocessingMismatchWarning: If a field that the parent recorded differs.

    Example:
        >>> warn_preprocessing_mismatch(Provenance(task="jigsaw"), {"size": 256})
    """
    if parent is None:
        return
    different = preprocessing_differences(parent.preprocessing, preprocessing)
    if different:
        listed = "; ".join(f"{k}: {was!r} then, {now!r} now" for k, (was, now) in different.items())
        warnings.warn(
            f"The weights ({parent.task}) met images that were prepared in another way: {listed}. "
            "Transfer is best when both are the same; set PreprocessingSpec to match, unless this "
            "is meant.",
            PreprocessingMismatchWarning,
            stacklevel=2,
        )


def _simple(value: Any) -> Any:
    if isinstance(value, list) and value and all(item == value[0] for item in value):
        return _simple(value[0])
    return value
