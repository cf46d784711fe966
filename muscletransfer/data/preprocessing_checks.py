"""The checks of a `PreprocessingSpec`: each message says what was given and what would work."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np

from muscletransfer.errors import SettingError

if TYPE_CHECKING:
    from muscletransfer.data.preprocessing import PreprocessingSpec

__all__ = ["check_fields", "plain"]


def check_fields(spec: PreprocessingSpec) -> None:
    """Check every field of a spec.

    Raises:
        SettingError: A field has a value that cannot work, with one that could.
    """
    if spec.spacing is not None and not (_is_number(spec.spacing) and spec.spacing > 0):
        raise SettingError(f"spacing is {spec.spacing!r}; wanted mm above 0, or None to fit.")
    rows_columns = (spec.size,) if isinstance(spec.size, int) else spec.size
    if (
        not isinstance(rows_columns, tuple)
        or len(rows_columns) not in (1, 2)
        or not all(isinstance(s, int) and s >= 8 for s in rows_columns)
    ):
        raise SettingError(
            f"size is {spec.size!r}; wanted pixels, at least 8: 256 or (rows, columns)."
        )
    if spec.hu_window is not None:
        _check_pair("hu_window", spec.hu_window, -32768, 32767, "HU, such as (-150, 250)")
        if spec.percentiles is not None:
            raise SettingError(
                f"hu_window={spec.hu_window} and percentiles={spec.percentiles} exclude each "
                "other. For CT drop percentiles; for other images set hu_window=None."
            )
    if spec.percentiles is not None:
        _check_pair("percentiles", spec.percentiles, 0, 100, "per cent, such as (1, 99)")
    if spec.channels not in (1, 3):
        raise SettingError(f"channels is {spec.channels!r}; wanted 1 or 3.")
    for name in ("mean", "std"):
        value = getattr(spec, name)
        values = value if isinstance(value, tuple) else (value,)
        if len(values) not in (1, spec.channels) or not all(_is_number(v) for v in values):
            raise SettingError(
                f"{name} is {value!r}; wanted one number or {spec.channels} (channels)."
            )
        if name == "std" and any(v <= 0 for v in values):
            raise SettingError(f"std is {value!r}; wanted above 0.")


def plain(value: object) -> Any:
    """Return lists as tuples and numpy's numbers as Python's."""
    if isinstance(value, (list, tuple)):
        return tuple(plain(v) for v in value)
    return value.item() if isinstance(value, np.generic) else value


def _is_number(value: object) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value)


def _check_pair(name: str, pair: object, low: float, high: float, what: str) -> None:
    if (
        not isinstance(pair, tuple)
        or len(pair) != 2
        or not all(_is_number(v) for v in pair)
        or not low <= pair[0] < pair[1] <= high
    ):
        raise SettingError(
            f"{name} is {pair!r}; wanted two rising numbers in {what}, from {low} to {high}."
        )
