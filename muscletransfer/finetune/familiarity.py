"""How far an image's features lie from those of the images that a network was trained on."""

from __future__ import annotations

import math
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Self

import torch
from torch import Tensor

from muscletransfer.finetune.spread import Spread

__all__ = ["FALSE_ALARMS", "FeatureReference"]

FALSE_ALARMS = 0.05
"""Share of further images like the training ones that a distance of 1 is expected to pass by."""

_FEWEST = 4  # patients: each is looked at from the others, and three say little enough
_SHRINKAGE = 0.5
_LEAST_SCALE = 0.05
_TENSORS = ("centre", "scale", "points")


@dataclass(frozen=True, eq=False)
class FeatureReference:
    """Features of training and validation images, and how far others of the same kind lie.

    The distance is Mahalanobis' with a covariance that is shrunk half-way to the variances alone:
    there are far more features than images, so what counts is mostly how far an image lies outside
    all mixtures of the known ones. How far an ordinary image lies is learnt from each patient in
    turn, seen from the others. The limit is that of a normal sample of the logarithms of these
    distances, or the one among them that as many would pass by their order alone, if that is
    farther: their upper tail is often longer than a normal one.

    Args:
        centre: (d,) mean of each feature.
        scale: (d,) its standard deviation, never below a twentieth of the typical one.
        points: (n, d) the images, centred and scaled.
        ordinary: Logarithms of the distances of patients from the others; counted by patient.
        farthest: The one in order that `FALSE_ALARMS` of further ones would pass; the last of few.

    Example:
        >>> _ = torch.manual_seed(0)
        >>> reference = FeatureReference.of(torch.randn(12, 40))
        >>> inside, outside = reference.distance(torch.stack([torch.randn(40), torch.ones(40) * 9]))
        >>> bool(inside < 1 < outside)
        True
    """

    centre: Tensor
    scale: Tensor
    points: Tensor
    ordinary: Spread
    farthest: float

    @classmethod
    def of(cls, features: Tensor, patients: Sequence[Hashable] | None = None) -> Self | None:
        """Describe images by their features.

        Args:
            features: (n, d).
            patients: Whose image each is; each another's if not given.

        Returns:
            ``None`` with fewer than four patients, or where features do not differ.
        """
        owners = list(range(len(features))) if patients is None else list(patients)
        known = list(dict.fromkeys(owners))
        if len(known) < _FEWEST or not _differ(features):
            return None
        index = torch.tensor([known.index(owner) for owner in owners])
        logs: list[float] = []
        for number in range(len(known)):
            others, mine = features[index != number], features[index == number]
            if not _differ(others):
                return None
            centre, scale, points = _standardised(others)
            there = (mine.double() - centre) / scale
            logs += _logarithm(_Metric(points).distance(there)).tolist()
        together = torch.tensor(logs, dtype=torch.float64)
        ordinary = Spread(len(known), float(together.mean()), float(together.std()))
        place = math.ceil((len(logs) + 1) * (1 - FALSE_ALARMS))
        farthest = sorted(logs)[min(place, len(logs)) - 1]
        centre, scale, points = _standardised(features)
        return cls(centre.float(), scale.float(), points.float(), ordinary, farthest)

    @cached_property
    def limit(self) -> float:
        """Logarithm of the distance that `FALSE_ALARMS` of further ordinary images would pass."""
        return max(self.ordinary.interval(1 - 2 * FALSE_ALARMS)[1], self.farthest)

    def distance(self, features: Tensor) -> Tensor:
        """Return how far images lie, on a scale of what is ordinary.

        Args:
            features: (B, d).

        Returns:
            (B,) where 0 is typical of further images like the training ones, and 1 is what
            `FALSE_ALARMS` of them would pass.
        """
        there = (features.double().cpu() - self.centre.double()) / self.scale.double()
        away = _logarithm(self._metric.distance(there))
        return ((away - self.ordinary.mean) / (self.limit - self.ordinary.mean)).float()

    @cached_property
    def _metric(self) -> _Metric:
        return _Metric(self.points.double())

    def to_block(self) -> dict[str, Tensor]:
        """Return plain tensors for a checkpoint."""
        parts: dict[str, Tensor] = {name: getattr(self, name) for name in _TENSORS}
        farthest = torch.tensor(self.farthest, dtype=torch.float64)
        return parts | {"ordinary": self.ordinary.to_tensor(), "farthest": farthest}

    @classmethod
    def from_block(cls, block: Mapping[str, Tensor]) -> Self:
        """Rebuild from `to_block`."""
        centre, scale, points = (block[name].cpu() for name in _TENSORS)
        return cls(
            centre, scale, points, Spread.from_tensor(block["ordinary"]), float(block["farthest"])
        )


class _Metric:
    """Mahalanobis' distance from the origin with a shrunk covariance of standardised points."""

    def __init__(self, points: Tensor) -> None:
        _, values, axes = torch.linalg.svd(points, full_matrices=False)
        variance = values**2 / max(1, len(points) - 1)
        self.axes = axes
        self.variance = (1 - _SHRINKAGE) * variance + _SHRINKAGE

    def distance(self, there: Tensor) -> Tensor:
        along = there @ self.axes.T
        beyond = (there.square().sum(1) - along.square().sum(1)).clamp_min(0)
        total: Tensor = beyond / _SHRINKAGE + (along.square() / self.variance).sum(1)
        return (total / there.shape[1]).sqrt()


def _standardised(features: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    features = features.double()
    centre, deviation = features.mean(0), features.std(0)
    scale = deviation.clamp_min(_LEAST_SCALE * float(deviation.mean()))
    return centre, scale, (features - centre) / scale


def _differ(features: Tensor) -> bool:
    typical = float(features.double().std(0).mean())
    return math.isfinite(typical) and typical > 0


def _logarithm(distances: Tensor) -> Tensor:
    return distances.clamp_min(1e-6).log()
