"""The learning curve of an arm: Dice against the number of labelled patients."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Literal

import numpy as np
import pandas as pd

from muscletransfer.agreement.bootstrap import bootstrap_interval
from muscletransfer.errors import SettingError
from muscletransfer.study.results.columns import Arm
from muscletransfer.study.statistics.fits import FEWEST_N, Fit
from muscletransfer.study.statistics.shapes import EXPONENTS, CurveShape, PowerLaws

__all__ = ["CurveKind", "LearningCurve", "learning_curve"]

CurveKind = Literal["power_law", "pieces", "point"]

_BAND = 41  # places where the band is given


@dataclass(frozen=True, eq=False)
class LearningCurve:
    """A fitted learning curve with its band over patients, and trainings where repeats show them.

    .. versionadded:: 0.1

    Args:
        arm: Whose it is.
        kind: ``"power_law"``: Dice = 1 - a - b n^-c, by least squares on the means over patients,
            every n with the same weight. ``"pieces"`` (two or three n): the closest curve that
            never falls, straight in log n between the measured n. ``"point"``: one n, no curve.
        n: Measured n.
        dice: Mean Dice over patients at each.
        fitted: Dice of the curve at each.
        n_patients: Patients with a value at every n used.
        a: Error that remains with any number of labels; NaN unless a power law. Outside the
            measured range it is an extrapolation: describe a curve by it, predict nothing from it.
        b: Error at one label beyond ``a``, likewise.
        c: Exponent.
        r_squared: Share of the variance of ``dice`` over n that the curve explains; NaN with one n
            or when all are equal.
        rmse: Root mean square residual over n, in Dice.
        band: ``n, dice, low, high``: the curve, and its pointwise interval from fitting it again
            to each bootstrap sample.
        confidence: Of the band.
        notes: What limits the fit.
        shape: The curve as a function, or ``None`` for a point.

    Example:
        >>> from muscletransfer.study.results import example_table
        >>> from muscletransfer.study.statistics import analyse
        >>> curve = analyse(example_table(), resamples=100).curves[0]
        >>> curve.kind, curve.n, round(curve.at(5), 2)
        ('pieces', (5, 10), 0.62)
    """

    arm: Arm
    kind: CurveKind
    n: tuple[int, ...]
    dice: tuple[float, ...]
    fitted: tuple[float, ...]
    n_patients: int
    a: float
    b: float
    c: float
    r_squared: float
    rmse: float
    band: pd.DataFrame = field(repr=False)
    confidence: float
    notes: tuple[str, ...] = ()
    shape: CurveShape | None = field(default=None, repr=False)

    def at(self, n: float) -> float:
        """Dice of the curve at a number of labelled patients within the measured range.

        Raises:
            SettingError: ``n`` lies outside the measured range.
        """
        if not self.n[0] <= n <= self.n[-1]:
            raise SettingError(
                f"n is {n}; the curve of {self.arm} was measured from {self.n[0]} to {self.n[-1]} "
                "and is not drawn beyond."
            )
        if self.shape is None:
            return self.dice[0]
        return float(self.shape.at(np.array([n], dtype=np.float64))[0, 0])


def learning_curve(fit: Fit, confidence: float = 0.95) -> LearningCurve:
    """Describe the fitted curve of an arm, with its band.

    Args:
        fit: From :meth:`muscletransfer.study.statistics.fits.Fits.of`.
        confidence: Of the band, in (0, 1).

    Returns:
        The curve.
    """
    shape = fit.curve
    if shape is None:
        return _point(fit, confidence)
    fitted = shape.at(fit.n)[0]
    residual = fit.means - fitted
    around = fit.means - fit.means.mean()
    total = float((around**2).sum())
    grid = np.unique(np.concatenate([np.geomspace(fit.n[0], fit.n[-1], _BAND), fit.n]))
    samples = fit.samples
    assert samples is not None  # an arm has both or neither
    low, high = bootstrap_interval(samples.at(grid), fit.n_patients, confidence)
    law = shape if isinstance(shape, PowerLaws) else None
    return LearningCurve(
        arm=fit.arm,
        kind="pieces" if law is None else "power_law",
        n=tuple(int(n) for n in fit.n),
        dice=tuple(fit.means.tolist()),
        fitted=tuple(fitted.tolist()),
        n_patients=fit.n_patients,
        a=math.nan if law is None else float(law.a[0]),
        b=math.nan if law is None else float(law.b[0] * law.unit ** law.c[0]),
        c=math.nan if law is None else float(law.c[0]),
        r_squared=1 - float((residual**2).sum()) / total if total > 0 else math.nan,
        rmse=math.sqrt(float((residual**2).mean())),
        band=pd.DataFrame({"n": grid, "dice": shape.at(grid)[0], "low": low, "high": high}),
        confidence=confidence,
        notes=_notes(fit, law),
        shape=shape,
    )


def _point(fit: Fit, confidence: float) -> LearningCurve:
    low, high = bootstrap_interval(fit.sample_means, fit.n_patients, confidence)
    return LearningCurve(
        arm=fit.arm,
        kind="point",
        n=tuple(int(n) for n in fit.n),
        dice=tuple(fit.means.tolist()),
        fitted=tuple(fit.means.tolist()),
        n_patients=fit.n_patients,
        a=math.nan,
        b=math.nan,
        c=math.nan,
        r_squared=math.nan,
        rmse=0.0,
        band=pd.DataFrame({"n": fit.n, "dice": fit.means, "low": low, "high": high}),
        confidence=confidence,
        notes=("one n: no curve",),
    )


def _notes(fit: Fit, law: PowerLaws | None) -> tuple[str, ...]:
    """What a reader has to know before believing a curve."""
    if law is None:
        return (
            f"{len(fit.n)} n: straight in log n between the means (made to never fall), since a "
            f"power law wants {FEWEST_N}",
        )
    notes = []
    if len(fit.n) == FEWEST_N:
        notes.append(f"{FEWEST_N} n for three parameters: the goodness of fit says little")
    if law.b[0] == 0:
        notes.append("flat: Dice does not rise with n")
    elif not EXPONENTS[0] * 1.001 < law.c[0] < EXPONENTS[1] * 0.999:
        notes.append(f"the exponent is at its bound, {law.c[0]:.3g}")
    return tuple(notes)
