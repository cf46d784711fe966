"""The label-saving factor: labels from scratch over labels with a source, for the same Dice."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

import pandas as pd

from muscletransfer.agreement.bootstrap import FEWEST_PATIENTS
from muscletransfer.agreement.checks import percent
from muscletransfer.study.results.columns import Arm

__all__ = ["Bound", "Factor", "LabelSaving", "SavingAt"]

Bound = Literal["exact", "at_least", "at_most", "unknown"]


@dataclass(frozen=True)
class Factor:
    """How many times the labels scratch needs.

    .. versionadded:: 0.1

    Args:
        value: The factor; 1 means that nothing is saved. NaN where unknown.
        bound: ``"exact"``: both curves reach the Dice within what was measured. ``"at_least"``:
            scratch does not reach it with the most labels that were measured. ``"at_most"``:
            scratch is better with the fewest already. ``"unknown"``: Dice does not rise with n, or
            is the same at the one n from scratch.
        low: Lower end of the interval; 0 where it lies below what was measured.
        high: Upper end; infinite where it lies beyond what was measured.
        confidence: Of the interval.
        few_patients: There are too few patients for an interval, so its ends are 0 and infinite.

    Example:
        >>> factor = Factor(2.0, "exact", 1.4, 3.1, 0.95)
        >>> factor.value, factor.bound
        (2.0, 'exact')
    """

    value: float
    bound: Bound
    low: float
    high: float
    confidence: float
    few_patients: bool = False

    def __str__(self) -> str:
        if self.bound == "unknown":
            return "not known"
        sign = {"exact": "", "at_least": ">= ", "at_most": "<= "}[self.bound]
        if self.few_patients:
            return f"{sign}{self.value:.3g} (no interval: fewer than {FEWEST_PATIENTS} patients)"
        if self.low <= 0 and math.isinf(self.high):
            reach = "not bounded by what was measured"
        elif self.low <= 0:
            reach = f"at most {self.high:.3g}"
        elif math.isinf(self.high):
            reach = f"at least {self.low:.3g}"
        else:
            reach = f"{self.low:.3g} to {self.high:.3g}"
        return f"{sign}{self.value:.3g} ({percent(self.confidence)} interval {reach})"


@dataclass(frozen=True)
class SavingAt:
    """The saving at one n of the source.

    .. versionadded:: 0.1

    Args:
        n: Labelled patients with the source.
        dice: Dice of its curve there.
        labels_from_scratch: Labelled patients that scratch needs for the same Dice; a bound of the
            kind that ``factor.bound`` says.
        factor: ``labels_from_scratch / n``.
        with_selection: The same with the labels that model selection cost added to both, or
            ``None`` where they are not known.

    Example:
        >>> SavingAt(5, 0.7, 10.0, Factor(2.0, "exact", 1.4, 3.1, 0.95)).factor.value
        2.0
    """

    n: int
    dice: float
    labels_from_scratch: float
    factor: Factor
    with_selection: Factor | None = None


@dataclass(frozen=True, eq=False)
class LabelSaving:
    """What a source saves against training from scratch with the same encoder and decoder.

    .. versionadded:: 0.1

    Args:
        arm: The source.
        reference: The arm from scratch.
        headline: One factor for the whole: the geometric mean over the Dice that both curves
            reach, evenly spaced (their average distance along a logarithmic axis of labels). Where
            they reach none in common it is a bound, and where an arm has one n and so no curve, the
            factor at the Dice that it has there.
        dice_range: Lowest and highest Dice of that mean, or ``None`` where the headline is none.
        per_n: The factor at each measured n of the source.
        n_patients: Patients with a value at every n of both arms; the intervals are over these.
        sentence: The headline in words.
        notes: What limits it.

    Example:
        >>> jigsaw = Arm("jigsaw", "timm/resnet18", "unet", "encoder")
        >>> random = Arm("random", "timm/resnet18", "unet", "none")
        >>> factor = Factor(2.0, "exact", 1.4, 3.1, 0.95)
        >>> at_five = SavingAt(5, 0.7, 10.0, factor)
        >>> saving = LabelSaving(jigsaw, random, factor, (0.6, 0.8), (at_five,), n_patients=40,
        ...                      sentence="Half the labels.")
        >>> saving.headline.value, saving.per_n[0].labels_from_scratch
        (2.0, 10.0)
    """

    arm: Arm
    reference: Arm
    headline: Factor
    dice_range: tuple[float, float] | None
    per_n: tuple[SavingAt, ...]
    n_patients: int
    sentence: str
    notes: tuple[str, ...] = ()

    def frame(self) -> pd.DataFrame:
        """Return ``n, dice, labels_from_scratch, factor, bound, low, high``, one row an n.

        Where the labels of model selection are known, four more columns count them too.
        """
        rows = []
        for at in self.per_n:
            row: dict[str, float | str] = {"n": at.n, "dice": at.dice}
            row["labels_from_scratch"] = at.labels_from_scratch
            row |= _cells(at.factor, "factor", "")
            if at.with_selection is not None:
                row |= _cells(at.with_selection, "factor_with_selection", "_with_selection")
            rows.append(row)
        return pd.DataFrame(rows)

    def __str__(self) -> str:
        return self.sentence


def _cells(factor: Factor, name: str, ending: str) -> dict[str, float | str]:
    return {
        name: factor.value,
        f"bound{ending}": factor.bound,
        f"low{ending}": factor.low,
        f"high{ending}": factor.high,
    }
