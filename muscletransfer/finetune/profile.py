"""What the images of a fine-tuning run looked like, so that a strange one can be told later."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Self

import torch
from torch import Tensor

__all__ = ["FeatureReference", "Spread", "TrainingProfile"]

_FORMAT = 1


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


@dataclass(frozen=True, eq=False)
class FeatureReference:
    """Pooled encoder features of training images, and how far others of the same kind lie.

    Args:
        centre: (d,) mean of each feature.
        scale: (d,) its standard deviation, never below a twentieth of the typical one.
        points: (n, d) the training images, centred and scaled.
        ordinary: (m,) distances of images that are as they should be: of validation images to
            their nearest training image, and of each training image to its nearest other.

    Example:
        >>> torch.manual_seed(0)
        <torch._C.Generator object at ...>
        >>> reference = FeatureReference.of(torch.randn(12, 4), torch.randn(3, 4))
        >>> inside, outside = reference.distance(torch.tensor([[0.0] * 4, [9.0] * 4])).tolist()
        >>> inside < 1 < outside
        True
    """

    centre: Tensor
    scale: Tensor
    points: Tensor
    ordinary: Tensor

    @classmethod
    def of(cls, training: Tensor, held_out: Tensor) -> FeatureReference | None:
        """Describe features of training images (n, d) and of held-out ones (m, d).

        Returns:
            ``None`` with fewer than three training images, or features that do not differ.
        """
        if len(training) < 3:
            return None
        training, held_out = training.double(), held_out.double()
        centre, deviation = training.mean(0), training.std(0)
        typical = float(deviation.mean())
        if not math.isfinite(typical) or typical == 0.0:
            return None
        scale = deviation.clamp_min(0.05 * typical)
        points = (training - centre) / scale
        between = _distances(points, points).fill_diagonal_(math.inf).amin(1)
        beyond = _distances((held_out - centre) / scale, points).amin(1)
        ordinary = torch.cat([between, beyond]).sort().values
        return cls(centre.float(), scale.float(), points.float(), ordinary.float())

    def distance(self, features: Tensor) -> Tensor:
        """Return how far images lie from the nearest training image.

        Args:
            features: (B, d) pooled features.

        Returns:
            (B,) where 1 is the distance of the farthest image that was as it should be.
        """
        there = (features.double().cpu() - self.centre.double()) / self.scale.double()
        nearest = _distances(there, self.points.double()).amin(1)
        return (nearest / self.ordinary[-1].double()).float()


@dataclass(frozen=True)
class TrainingProfile:
    """Ranges and features of a training set; plain tensors in a checkpoint, and no patient.

    Args:
        log_area: Natural logarithm of the outlined area in cm2; ``None`` where no spacing is known.
        density: Mean HU within outline and muscle window; ``None`` where the images are not CT.
        features: Pooled encoder features; ``None`` where they could not be had.

    Example:
        >>> profile = TrainingProfile(Spread.of([5.0, 5.1, 4.9]), None, None)
        >>> TrainingProfile.from_block(profile.to_block()) == profile
        True
    """

    log_area: Spread | None
    density: Spread | None
    features: FeatureReference | None

    def to_block(self) -> dict[str, Any]:
        """Return a dict of tensors and an int, for ``torch.load(weights_only=True)``."""
        block: dict[str, Any] = {"format": _FORMAT}
        for name in ("log_area", "density"):
            spread: Spread | None = getattr(self, name)
            block[name] = None if spread is None else spread.to_tensor()
        kept = self.features
        block["features"] = None if kept is None else {key: getattr(kept, key) for key in _PARTS}
        return block

    @classmethod
    def from_block(cls, block: Mapping[str, Any] | None) -> Self | None:
        """Rebuild from `to_block`; ``None`` for a checkpoint without one, or with a later one."""
        if block is None or block.get("format") != _FORMAT:
            return None
        spreads = [
            None if block[name] is None else Spread.from_tensor(block[name])
            for name in ("log_area", "density")
        ]
        kept = block["features"]
        features = None if kept is None else FeatureReference(*(kept[key].cpu() for key in _PARTS))
        return cls(spreads[0], spreads[1], features)


_PARTS = ("centre", "scale", "points", "ordinary")


def _distances(first: Tensor, second: Tensor) -> Tensor:
    """Root mean square difference of each pair of rows, (a, b)."""
    return torch.cdist(first, second) / math.sqrt(max(1, first.shape[1]))
