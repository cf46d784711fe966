"""How many labels a source saves, from the curves of two arms over the same patients."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from muscletransfer.agreement.bootstrap import bootstrap_interval
from muscletransfer.study.results.columns import Arm
from muscletransfer.study.statistics.fits import Fit, Fits
from muscletransfer.study.statistics.saving import Factor, LabelSaving, SavingAt
from muscletransfer.study.statistics.shapes import CurveShape
from muscletransfer.study.statistics.wording import saving_sentence

__all__ = ["label_saving"]

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
    beyond the measured n: there the result is a bound.

    Args:
        fits: The curves.
        arm: The source.
        reference: The arm from scratch.
        name: What the sentence calls the source.
        confidence: Of the intervals.
        selection_labels: Labelled patients that each run spent on model selection.

    Returns:
        The saving, or ``None`` where the arms share no patient.
    """
    patients = fits.common(arm, reference)
    source, scratch = fits.of(arm, patients), fits.of(reference, patients)
    if source is None or scratch is None:
        return None
    points, samples = _labels_at(source, scratch, False), _labels_at(source, scratch, True)
    dice = source.means if source.curve is None else source.curve.at(source.n)[0]
    per_n = []
    for i, n in enumerate(source.n):
        ends = scratch.n[[0, -1]] / n
        factor = _factor(points[0, i] / n, samples[:, i] / n, ends, source.n_patients, confidence)
        own = None if selection_labels is None else _with_selection(factor, n, selection_labels)
        per_n.append(SavingAt(int(n), float(dice[i]), factor.value * n, factor, own))
    headline, dice_range = _headline(source, scratch, per_n, confidence)
    left_out = int((~patients).sum())
    notes = [f"{left_out} patient(s) lack a value at some n of the two arms"] if left_out else []
    if scratch.curve is None:
        notes.append("scratch was measured at one n: no curve to look a Dice up on")
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


def _labels_at(source: Fit, scratch: Fit, sampled: bool) -> Floats:
    """Labels that scratch needs for the Dice of the source at each of its n, ``(B or 1, K)``."""
    own = source.samples if sampled else source.curve
    if own is None:
        dice = source.sample_means if sampled else source.means[None]
    else:
        dice = own.at(source.n)
    shape = scratch.samples if sampled else scratch.curve
    if shape is None:
        return np.full(dice.shape, np.nan)
    return _look_up(shape, dice, scratch.n[0], scratch.n[-1])


def _look_up(shape: CurveShape, dice: Floats, first: float, last: float) -> Floats:
    """The n of each Dice: 0 below the measured range, infinite above, NaN on a flat curve."""
    ends = shape.at(np.array([first, last]))
    low, high = ends[:, :1], ends[:, 1:]
    found = np.clip(shape.inverse(dice), first, last)
    found = np.where(high - low <= _SAME, np.nan, found)
    found = np.where(dice > high + _SAME, np.inf, found)
    return np.where(dice < low - _SAME, 0.0, found)


def _headline(
    source: Fit, scratch: Fit, per_n: list[SavingAt], confidence: float
) -> tuple[Factor, tuple[float, float] | None]:
    if source.curve is None or scratch.curve is None:
        return per_n[0].factor, None
    assert source.samples is not None  # an arm has both or neither
    assert scratch.samples is not None
    point, low, high = _distance(source.curve, scratch.curve, source.n, scratch.n)
    samples, _, _ = _distance(source.samples, scratch.samples, source.n, scratch.n)
    ends = np.array([scratch.n[0] / source.n[-1], scratch.n[-1] / source.n[0]])
    factor = _factor(point[0], samples, ends, source.n_patients, confidence)
    return factor, (float(low[0]), float(high[0])) if factor.bound == "exact" else None


def _distance(
    source: CurveShape, scratch: CurveShape, n: Floats, n_scratch: Floats
) -> tuple[Floats, Floats, Floats]:
    """Geometric mean factor over the shared Dice, ``(B,)``, and the ends of that range."""
    own, other = source.at(n[[0, -1]]), scratch.at(n_scratch[[0, -1]])
    low, high = np.maximum(own[:, 0], other[:, 0]), np.minimum(own[:, 1], other[:, 1])
    places = (np.arange(_LEVELS) + 0.5) / _LEVELS
    dice = low[:, None] + np.maximum(high - low, 0)[:, None] * places
    with np.errstate(divide="ignore", invalid="ignore"):
        logs = np.log(scratch.inverse(dice) / source.inverse(dice)).mean(axis=1)
    found = np.where(high - low > _SAME, np.exp(logs), np.nan)
    found = np.where(own[:, 0] > other[:, 1] + _SAME, np.inf, found)
    found = np.where(other[:, 0] > own[:, 1] + _SAME, 0.0, found)
    return found, low, high


def _factor(
    point: float, samples: Floats, ends: Floats, n_patients: int, confidence: float
) -> Factor:
    """A factor of which 0, infinity and NaN stand for below, beyond and not known."""
    known = ~np.isnan(samples)
    # What is not known counts against both ends.
    low, _ = bootstrap_interval(np.where(known, samples, 0.0), n_patients, confidence)
    _, high = bootstrap_interval(np.where(known, samples, np.inf), n_patients, confidence)
    least = max(0.0, float(ends[1]) if math.isinf(low) and low > 0 else float(low))
    most = float(ends[0]) if high == 0 else float(high)
    if math.isnan(point):
        return Factor(math.nan, "unknown", least, most, confidence)
    if math.isinf(point):
        return Factor(float(ends[1]), "at_least", least, most, confidence)
    if point == 0:
        return Factor(float(ends[0]), "at_most", least, most, confidence)
    return Factor(float(point), "exact", least, most, confidence)


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
    )
