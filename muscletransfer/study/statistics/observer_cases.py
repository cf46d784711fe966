"""Observers' masks of the cases of a study, and how well a model's mask agrees with them."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from muscletransfer.data.manifest import Manifest
from muscletransfer.errors import GeometryError
from muscletransfer.metrics.checks import BoolMask
from muscletransfer.observers.case_files import case_files, case_key
from muscletransfer.observers.compare import compare, measure
from muscletransfer.observers.inputs import EmptyRule, StudyCase, check_cases
from muscletransfer.observers.result import ObserverStudy
from muscletransfer.observers.scores import Score

__all__ = ["Agreement", "agreement_of", "observed_cases", "reference_rows", "reference_study"]


def observed_cases(
    observers: str | Path | Manifest,
    cases: Manifest | None = None,
    label: int | None = None,
    with_hu: bool = True,
    empty: EmptyRule = "error",
) -> Iterator[tuple[StudyCase, str, list[str]]]:
    """Read the observers' masks, one case of the study at a time.

    Args:
        observers: Manifest with a row a case and observer.
        cases: The cases of the study: case ``i`` of its tables is row ``i``, and its mask is the
            reference. ``None`` where the tables call cases as an observer study does.
        label: The class that is studied; ``None`` for masks of 0 and 1.
        with_hu: Read the images as CT.
        empty: What an observer's empty mask means.

    Yields:
        The case, called as in the study's tables, its patient, and notes of what was left out.

    Raises:
        ManifestError: The two manifests share no image.
        DataError: As :func:`muscletransfer.observers.observer_study_from_manifest`.
    """
    names = {} if cases is None else {case_key(row): str(i) for i, row in enumerate(cases.rows)}
    found = case_files(observers, cases)  # raises where they share nothing
    for files in found:
        key = case_key(files.first)
        if cases is not None and key not in names:
            continue
        name = names.get(key, files.name)
        read = files.read(label, with_hu)
        checked, notes = check_cases(
            {name: read.masks},
            {name: read.spacing},
            None if read.reference is None else {name: read.reference},
            None,
            None if read.hu is None else {name: read.hu},
            empty,
        )
        patient = files.patient if cases is None else cases.rows[int(name)].patient_id
        case = replace(checked[0], ignored=read.ignored, unseen_by=read.unseen_by)
        yield case, patient, notes


class Agreement(ABC):
    """How well masks of one case agree with those of its observers.

    Args:
        score: The figure.

    Attributes:
        observers: Mean agreement of two observers; NaN with fewer than two.
        varied: Whether any two observers differ.
        notes: Observers that were left out.
        ignored: Where somebody did not look, so that no mask counts there; or ``None``.
    """

    def __init__(self, score: Score) -> None:
        self.score = score
        self.observers = math.nan
        self.varied = False
        self.notes: list[str] = []
        self.ignored: BoolMask | None = None

    @abstractmethod
    def of(self, mask: BoolMask) -> float:
        """Mean agreement of a model's mask with the observers.

        Raises:
            GeometryError: The mask is on another grid.
        """

    def _note_pairs(self, values: list[float]) -> None:
        if values:
            self.observers = float(np.mean(values))
            self.varied = any(value != self.score.perfect for value in values)


def agreement_of(case: StudyCase, score: Score) -> Agreement:
    """Prepare the comparison with the observers of a case; Dice has a fast one.

    Args:
        case: The case.
        score: The figure.

    Example:
        >>> from muscletransfer.observers.scores import score_of
        >>> half = np.array([[True, True, False, False]])
        >>> case = StudyCase("c", (1.0, 1.0), {"A": half, "B": np.roll(half, 1)})
        >>> found = agreement_of(case, score_of("dice"))
        >>> found.observers, found.of(half)
        (0.5, 0.75)
    """
    return _Overlap(case, score) if score.metric == "dice" else _Compared(case, score)


class _Overlap(Agreement):
    """Dice from packed bits: a thousandth of a second for ten observers of 512 x 512."""

    def __init__(self, case: StudyCase, score: Score) -> None:
        super().__init__(score)
        self.name = case.name
        masks = list(case.masks.values())
        self.shape = masks[0].shape
        self.bits = np.array([_packed(mask) for mask in masks])
        self.areas = _count(self.bits)
        values = []
        for i in range(len(masks)):
            values += self._dice(self.bits[i], int(self.areas[i]))[i + 1 :].tolist()
        self._note_pairs(values)

    def of(self, mask: BoolMask) -> float:
        _check_shape(self.name, mask, self.shape)
        bits = _packed(mask)
        return float(self._dice(bits, int(_count(bits[None])[0])).mean())

    def _dice(self, bits: NDArray[np.uint64], area: int) -> NDArray[np.float64]:
        shared = _count(self.bits & bits)
        total = self.areas + area
        with np.errstate(invalid="ignore"):
            return np.where(total > 0, 2 * shared / total, 1.0)  # both empty agree


class _Compared(Agreement):
    """Any figure of an observer study, by comparing the masks as one does."""

    def __init__(self, case: StudyCase, score: Score) -> None:
        super().__init__(score)
        self.case = case
        self.measures = {who: measure(case, mask) for who, mask in case.masks.items()}
        kept = [who for who in case.masks if not self._lacks(who)]
        self.notes = [
            f"case {case.name!r}: {who!r} has no {score.name}, so left out"
            for who in case.masks
            if who not in kept
        ]
        self.kept = kept
        values = []
        for one in kept:  # from both sides: a percentage is of the other
            for other in kept:
                if one != other:
                    row = compare(
                        case, case.masks[one], case.masks[other],
                        self.measures[one], self.measures[other],
                    )  # fmt: skip
                    values.append(abs(row[score.metric]))
        self._note_pairs(values)

    def of(self, mask: BoolMask) -> float:
        _check_shape(self.case.name, mask, next(iter(self.case.masks.values())).shape)
        own = measure(self.case, mask)
        values = []
        for who in self.kept:
            row = compare(self.case, mask, self.case.masks[who], own, self.measures[who])
            value = abs(row[self.score.metric])
            values.append(math.inf if math.isnan(value) else value)  # the model has failed
        return float(np.mean(values))

    def _lacks(self, who: str) -> bool:
        """An empty mask has no distance, no density, and nothing to be a percentage of."""
        found = self.measures[who]
        if not found["sma_outline_cm2"] > 0:
            return True
        wanted = found.get(str(self.score.measure), math.nan)
        return math.isnan(wanted) or (self.score.metric.endswith("_percent") and not wanted > 0)


def _check_shape(name: str, mask: BoolMask, shape: tuple[int, ...]) -> None:
    if mask.shape != shape:
        raise GeometryError(
            f"Case {name!r}: the run's mask has shape {mask.shape}, the observers' {shape}; wanted "
            "one grid, the native one."
        )


def _packed(mask: BoolMask) -> NDArray[np.uint64]:
    bits = np.packbits(mask.ravel())
    return np.pad(bits, (0, -len(bits) % 8)).view(np.uint64)


def _count(bits: NDArray[np.uint64]) -> NDArray[np.int64]:
    """Bits that are set, a row each."""
    if hasattr(np, "bitwise_count"):  # numpy 2
        counts: NDArray[Any] = np.bitwise_count(bits)
    else:
        counts = np.unpackbits(bits.view(np.uint8), axis=1)
    return np.asarray(counts.sum(axis=1, dtype=np.int64))


def reference_rows(case: StudyCase) -> list[dict[str, Any]]:
    """Compare the observers of a case with its reference, if it has one.

    Args:
        case: The case.

    Returns:
        One row an observer, as in the tables of an observer study.
    """
    if case.reference is None:
        return []
    wanted = measure(case, case.reference)
    rows = []
    for who, mask in sorted(case.masks.items()):
        found = compare(case, mask, case.reference, measure(case, mask), wanted)
        rows.append({"case": case.name, "observer": who, **found})
    return rows


def reference_study(
    rows: list[dict[str, Any]], patients: Mapping[str, str]
) -> ObserverStudy | None:
    """Make a study of the comparisons with the reference alone, for the observers' bands.

    Args:
        rows: From :func:`reference_rows`, of all cases.
        patients: Case to patient.

    Returns:
        The study, or ``None`` without rows. A figure that not every case has is left out.
    """
    if not rows:
        return None
    columns = [name for name in rows[0] if all(name in row for row in rows)]
    nothing = pd.DataFrame(columns=columns)
    return ObserverStudy(
        observers=tuple(sorted({row["observer"] for row in rows})),
        cases=tuple(dict.fromkeys(row["case"] for row in rows)),
        model_cases=(),
        pairwise=nothing,
        leave_one_out=nothing,
        against_reference=pd.DataFrame(rows)[columns],
        measures=nothing,
        consensus="majority",
        patients=patients,
    )
