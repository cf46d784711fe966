"""Number, mean and spread of one measure, and where further cases would lie."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

__all__ = ["Spread"]


@dataclass(frozen=True)
class Spread:
    """Number, mean and standard deviation of one measure over the training cases.

    Args:
        count: Cases.
        mean: Mean.
        deviation: Standard deviation with ``count - 1``.

    Example:
        >>> spread = Spread.of([10.0, 12.0, 14.0, 12.0])
        >>> spread.count, spread.mean, round(spread.deviation, 3)
        (4, 12.0, 1.633)
        >>> low, high = spread.interval()
        >>> low < 10.0 and high > 14.0
        True
    """

    count: int
    mean: float
    deviation: float

    @classmethod
    def of(cls, values: Sequence[float]) -> Spread | None:
        """Sum up the finite values; ``None`` for fewer than three, which say nothing of spread."""
        known = torch.tensor([v for v in values if math.isfinite(v)], dtype=torch.float64)
        if len(known) < 3:
            return None
        return cls(len(known), float(known.mean()), float(known.std()))

    def interval(self, coverage: float = 0.99) -> tuple[float, float]:
        """Return where one further case of the same kind would lie.

        The prediction interval of a normal sample: mean +- t * deviation * sqrt(1 + 1 / count),
        which is wide after few cases and so does not call a patient strange for want of others.

        Args:
            coverage: Share of further cases inside.
        """
        from scipy.stats import t  # here: training has no need of scipy

        quantile = float(t.ppf(0.5 + coverage / 2, self.count - 1))
        reach = quantile * self.deviation * math.sqrt(1 + 1 / self.count)
        return self.mean - reach, self.mean + reach

    def to_tensor(self) -> Tensor:
        """Return (count, mean, deviation) as float64."""
        return torch.tensor([self.count, self.mean, self.deviation], dtype=torch.float64)

    @classmethod
    def from_tensor(cls, stored: Tensor) -> Spread:
        """Rebuild from `to_tensor`."""
        count, mean, deviation = stored.tolist()
        return cls(int(count), mean, deviation)
