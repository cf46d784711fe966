"""Everything that is computed from the tidy table of a study."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import pandas as pd

from muscletransfer.data.files import write_text_atomic
from muscletransfer.errors import DataError
from muscletransfer.study.results.columns import Arm, check_table, with_kinds
from muscletransfer.study.statistics.curve import LearningCurve, learning_curve
from muscletransfer.study.statistics.fits import Fits
from muscletransfer.study.statistics.human import HumanComparison, HumanTest
from muscletransfer.study.statistics.human_level import compare_with_observers
from muscletransfer.study.statistics.label_saving import NO_SAVING, label_saving
from muscletransfer.study.statistics.notes import study_notes
from muscletransfer.study.statistics.paired import Family, compare_arms
from muscletransfer.study.statistics.saving import LabelSaving
from muscletransfer.study.statistics.summary import summarise
from muscletransfer.study.statistics.training import training_variation
from muscletransfer.study.statistics.values import (
    LEAST_SHARE,
    PatientValues,
    arm_labels,
    patient_values,
)

__all__ = ["TABLES", "StudyAnalysis", "analyse", "holds_tables"]

#: Every table that an analysis may have.
TABLES = ("summary", "paired", "curves", "curve_bands", "saving", "patients", "human")


@dataclass(frozen=True, eq=False)
class StudyAnalysis:
    """The statistics of a study.

    .. versionadded:: 0.1

    Args:
        arms: The arms, those from scratch first.
        labels: Arm to a short name that no other arm has.
        reference: Source that the others are compared with, such as ``"random"``.
        ns: Every n, rising.
        n_patients: Patients that were tested.
        n_runs: Runs that the table is of.
        repeats: The repeats that were found.
        dta_unit: ``"mm"``, ``"px"``, or empty where there are no distances.
        confidence: Of every interval.
        resamples: Bootstrap samples.
        seed: Of the bootstrap.
        summary: One row a metric, arm and n; columns at
            :func:`muscletransfer.study.statistics.summarise`.
        paired: One row a metric, n and pair of arms; columns at
            :func:`muscletransfer.study.statistics.compare_arms`.
        curves: One an arm.
        saving: One an arm that has a reference arm (same encoder and decoder), without the
            reference arms themselves.
        human: The comparison with observers, or ``None`` without them.
        patients: One row an arm, n and patient: what everything else was computed from.
        notes: What was left out or limits the results, in sentences.
        training_variation: Whether the intervals of curves and saving hold the variation over
            trainings too; all others are over patients alone.

    Example:
        >>> from muscletransfer.study.results import example_table
        >>> analysis = analyse(example_table(), resamples=100)
        >>> analysis.ns, analysis.n_patients, len(analysis.curves)
        ((5, 10), 8, 2)
    """

    arms: tuple[Arm, ...]
    labels: Mapping[Arm, str]
    reference: str
    ns: tuple[int, ...]
    n_patients: int
    n_runs: int
    repeats: tuple[int, ...]
    dta_unit: str
    confidence: float
    resamples: int
    seed: int
    summary: pd.DataFrame = field(repr=False)
    paired: pd.DataFrame = field(repr=False)
    curves: tuple[LearningCurve, ...] = field(repr=False)
    saving: tuple[LabelSaving, ...] = field(repr=False)
    human: HumanComparison | None = field(repr=False)
    patients: pd.DataFrame = field(repr=False)
    notes: tuple[str, ...] = ()
    training_variation: bool = False

    def tables(self) -> dict[str, pd.DataFrame]:
        """Return every result as a table, by name.

        The names are ``summary, paired, curves, curve_bands, saving, patients``, and ``human``
        where observers were given.
        """
        fits, bands, factors = [], [], []
        for curve in self.curves:
            key = {"arm": self.labels[curve.arm], **curve.arm._asdict()}
            row: dict[str, object] = {**key, "kind": curve.kind, "n_patients": curve.n_patients}
            row |= {name: getattr(curve, name) for name in ("a", "b", "c", "r_squared", "rmse")}
            fits.append({**row, "notes": "; ".join(curve.notes)})
            bands.append(curve.band.assign(**key)[[*key, *curve.band.columns]])
        for saving in self.saving:
            key = {"arm": self.labels[saving.arm], **saving.arm._asdict()}
            head = saving.headline
            whole = {"n": pd.NA, "factor": head.value, "bound": head.bound}
            whole |= {"low": head.low, "high": head.high}
            rows = pd.concat([pd.DataFrame([whole]), saving.frame()], ignore_index=True)
            rows["n"] = rows["n"].astype("Int64")
            factors.append(rows.assign(**key)[[*key, *rows.columns]])
        found = {
            "summary": self.summary,
            "paired": self.paired,
            "curves": pd.DataFrame(fits),
            "curve_bands": pd.concat(bands, ignore_index=True) if bands else pd.DataFrame(),
            "saving": pd.concat(factors, ignore_index=True) if factors else pd.DataFrame(),
            "patients": self.patients,
        }
        if self.human is not None:
            found["human"] = self.human.frame()
        return found

    def write(self, folder: str | Path) -> list[Path]:
        """Write every table as CSV, each whole or not at all.

        A ``human.csv`` of an earlier analysis is removed where this one has no observers; in a
        folder without tables of one it is somebody else's and stays.

        Args:
            folder: Where to; made if need be.

        Returns:
            The files.
        """
        tables = self.tables()
        earlier = holds_tables(folder)
        written = [
            write_text_atomic(Path(folder) / f"{name}.csv", table.to_csv(index=False))
            for name, table in tables.items()
        ]
        for name in set(TABLES) - set(tables) if earlier else ():
            (Path(folder) / f"{name}.csv").unlink(missing_ok=True)
        return written


def holds_tables(folder: str | Path) -> bool:
    """Whether an analysis wrote its tables to a folder: one name of them is nobody else's."""
    return (Path(folder) / "curve_bands.csv").is_file()


def analyse(
    table: pd.DataFrame,
    observers: HumanTest | None = None,
    *,
    reference: str = "random",
    family: Family = "all",
    selection_labels: int | None = None,
    training: bool = True,
    confidence: float = 0.95,
    resamples: int = 10_000,
    seed: int = 0,
) -> StudyAnalysis:
    """Compute the statistics of a study from its tidy table.

    .. versionadded:: 0.1

    Args:
        table: From :func:`muscletransfer.study.results.collect_results` or ``read_results``, or
            ``cases.csv`` as pandas reads it; the runs of one plan.
        observers: Observers and masks for the human-level test, or ``None`` for none.
        reference: Source that the others are compared with.
        family: Which paired tests Holm's rule takes together; see :func:`compare_arms`.
        selection_labels: Labelled patients that each run spent on model selection, to count them
            in the label-saving factor as well.
        training: Let the intervals of curves and label-saving factors hold the variation over
            trainings (another draw of training patients, another seed) as well as that over
            patients. It is estimated from repeats; with one repeat it is not known.
        confidence: Of every interval.
        resamples: Bootstrap samples.
        seed: Of the bootstrap.

    Returns:
        The analysis.

    Raises:
        DataError: The table is empty or not what it should be, or the observers outlined none of
            its cases.
        UnknownNameError: No such family or metric.

    Example:
        >>> from muscletransfer.study.results import example_table
        >>> analysis = analyse(example_table(), resamples=100)
        >>> list(analysis.labels.values()), len(analysis.saving)
        (['random', 'jigsaw'], 1)
    """
    if table.empty:
        raise DataError("The table has no rows; wanted at least one finished run.")
    table = with_kinds(table)
    check_table(table)
    units = sorted(set(table.loc[table["dta_rms"].notna(), "dta_unit"]))
    usable = table if len(units) < 2 else table.assign(dta_rms=float("nan"))
    values = patient_values(usable, reference)
    labels = arm_labels(values.arms)
    variation = training_variation(usable, values) if training else None
    fits = Fits(values, resamples, seed, variation)
    notes: list[str] = []
    if training and variation is None and table["repeat"].nunique() > 1:
        notes.append(
            "at some arm and n fewer than half of the patients were tested in two repeats, so the "
            "intervals of curves and label saving hold the variation over patients alone"
        )
    curves = _curves(fits, labels, confidence, notes)
    saving = _savings(fits, labels, reference, confidence, selection_labels, notes)
    human = None
    if observers is not None:
        human = compare_with_observers(table, observers, labels, confidence, resamples, seed)
    return StudyAnalysis(
        arms=values.arms,
        labels=labels,
        reference=reference,
        ns=values.ns,
        n_patients=len(values.patients),
        n_runs=table["run_id"].nunique(),
        repeats=tuple(sorted({int(r) for r in table["repeat"]})),
        dta_unit=units[0] if len(units) == 1 else "",
        confidence=confidence,
        resamples=resamples,
        seed=seed,
        summary=summarise(values, confidence, resamples, seed),
        paired=compare_arms(
            values, reference, family, confidence=confidence, repeats=resamples, seed=seed
        ),
        curves=curves,
        saving=saving,
        human=human,
        patients=values.frame(),
        training_variation=variation is not None,
        notes=(*study_notes(table, values, reference, units), *fits.notes, *notes),
    )


def _curves(
    fits: Fits, labels: Mapping[Arm, str], confidence: float, notes: list[str]
) -> tuple[LearningCurve, ...]:
    """The curve of each arm; arms that have none go to ``notes``."""
    curves = []
    for arm in fits.values.arms:
        fit = fits.of(arm, fits.common(arm))
        if fit is None:
            notes.append(f"{labels[arm]}: no curve, since no n has enough patients")
        else:
            curves.append(learning_curve(fit, confidence))
    return tuple(curves)


def _savings(
    fits: Fits,
    labels: Mapping[Arm, str],
    reference: str,
    confidence: float,
    selection_labels: int | None,
    notes: list[str],
) -> tuple[LabelSaving, ...]:
    """What each arm with a reference saves; arms of which it cannot be told go to ``notes``."""
    savings = []
    for arm in fits.values.arms:
        scratch = _reference_of(arm, fits.values, reference)
        if scratch is None:
            continue
        found = label_saving(fits, arm, scratch, labels[arm], confidence, selection_labels)
        if found is None:
            begun = [labels[one] for one in (arm, scratch) if not fits.cells_of(one)]
            why = "it shares no patient with scratch"
            if begun:
                why = f"{LEAST_SHARE:.0%} of the patients were tested at no n of {begun[0]} yet"
            notes.append(f"{labels[arm]}: {NO_SAVING} {why}")
        else:
            savings.append(found)
    return tuple(savings)


def _reference_of(arm: Arm, values: PatientValues, reference: str) -> Arm | None:
    """The arm from scratch with the same encoder and decoder, unless the arm is that itself."""
    if arm.source == reference:
        return None
    same = [a for a in values.arms if a.source == reference and a[1:3] == arm[1:3]]
    return same[0] if same else None
