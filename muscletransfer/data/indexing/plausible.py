"""Whether numbers look like the Hounsfield units of a body."""

from __future__ import annotations

import numpy as np

from muscletransfer.data.types import Array

__all__ = ["Histogram"]

_SOFT = (-200, 300)
_LEAST_SOFT = 0.005
_WILD = (-8300, 6000)  # below the padding of any scanner, above bone; metal is a small share
_FAT = -50  # every slice of a body has fat, below this
_AIR = -300
_STEP = 2


class Histogram:
    """Shares of values, summed up over slices.

    Example:
        >>> found = Histogram()
        >>> found.add(np.full((1, 8, 8), 3000, np.int16))
        >>> found.why_not()[0]
        'values run from 3000 to 3000 (looks like HU shifted to start at 0)'
    """

    def __init__(self) -> None:
        self.count = self.soft = self.wild = 0
        self.low, self.high = np.inf, -np.inf
        self.finite = True

    def add(self, array: Array, padding: float = np.nan) -> None:
        """Take in slices ``(..., rows, columns)``, of which every fourth pixel is counted.

        Args:
            array: Values.
            padding: The value of pixels that were not measured, which say nothing.
        """
        if array.dtype.kind == "f" and not np.isfinite(array).all():
            self.finite = False
            return
        part = array[..., ::_STEP, ::_STEP]
        if np.isfinite(padding) and (array == padding).any():
            array, part = array[array != padding], part[part != padding]
        if not part.size:
            return
        self.count += part.size
        self.soft += int(((part >= _SOFT[0]) & (part <= _SOFT[1])).sum())
        self.wild += int(((part < _WILD[0]) | (part > _WILD[1])).sum())
        self.low = min(self.low, float(array.min()))
        self.high = max(self.high, float(array.max()))

    def why_not(self) -> tuple[str, str] | None:
        """Return why these are no HU, and the way out, or None."""
        if not self.finite:
            return "holds nan or infinite values", "Put -1024 where nothing was measured."
        span = f"values run from {self.low:g} to {self.high:g}"
        way_out = "Export it with the right rescale slope and intercept."
        if self.low >= 0:
            looks = "HU shifted to start at 0"
            if self.high <= 255:
                looks = "a mask" if self.high <= 1 else "labels or an 8-bit picture"
                way_out = "Nothing to do if it is no CT; else " + way_out[0].lower() + way_out[1:]
            return f"{span} (looks like {looks})", way_out
        if self.low > _FAT:
            return f"{span}: neither air nor fat is in it, so it is no HU", way_out
        if self.wild > 0.01 * self.count:
            return f"{span}, {self.wild / self.count:.0%} of them beyond any tissue", way_out
        if self.soft < _LEAST_SOFT * self.count:
            return (
                f"{span}, and {self.soft / self.count:.1%} lie between {_SOFT[0]} and {_SOFT[1]}, "
                "where soft tissue is: slope or intercept is wrong",
                way_out,
            )
        return None

    def doubt(self) -> str:
        """Return what a person should look at although nothing forbids it, or empty text."""
        if self.low > _AIR:
            return f"no value is below {self.low:g}: no air is in it, if this is HU"
        return ""
