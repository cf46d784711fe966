"""The settings of preprocessing: checked, plain, hashable."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any, Self

import numpy as np

from muscletransfer.errors import SettingError, close_matches

__all__ = ["AIR_HU", "PreprocessingFields"]

#: Hounsfield units of what lies outside an image.
#:
#: .. versionadded:: 0.1
AIR_HU = -1024


@dataclass(frozen=True)
class PreprocessingFields:
    """What a `PreprocessingSpec` is made with; see there.

    Raises:
        SettingError: A field has a value that cannot work; the message says which would.
    """

    spacing: float | None = None
    size: int | tuple[int, int] = 256
    hu_window: tuple[float, float] | None = (-150.0, 250.0)
    percentiles: tuple[float, float] | None = None
    channels: int = 1
    mean: float | tuple[float, ...] = 0.0
    std: float | tuple[float, ...] = 1.0

    def __post_init__(self) -> None:
        # Lists (from YAML and JSON) and numpy's numbers become plain, and each value is written one
        # way (-150.0 and not -150; 256 and not 256 x 256), so that equal specs compare, hash and
        # print equal and go into a checkpoint. Ids of runs come from what is printed.
        for f in fields(self):
            object.__setattr__(self, f.name, _plain(getattr(self, f.name)))
        _check(self)
        for name in ("spacing", "hu_window", "percentiles", "mean", "std"):
            object.__setattr__(self, name, _fractional(getattr(self, name)))
        if isinstance(self.size, tuple) and len(set(self.size)) == 1:
            object.__setattr__(self, "size", self.size[0])

    @property
    def shape(self) -> tuple[int, int]:
        """``(h, w)`` of the network grid."""
        return (self.size, self.size) if isinstance(self.size, int) else self.size

    @property
    def stored_channels(self) -> int:
        """Channels of the int16 arrays; 3 only for plain images with ``channels=3``."""
        return 3 if self.hu_window is None and self.channels == 3 else 1

    @property
    def pad_value(self) -> int:
        """What lies outside the slice on the network grid; air for CT, 0 otherwise."""
        return 0 if self.hu_window is None else AIR_HU

    def to_dict(self) -> dict[str, Any]:
        """Return plain types for JSON, YAML and checkpoints."""
        return {
            f.name: list(v) if isinstance(v := getattr(self, f.name), tuple) else v
            for f in fields(self)
        }

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Self:
        """Rebuild from `to_dict`.

        Raises:
            SettingError: A key that is no field; close matches are offered.
        """
        if not isinstance(data, Mapping):
            raise SettingError(
                f"preprocessing is a {type(data).__name__}; wanted the dictionary of to_dict()."
            )
        known = [f.name for f in fields(cls)]
        for key in data:
            if key not in known:
                near = close_matches(key, known)
                hint = f" Did you mean {', '.join(near)}?" if near else ""
                raise SettingError(
                    f"preprocessing has no field {key!r}.{hint} Fields: {', '.join(known)}."
                )
        return cls(**data)

    def storage_dict(self) -> dict[str, Any]:
        """Return what decides the stored arrays: not the window's numbers, mean or std."""
        return {
            "spacing": self.spacing,
            "size": list(self.shape),
            "ct": self.hu_window is not None,
            "percentiles": None if self.percentiles is None else list(self.percentiles),
            "stored_channels": self.stored_channels,
        }


def _check(spec: PreprocessingFields) -> None:
    """Raise for a field with a value that cannot work, and say which would."""
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


def _plain(value: object) -> Any:
    """Return lists as tuples and numpy's numbers as Python's."""
    if isinstance(value, (list, tuple)):
        return tuple(_plain(v) for v in value)
    return value.item() if isinstance(value, np.generic) else value


def _fractional(value: Any) -> Any:
    """Return checked numbers as floats."""
    if isinstance(value, tuple):
        return tuple(float(v) for v in value)
    return None if value is None else float(value)


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
