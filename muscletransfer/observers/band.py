"""The human band: how far the observers' figures reach, and where the model's lies."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

__all__ = ["Band"]

_WHOM = {
    "reference": "the reference",
    "leave_one_out": "the consensus of the others",
    "pairwise": "one another",
}


@dataclass(frozen=True)
class Band:
    """The range of one figure over the observers of a study.

    Each observer's figure is its mean (or median) over the cases. A failure (an infinite distance)
    is not in a mean; it is in a median. ``n_failed`` counts them.

    .. versionadded:: 0.1

    Args:
        metric: The column it is about.
        against: What the observers were compared with.
        low: Smallest figure of an observer.
        high: Largest figure of an observer.
        mean: Mean of the observers' figures.
        percentile_low: Lower percentile over all observers and cases, failures included.
        percentile_high: Upper percentile over all observers and cases, failures included.
        percentiles: Which percentiles these are.
        statistic: ``"mean"`` or ``"median"``.
        per_observer: Figure of each observer that counts.
        left_out: Observers with too few cases to have a figure of their own.
        n_cases: Number of cases.
        n_failed: Failures of the observers: empty masks, each counted once, however many it was
            compared with.
        model: Figure of the model over the same cases, or ``None`` without a model.
        model_n_failed: Failures of the model, likewise.

    Example:
        >>> import numpy as np
        >>> from muscletransfer.observers import observer_study
        >>> masks = {f"c{i}": {"A": np.eye(9), "B": np.tri(9), "C": np.ones((9, 9))} for i in "12"}
        >>> band = observer_study(masks, dict.fromkeys(masks, (1, 1))).band("dice", "pairwise")
        >>> sorted(band.per_observer), band.low < band.high
        (['A', 'B', 'C'], True)
    """

    metric: str
    against: str
    low: float
    high: float
    mean: float
    percentile_low: float
    percentile_high: float
    percentiles: tuple[float, float]
    statistic: str
    per_observer: Mapping[str, float]
    left_out: tuple[str, ...]
    n_cases: int
    n_failed: int
    model: float | None = None
    model_n_failed: int = 0

    @property
    def model_inside(self) -> bool | None:
        """Whether the model's figure lies between ``low`` and ``high``; ``None`` without a model.

        This is a description of the sample. It has no error bars: a model can lie inside by
        chance, and one that is better than every observer lies outside.
        """
        return None if self.model is None else self.low <= self.model <= self.high

    def __str__(self) -> str:
        text = (
            f"{self.metric} against {_WHOM[self.against]}: {self.statistic}s of "
            f"{len(self.per_observer)} observers {self.low:.4g} to {self.high:.4g} (on average "
            f"{self.mean:.4g}) on {self.n_cases} case(s)"
        )
        if self.n_failed:
            text += f", {self.n_failed} failed"
        if self.left_out:
            text += f", left out: {', '.join(self.left_out)}"
        if self.model is not None and not math.isnan(self.model):
            where = "below" if self.model < self.low else "above"
            text += f"; model {self.model:.4g}"
            if self.low < self.high:  # of two observers, who have one figure, there is no range
                text += f", {'inside' if self.model_inside else where}"
            text += f", {self.model_n_failed} failed" if self.model_n_failed else ""
        return text
