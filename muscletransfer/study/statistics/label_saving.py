"""How many labels a source saves, from the curves of two arms over the same patients."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from muscletransfer.agreement.bootstrap import FEWEST_PATIENTS, bootstrap_interval
from muscletransfer.study.results.columns import Arm
from muscletransfer.study.statistics.fits import Fit, Fits
from muscletransfer.study.statistics.saving import Bound, Factor, LabelSaving, SavingAt
from muscletransfer.study.statistics.shapes import CurveShape
from muscletransfer.study.statistics.usefulness import NOT_USEFUL, poor_outlines
from muscletransfer.study.statistics.wording import saving_sentence

__all__ = ["NO_SAVING", "label_saving"]

#: With this begins the reason why two arms have no factor, in the notes of an analysis.
NO_SAVING = "no label saving, since"

Floats = NDArray[np.float64]

_SAME = 1e-9  # Dice closer than this are one
_LEVELS = 33  # Dice at which the distance of two curves is taken


def label_saving(
    fits: Fits,
    arm: Arm,
    reference: Arm,
    name: str,
    confidence: float = 0.95,
    selection_labels: int | None = None,
) -> LabelSaving | None:
    """Compare the curve of a source with that of training from scratch.

    At each measured n of the source the Dice of its curve is looked up on the curve from scratch.
    Both are fitted to the patients that have a value at every n of both, and for the interval
    again to each bootstrap sample of these patients, the same sample for both. Nothing is looked up
    beyond the measured n: there the result is a bound. Of scratch at one n its Dice is looked up on
    the curve of the source instead, for the headline. Where a curve is drawn through two or three
    n, the interval also holds every other way in which it may rise between them.

    Args:
        fits: The curves.
        arm: The source.
        reference: The arm from scratch.
        name: What the sentence calls the source.
        confidence: Of the intervals.
        selection_labels: Labelled patients that each run spent on model selection.

    Returns:
        The saving, or ``None`` where the arms share no patient, or one has no n with enough of
        them.
    """
    patients = fits.common(arm, reference)
    source, scratch = fits.of(arm, patients), fits.of(reference, patients)
    if source is None or scratch is None:
        return None
    points, (lows, highs) = _labels_at(source, scratch, False)[0], _labels_at(source, scratch, True)
    dice = source.means if source.curve is None else source.curve.at(source.n)[0]
    per_n = []
    for i, n in enumerate(source.n):
        ends = scratch.n[[0, -1]] / n
        samples = lows[:, i] / n, highs[:, i] / n
        factor = _factor(points[0, i] / n, samples, ends, source.n_patients, confidence)
        own = None if selection_labels is None else _with_selection(factor, n, selection_labels)
        labels = float(factor.value * n)
        per_n.append(SavingAt(int(n), float(dice[i]), labels, factor, own))
    headline, dice_range = _headline(source, scratch, per_n, confidence)
    left_out = int((~patients).sum())
    notes = [f"{left_out} patient(s) lack a value at some n of the two arms"] if left_out else []
    if scratch.curve is None:
        notes.append("scratch was measured at one n: the factor at each n is a bound")
    poor = poor_outlines(fits.values, (arm, reference))
    if poor is not None:
        notes.append(f"neither arm {NOT_USEFUL}: {poor}")
    sentence = saving_sentence(
        name, headline, dice_range, (source.n[0], source.n[-1]), (scratch.n[0], scratch.n[-1])
    )
    return LabelSaving(
        arm=arm,
        reference=reference,
        headline=headline,
        dice_range=dice_range,
        per_n=tuple(per_n),
        n_patients=source.n_patients,
        sentence=sentence,
        notes=tuple(notes),
    )


def _labels_at(source: Fit, scratch: Fit, sampled: bool) -> tuple[Floats, Floats]:
    """Labels that scratch needs for the Dice of the source at each of its n.

    Returns:
        ``(1, K)`` twice for the means, and lower and upper bound ``(B, K)`` for the samples.
    """
    own = source.samples if sampled else source.curve
    if own is None:
        dice = source.sample_means if sampled else source.means[None]
    else:
        dice = own.at(source.n)
    shape = scratch.samples if sampled else scratch.curve
    if shape is None:  # of one n only better and worse can be told
        ends = np.repeat(scratch.sample_means if sampled else scratch.means[None], 2, axis=1)
        found = _within(np.full(dice.shape, np.nan), dice, ends, scratch.n)
        return found, found
    low, high = shape.bounds(dice) if sampled else (shape.inverse(dice),) * 2
    ends = shape.at(scratch.n[[0, -1]])
    return _within(low, dice, ends, scratch.n), _within(high, dice, ends, scratch.n)


def _within(found: Floats, dice: Floats, ends: Floats, n: Floats) -> Floats:
    """The n of each Dice: 0 below the measured range, infinite above, NaN on a flat curve."""
    low, high = ends[:, :1], ends[:, 1:]
    found = np.where(high - low <= _SAME, np.nan, np.clip(found, n[0], n[-1]))
    found = np.where(dice > high + _SAME, np.inf, found)
    return np.where(dice < low - _SAME, 0.0, found)


def _headline(
    source: Fit, scratch: Fit, per_n: list[SavingAt], confidence: float
) -> tuple[Factor, tuple[float, float] | None]:
    if source.curve is not None and scratch.curve is None:
        return _at_one_n(source, scratch, confidence), None
    if source.curve is None or scratch.curve is None:
        return per_n[0].factor, None
    assert source.samples is not None  # an arm has both or neither
    assert scratch.samples is not None
    shared = _Shared(source.curve, scratch.curve, source.n, scratch.n)
    point = shared.factor(scratch.curve.inverse(shared.dice), source.curve.inverse(shared.dice))
    sampled = _Shared(source.samples, scratch.samples, source.n, scratch.n)
    own, other = source.samples.bounds(sampled.dice), scratch.samples.bounds(sampled.dice)
    samples = sampled.factor(other[0], own[1]), sampled.factor(other[1], own[0])
    ends = np.array([scratch.n[0] / source.n[-1], scratch.n[-1] / source.n[0]])
    factor = _factor(point[0], samples, ends, source.n_patients, confidence)
    if factor.bound != "exact":
        return factor, None
    return factor, (float(shared.low[0]), float(shared.high[0]))


def _at_one_n(source: Fit, scratch: Fit, confidence: float) -> Factor:
    """The factor where scratch has one n: its Dice there is looked up on the source's curve."""
    n = scratch.n[0]
    with np.errstate(divide="ignore"):
        point = n / _labels_at(scratch, source, False)[0][0, 0]
        highs, lows = (n / labels[:, 0] for labels in _labels_at(scratch, source, True))
    return _factor(
        float(point), (lows, highs), n / source.n[[-1, 0]], source.n_patients, confidence
    )


class _Shared:
    """The Dice that two curves both reach within what was measured."""

    def __init__(
        self, source: CurveShape, scratch: CurveShape, n: Floats, n_scratch: Floats
    ) -> None:
        self.own, self.other = source.at(n[[0, -1]]), scratch.at(n_scratch[[0, -1]])
        self.low = np.maximum(self.own[:, 0], self.other[:, 0])
        self.high = np.minimum(self.own[:, 1], self.other[:, 1])
        places = (np.arange(_LEVELS) + 0.5) / _LEVELS
        self.dice = self.low[:, None] + np.maximum(self.high - self.low, 0)[:, None] * places

    def factor(self, labels_scratch: Floats, labels_source: Floats) -> Floats:
        """Geometric mean factor, ``(B,)``; infinite, 0 or NaN where no Dice is shared."""
        with np.errstate(divide="ignore", invalid="ignore"):
            logs = np.log(labels_scratch / labels_source).mean(axis=1)
        found = np.where(self.high - self.low > _SAME, np.exp(logs), np.nan)
        found = np.where(self.own[:, 0] > self.other[:, 1] + _SAME, np.inf, found)
        return np.where(self.other[:, 0] > self.own[:, 1] + _SAME, 0.0, found)


def _factor(
    point: float,
    samples: tuple[Floats, Floats],
    ends: Floats,
    n_patients: int,
    confidence: float,
) -> Factor:
    """A factor of which 0, infinity and NaN stand for below, beyond and not known."""
    lows, highs = samples
    # What is not known counts against both ends.
    low, _ = bootstrap_interval(np.where(np.isnan(lows), 0.0, lows), n_patients, confidence)
    highs = np.where(np.isnan(highs), np.inf, highs)
    _, high = bootstrap_interval(highs, n_patients, confidence)
    least = max(0.0, float(ends[1]) if math.isinf(low) and low > 0 else float(low))
    most = float(ends[0]) if high == 0 else float(high)
    value = float(point)
    bound: Bound = "exact"
    if math.isnan(point):
        bound = "unknown"
    elif math.isinf(point):
        value, bound = float(ends[1]), "at_least"
    elif point == 0:
        value, bound = float(ends[0]), "at_most"
    return Factor(value, bound, least, most, confidence, n_patients < FEWEST_PATIENTS)


def _with_selection(factor: Factor, n: float, labels: int) -> Factor:
    """The factor with the labels of model selection added to both sides."""

    def moved(value: float) -> float:
        return (value * n + labels) / (n + labels) if value > 0 else 0.0

    return Factor(
        moved(factor.value) if factor.bound != "unknown" else math.nan,
        factor.bound,
        moved(factor.low),
        moved(factor.high),
        factor.confidence,
        factor.few_patients,
    )
