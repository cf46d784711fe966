"""From rows to patients: one value a patient for each arm and n."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from muscletransfer.study.results.columns import Arm, check_table
from muscletransfer.study.statistics.metrics import METRICS, row_values

__all__ = [
    "LEAST_SHARE",
    "Cell",
    "PatientValues",
    "arm_labels",
    "enough_patients",
    "patient_values",
]

Cell = tuple[Arm, int]

#: An n at which fewer of the study's patients were tested is left out of the curves.
LEAST_SHARE = 0.8


@dataclass(frozen=True, eq=False)
class PatientValues:
    """Values of patients, the independent units of every test and interval.

    .. versionadded:: 0.1

    Args:
        cells: Arm and n of each row of the arrays, the reference arms first.
        patients: Patient of each column.
        values: Metric to ``(cells, patients)``: mean over repeats, cases and classes; NaN where
            a patient has no value, infinite where a mask was missed and the figure has no number.
        rows: ``(cells, patients)``, how many rows a mean is of.
        failed: ``(cells, patients)``, how many of them are missed masks.
        repeat_means: Metric ``"dice"`` by repeat, ``(cells, repeats)``: means over the patients
            that the repeats of the cell share, NaN for repeats that have tested few of them.

    Example:
        >>> from muscletransfer.study.results import example_table
        >>> values = patient_values(example_table())
        >>> values.ns, values.arms[1].source, float(values.of(values.arms[1], 5)[0])
        ((5, 10), 'jigsaw', 0.65)
    """

    cells: tuple[Cell, ...]
    patients: tuple[str, ...]
    values: Mapping[str, NDArray[np.float64]]
    rows: NDArray[np.int64]
    failed: NDArray[np.int64]
    repeat_means: NDArray[np.float64]

    @property
    def arms(self) -> tuple[Arm, ...]:
        """The arms, in order."""
        return tuple(dict.fromkeys(arm for arm, _ in self.cells))

    @property
    def ns(self) -> tuple[int, ...]:
        """Every n of any arm, rising."""
        return tuple(sorted({n for _, n in self.cells}))

    def ns_of(self, arm: Arm) -> tuple[int, ...]:
        """Every n of one arm, rising."""
        return tuple(n for own, n in self.cells if own == arm)

    def of(self, arm: Arm, n: int, metric: str = "dice") -> NDArray[np.float64]:
        """Values of the patients at one arm and n, ``(patients,)``.

        Raises:
            ValueError: There is no such cell.
            KeyError: There is no such metric.
        """
        found: NDArray[np.float64] = self.values[metric][self.cells.index((arm, n))]
        return found

    def frame(self) -> pd.DataFrame:
        """One row an arm, n and patient that was tested there, with every metric."""
        at, who = np.nonzero(self.rows)
        keys = pd.DataFrame([self.cells[i][0] for i in at], columns=list(Arm._fields))
        keys["n"] = np.array([n for _, n in self.cells], dtype=np.int64)[at]
        keys["patient"] = np.array(self.patients, dtype=object)[who]
        keys["rows"], keys["failed"] = self.rows[at, who], self.failed[at, who]
        for name, array in self.values.items():
            keys[name] = array[at, who]
        return keys


def patient_values(table: pd.DataFrame, reference: str = "random") -> PatientValues:
    """Average the rows of a study to one value a patient, arm and n.

    Every patient is tested in one fold only, so patients are independent of each other; repeats,
    cases and classes of a patient are not, and are averaged. A missed mask stays in the mean with
    Dice 0, and makes the mean of a distance infinite.

    .. versionadded:: 0.1

    Args:
        table: The tidy table, not empty.
        reference: Source whose arms come first.

    Returns:
        The values.

    Raises:
        DataError: The table is not what it should be; see
            :func:`muscletransfer.study.results.check_table`.

    Example:
        >>> from muscletransfer.study.results import example_table
        >>> once = example_table(ns=[5], patients=1, start={"random": 0.45})
        >>> again = once.assign(run_id="again", repeat=1, dice=0.75)
        >>> found = patient_values(pd.concat([once, again]))
        >>> found.of(found.arms[0], 5)
        array([0.625])
    """
    check_table(table)
    codes, arms, ns = _cells(table)
    order = sorted(
        range(len(arms)), key=lambda i: (arms[i].source != reference, tuple(arms[i]), ns[i])
    )
    place = np.empty(len(order), dtype=np.int64)
    place[order] = np.arange(len(order))
    cell = place[codes]
    who, patients = pd.factorize(table["patient"], sort=True)
    shape = (len(order), len(patients))
    flat = cell * shape[1] + who
    values = {}
    for name in METRICS:
        found = row_values(table, name)
        values[name] = _means(found, flat, shape[0] * shape[1]).reshape(shape)
    failed = table["failed"].to_numpy(dtype=bool)
    when, repeats = pd.factorize(table["repeat"], sort=True)
    each = (len(order), len(repeats), len(patients))
    at = (cell * each[1] + when) * each[2] + who
    by_repeat = _means(row_values(table, "dice"), at, math.prod(each)).reshape(each)
    return PatientValues(
        cells=tuple((arms[i], ns[i]) for i in order),
        patients=tuple(str(p) for p in patients),
        values=values,
        rows=np.bincount(flat, minlength=shape[0] * shape[1]).reshape(shape),
        failed=np.bincount(flat[failed], minlength=shape[0] * shape[1]).reshape(shape),
        repeat_means=_of_the_same(by_repeat),
    )


def _of_the_same(by_repeat: NDArray[np.float64]) -> NDArray[np.float64]:
    """Means over the patients whom the repeats of a cell share, ``(cells, repeats)``.

    In a study under way other patients would make other means, not only another training. Two
    repeats are compared where they share anybody, the ones with the most patients first; another
    one joins them where it leaves half of the patients that they share, else its mean is NaN.

    Args:
        by_repeat: ``(cells, repeats, patients)``, NaN where there is no value.
    """
    known = ~np.isnan(by_repeat)
    order = np.argsort(-known.sum(axis=2), axis=1, kind="stable")
    cells = np.arange(len(known))
    joined: NDArray[np.bool_] = np.zeros(known.shape[:2], dtype=bool)
    same = np.ones((len(known), known.shape[2]), dtype=bool)
    for repeat in order.T:
        left = same & known[cells, repeat]
        least = np.where(joined.sum(axis=1) < 2, 1, same.sum(axis=1) / 2)
        joins = left.sum(axis=1) >= least
        joined[cells[joins], repeat[joins]] = True
        same[joins] = left[joins]
    counted = joined[:, :, None] & same[:, None]
    count = np.asarray(counted.sum(axis=2))
    sums = np.where(counted, by_repeat, 0.0).sum(axis=2)
    found: NDArray[np.float64] = np.full(sums.shape, np.nan)
    np.divide(sums, count, where=count > 0, out=found)
    return found


def enough_patients(values: PatientValues) -> NDArray[np.bool_]:
    """Which cells curves are fitted to: :data:`LEAST_SHARE` of the patients or more, ``(cells,)``.

    Args:
        values: Values of the patients.
    """
    share = (~np.isnan(values.values["dice"])).mean(axis=1)
    return np.asarray(share >= LEAST_SHARE)


def _cells(table: pd.DataFrame) -> tuple[NDArray[np.int64], list[Arm], list[int]]:
    """The cell of every row, and arm and n of every cell."""
    combined = np.zeros(len(table), dtype=np.int64)
    levels = []
    for name in (*Arm._fields, "n"):
        codes, known = pd.factorize(table[name])
        combined = combined * max(1, len(known)) + codes
        levels.append(known)
    codes, found = pd.factorize(combined)
    sizes = [max(1, len(known)) for known in levels]
    places = np.unravel_index(np.asarray(found, dtype=np.int64), sizes)
    keys = [known[at] for known, at in zip(levels, places, strict=True)]
    arms = [Arm(*(str(part) for part in parts)) for parts in zip(*keys[:4], strict=True)]
    return codes.astype(np.int64), arms, [int(n) for n in keys[4]]


def _means(
    values: NDArray[np.float64], groups: NDArray[np.int64], size: int
) -> NDArray[np.float64]:
    """Mean of each group over what is not NaN; an infinite value makes it infinite."""
    known = ~np.isnan(values)
    with np.errstate(invalid="ignore"):
        sums = np.bincount(groups[known], weights=values[known], minlength=size)
        return sums / np.bincount(groups[known], minlength=size)


def arm_labels(arms: Sequence[Arm]) -> dict[Arm, str]:
    """Short names of arms: the source, and what else tells arms of the same source apart.

    .. versionadded:: 0.1

    Args:
        arms: All arms that are shown together.

    Returns:
        Arm to a name that no other arm has.

    Example:
        >>> one = Arm("jigsaw", "timm/resnet18", "unet", "encoder")
        >>> two = one._replace(transfer="encoder+decoder")
        >>> three = Arm("random", "timm/resnet18", "unet", "none")
        >>> list(arm_labels([one, two, three]).values())
        ['jigsaw (encoder)', 'jigsaw (encoder+decoder)', 'random']
    """
    labels = {}
    for arm in arms:
        same = [other for other in arms if other.source == arm.source]
        parts = [
            getattr(arm, name)
            for name in Arm._fields[1:]
            if len({getattr(other, name) for other in same}) > 1
        ]
        labels[arm] = arm.source + (f" ({', '.join(parts)})" if parts else "")
    return labels
