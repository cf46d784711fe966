"""The outcome of an observer study: its tables, and the band of one figure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal, get_args

import numpy as np
import pandas as pd

from muscletransfer.agreement.quantile import quantile
from muscletransfer.errors import DataError
from muscletransfer.metrics.functional import check_option
from muscletransfer.observers.band import Band
from muscletransfer.observers.inputs import MODEL

__all__ = ["Against", "ObserverStudy"]

Against = Literal["reference", "leave_one_out", "pairwise"]


@dataclass(frozen=True, eq=False)
class ObserverStudy:
    """Tables of an observer study; units stand in the column names.

    Differences are the observer minus whom it was compared with; percentages are of the latter.
    The model, if one was passed, is the observer ``"model"``.

    .. versionadded:: 0.1

    Args:
        observers: Names of the observers, without the model.
        cases: Names of the cases.
        model_cases: Names of the cases the model has.
        pairwise: One row a case and pair: ``case, observer, other, dice, dta_rms_mm, ...``.
        leave_one_out: One row a case and observer left out, for that observer and for the model
            against the consensus of the others: ``case, left_out, observer, n_others, ...``.
        against_reference: One row a case and observer: ``case, observer, ...``.
        measures: Area (and density) of every mask, the reference's included.
        consensus: How the consensus was made.
        patients: Case to patient; intervals are over patients.
        notes: What was left out and why, and observers that are copies of each other.

    Example:
        >>> import numpy as np
        >>> from muscletransfer.observers import observer_study
        >>> masks = {f"c{i}": {"A": np.eye(9), "B": np.tri(9)} for i in range(2)}
        >>> study = observer_study(masks, dict.fromkeys(masks, (1, 1)))
        >>> study.observers, study.cases, len(study.pairwise)
        (('A', 'B'), ('c0', 'c1'), 2)
    """

    observers: tuple[str, ...]
    cases: tuple[str, ...]
    model_cases: tuple[str, ...]
    pairwise: pd.DataFrame = field(repr=False)
    leave_one_out: pd.DataFrame = field(repr=False)
    against_reference: pd.DataFrame = field(repr=False)
    measures: pd.DataFrame = field(repr=False)
    consensus: str
    patients: Mapping[str, str]
    notes: tuple[str, ...] = ()

    @property
    def comparisons(self) -> tuple[Against, ...]:
        """The comparisons that have any rows."""
        found: list[Against] = []
        if not self.against_reference.empty:
            found.append("reference")
        if not self.leave_one_out.empty:
            found.append("leave_one_out")
        if not self.pairwise.empty:
            found.append("pairwise")
        return tuple(found)

    def band(
        self,
        metric: str = "dice",
        against: Against = "reference",
        percentiles: tuple[float, float] = (2.5, 97.5),
        absolute: bool = False,
        min_cases: int = 2,
        cases: Sequence[str] | None = None,
        statistic: Literal["mean", "median"] = "mean",
    ) -> Band:
        """The human band of one figure.

        Args:
            metric: A column of the tables, such as ``"dice"`` or ``"dta_rms_mm"``.
            against: ``"reference"``, ``"leave_one_out"`` or ``"pairwise"``.
            percentiles: Lower and upper percentile over all observers and cases.
            absolute: Take the size of differences, without their sign.
            min_cases: Observers with fewer cases have no mean of their own in the band and are
                named in ``left_out``; they still count in the percentiles. Cases fewer than this
                in all lower it to their number.
            cases: Which cases; default those the model has, or all without a model, so that the
                model and the observers are judged on the same ones.
            statistic: What an observer's figure is over the cases: ``"mean"``, of what did not
                fail, or ``"median"``, of all.

        Returns:
            The :class:`Band`.

        Raises:
            DataError: No rows to make it of, or unknown cases.
            UnknownNameError: No such column, comparison or statistic.

        Example:
            >>> from muscletransfer.observers import observer_study
            >>> mask = np.zeros((9, 9), bool); mask[2:7, 2:7] = True
            >>> masks = {"c": {"A": mask, "B": np.roll(mask, 1, 0)}}
            >>> study = observer_study(masks, {"c": (1.0, 1.0)}, reference={"c": mask})
            >>> print(study.band("dice"))
            dice against the reference: means of 2 observers 0.8 to 1 (on average 0.9) on 1 case(s)
        """
        check_option("statistic", statistic, ("mean", "median"))
        over_cases = _mean if statistic == "mean" else _median
        rows = self.rows(metric, against, absolute, cases)
        is_model = rows["observer"] == MODEL
        human, machine = rows[~is_model], rows[is_model]
        needed = min(min_cases, rows["case"].nunique())
        counts = human.groupby("observer")["case"].nunique()
        enough = sorted(counts[counts >= needed].index)
        per_observer = {
            name: over_cases(human[human["observer"] == name]["value"]) for name in enough
        }
        if not per_observer:
            raise DataError(
                f"No observer has {needed} case(s) compared with {against!r}; lower min_cases."
            )
        low, high = (_percentile(human["value"], p) for p in percentiles)
        return Band(
            metric=metric,
            against=against,
            low=min(per_observer.values()),
            high=max(per_observer.values()),
            mean=float(np.mean(list(per_observer.values()))),
            percentile_low=low,
            percentile_high=high,
            percentiles=percentiles,
            statistic=statistic,
            per_observer=per_observer,
            left_out=tuple(sorted(set(counts.index) - set(enough))),
            n_cases=int(rows["case"].nunique()),
            n_failed=self._failures(human),
            model=None if machine.empty else over_cases(machine["value"]),
            model_n_failed=self._failures(machine),
        )

    def _failures(self, rows: pd.DataFrame) -> int:
        """Empty masks among those that rows are about, each once, with however many compared."""
        if self.measures.empty:  # compared with a reference alone, which is never empty
            return int(np.isinf(rows["dta_rms_mm"]).sum())
        empty = self.measures[self.measures["sma_outline_cm2"] == 0]
        keys = [set(zip(t["case"], t["observer"], strict=True)) for t in (empty, rows)]
        return len(keys[0] & keys[1])

    def bands(self, metric: str, absolute: bool = False) -> tuple[list[Band], list[str]]:
        """The bands of one figure against everything the study has.

        Args:
            metric: A column of the tables.
            absolute: Take the size of differences, without their sign.

        Returns:
            The bands, and for each one that is lacking the reason.

        Raises:
            UnknownNameError: No such column.
        """
        found, lacking = [], []
        for against in self.comparisons:
            try:
                found.append(self.band(metric, against, absolute=absolute))
            except DataError as error:
                lacking.append(f"no band {against.replace('_', ' ')}: {error}")
        return found, lacking

    def summary(self, against: Against = "reference") -> pd.DataFrame:
        """Mean of every figure for each observer, and for the model.

        Args:
            against: ``"reference"``, ``"leave_one_out"`` or ``"pairwise"``.

        Returns:
            One row an observer, with ``n_cases`` and ``n_failed`` (its own empty masks, as in a
            band). No infinite distance is in a mean, whoever's mask was empty.

        Raises:
            DataError: No rows to make it of.
            UnknownNameError: No such comparison.
        """
        table = self.rows("dta_rms_mm", against, False, self.cases)
        figures = [c for c in table.columns if c not in (*_KEYS, "value")]
        rows = []
        for observer, own in table.groupby("observer"):
            row: dict[str, object] = {"observer": observer, "n_cases": own["case"].nunique()}
            row["n_failed"] = self._failures(own)
            row |= {column: _mean(own[column]) for column in figures}
            rows.append(row)
        return pd.DataFrame(rows)

    def rows(
        self,
        metric: str,
        against: Against = "reference",
        absolute: bool = False,
        cases: Sequence[str] | None = None,
    ) -> pd.DataFrame:
        """Rows of a comparison with one figure as ``value``, each from its observer's side.

        A pair of observers has two rows, one from each side; a model and an observer have one,
        from the model's.

        Args:
            metric: A column of the tables.
            against: ``"reference"``, ``"leave_one_out"`` or ``"pairwise"``.
            absolute: Take the size of differences, without their sign.
            cases: Which cases; default those the model has, or all without a model.

        Returns:
            The rows of the comparison's table, with ``value``.

        Raises:
            DataError: No such rows, or unknown cases.
            UnknownNameError: No such column or comparison.
        """
        check_option("comparison", against, get_args(Against))
        table = {
            "reference": self.against_reference,
            "leave_one_out": self.leave_one_out,
            "pairwise": self.pairwise,
        }[against]
        check_option("metric", metric, [c for c in table.columns if c not in _KEYS])
        if cases is None:
            cases = self.model_cases or self.cases
        cases = [str(name) for name in cases]
        if unknown := [name for name in cases if name not in self.cases]:
            raise DataError(f"The study has no cases {unknown}; known: {', '.join(self.cases)}.")
        table = table[table["case"].isin(cases)]
        if against == "pairwise":
            table = pd.concat([table, _swapped(table)], ignore_index=True)
            # From an observer's side the model is not one of the observers it is compared with.
            table = table[(table["observer"] == MODEL) | (table["other"] != MODEL)]
        if table.empty:
            raise DataError(_NOTHING[against])
        value = table[metric].abs() if absolute else table[metric]
        return table.assign(value=value)


_KEYS = ("case", "observer", "other", "left_out", "n_others")
_NOTHING = {
    "reference": "No case has a reference; pass reference= to observer_study, or take "
    "against='leave_one_out'.",
    "leave_one_out": "No case has the three observers that a leave-one-out comparison needs; take "
    "against='pairwise' or against='reference'.",
    "pairwise": "No case was outlined by two observers; take against='reference'.",
}


def _swapped(table: pd.DataFrame) -> pd.DataFrame:
    """The pairs from the other's side: differences change sign, and what a percentage is of."""
    other = table.rename(columns={"observer": "other", "other": "observer"})
    for column in table.columns:
        if column.endswith("_difference_percent"):
            share = table[column] / 100
            other[column] = -100 * share / (1 + share).where(share > -1)  # NaN: of an area of 0
        elif "_difference_" in column:
            other[column] = -table[column]
    return other


def _mean(values: pd.Series) -> float:
    """Mean over what did not fail; infinite when all failed, NaN when nothing is defined."""
    known = values.dropna().to_numpy(dtype=np.float64)
    finite = known[np.isfinite(known)]
    if finite.size:
        return float(finite.mean())
    return float("inf") if known.size else float("nan")


def _median(values: pd.Series) -> float:
    return _percentile(values, 50)


def _percentile(values: pd.Series, percent: float) -> float:
    """Percentile by linear interpolation that an infinite value does not turn into NaN."""
    ordered = np.sort(values.dropna().to_numpy(dtype=np.float64))
    return quantile(ordered, percent / 100) if ordered.size else float("nan")
