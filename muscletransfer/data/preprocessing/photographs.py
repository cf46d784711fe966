"""Preprocessing of photographs, which are cut to a square."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from muscletransfer.data.preprocessing.spec import PreprocessingSpec
from muscletransfer.data.types import Array, SliceGeometry

__all__ = ["CoverSpec", "photograph_spec"]


@dataclass(frozen=True)
class CoverSpec(PreprocessingSpec):
    """Preprocessing that fills the network grid and cuts off what is over, around the centre.

    For photographs: their shape means nothing, and black bars would be a feature to learn.

    Example:
        >>> spec = CoverSpec(size=64, hu_window=None)
        >>> spec.geometry((100, 200)).scale, spec.geometry((100, 200)).offset
        ((0.64, 0.64), (0.0, -32.0))
    """

    def geometry(
        self,
        shape: tuple[int, int],
        spacing: tuple[float, float] | None = None,
        flip: tuple[bool, bool] = (False, False),
    ) -> SliceGeometry:
        """Return how an image of this shape lies on the grid; see `PreprocessingSpec.geometry`."""
        h, w = self.shape
        k = max(h / shape[0], w / shape[1])
        offset = (
            float(math.floor((h - shape[0] * k) / 2 + 0.5)),
            float(math.floor((w - shape[1] * k) / 2 + 0.5)),
        )
        native = (int(shape[0]), int(shape[1]))
        return SliceGeometry(native, spacing, (h, w), (k, k), offset, flip)

    def storage_dict(self) -> dict[str, Any]:
        """Return what decides the stored arrays, the cutting included."""
        return {**super().storage_dict(), "fit": "cover"}

    def seen(self, geometry: SliceGeometry) -> Array:
        """Return True everywhere: what is cut off is meant to be."""
        return np.ones(geometry.native_shape, bool)


def photograph_spec(spec: PreprocessingSpec) -> CoverSpec:
    """Return the spec for photographs that goes with a spec for slices.

    Same size, channels, percentiles, mean and deviation; no window or spacing.

    Example:
        >>> photograph_spec(PreprocessingSpec(size=64, channels=3)).hu_window is None
        True
    """
    return CoverSpec(
        size=spec.size,
        hu_window=None,
        percentiles=spec.percentiles,
        channels=spec.channels,
        mean=spec.mean,
        std=spec.std,
    )
