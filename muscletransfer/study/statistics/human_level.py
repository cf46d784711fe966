"""Every arm and n beside the observers, from the masks of the runs."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from io import BytesIO
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from muscletransfer.agreement.bootstrap import Estimate
from muscletransfer.errors import DataError, SettingError
from muscletransfer.observers.band import Band
from muscletransfer.observers.case_files import unseen_notes
from muscletransfer.observers.result import ObserverStudy
from muscletransfer.observers.scores import Score, score_of
from muscletransfer.observers.study import compare_columns
from muscletransfer.observers.verdict import Outcome, decide, sentence
from muscletransfer.study.results.columns import Arm
from muscletransfer.study.results.masks import read_masks
from muscletransfer.study.running.opening import open_store
from muscletransfer.study.running.store import Store
from muscletransfer.study.statistics.human import HumanComparison, HumanTest, HumanVerdict
from muscletransfer.study.statistics.observer_cases import (
    Agreement,
    agreement_of,
    observed_cases,
    reference_rows,
    reference_study,
)
from muscletransfer.study.statistics.resampling import mean_intervals

__all__ = ["compare_with_observers"]

Key = tuple[Arm, int, int]


@dataclass
class _Seen:
    """What the observers drew of the cases that were tested; the masks themselves are let go."""

    agreements: dict[str, Agreement] = field(default_factory=dict)
    patients: dict[str, str] = field(default_factory=dict)
    observers: set[str] = field(default_factory=set)
    rows: list[dict[str, Any]] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)


#: Figures of the table, and their columns in an observer study.
_BANDS = {
    "dice": "dice",
    "dta_rms": "dta_rms_mm",
    "sma_error_percent": "sma_difference_percent",
    "smd_error_hu": "smd_difference_hu",
}


def compare_with_observers(
    table: pd.DataFrame,
    test: HumanTest,
    labels: Mapping[Arm, str],
    confidence: float = 0.95,
    repeats: int = 10_000,
    seed: int = 0,
) -> HumanComparison:
    """Test at each arm and n whether a model could take the place of an observer.

    The question is that of :func:`muscletransfer.observers.human_level`: in each case the mean
    agreement of the model with the observers minus the mean agreement of two observers. A patient's
    differences are averaged over repeats (and cases), and the interval is over patients. Every
    repeat is tested alone as well.

    Args:
        table: The tidy table.
        test: Observers, masks and margin.
        labels: Arm to what sentences call it.
        confidence: Of the intervals.
        repeats: Bootstrap samples.
        seed: Of the bootstrap.

    Returns:
        The comparison.

    Raises:
        DataError: The observers outlined no case that was tested, or no case was outlined by two.
        SettingError: A margin that cannot be one.
        UnknownNameError: No such metric.
    """
    score = score_of(test.metric)
    _check_margin(test.margin, score)
    seen = _read_observers(table, test, score)
    notes = seen.notes
    agreements, patients = seen.agreements, seen.patients
    found, lacking = _model_agreements(table, test, agreements)
    values = _Differences(found, agreements, patients)
    verdicts = values.verdicts(score, test.margin, confidence, repeats, seed)
    smallest = smallest_n(verdicts)
    study = reference_study(seen.rows, patients)
    structure = f"the structure of label {test.label}" if table["class_name"].nunique() > 1 else ""
    return HumanComparison(
        metric=test.metric,
        margin=float(test.margin),
        confidence=confidence,
        observers=tuple(sorted(seen.observers)),
        verdicts=verdicts,
        smallest_n=smallest,
        sentences={
            arm: _answer(
                f"{labels[arm]}, {structure}" if structure else labels[arm],
                n,
                [v for v in verdicts if v.arm == arm],
                score,
                test.margin,
            )
            for arm, n in smallest.items()
        },
        bands={} if study is None or structure else _bands(study),
        study=study,
        notes=tuple(notes + lacking),
        structure=structure,
    )


def _read_observers(table: pd.DataFrame, test: HumanTest, score: Score) -> _Seen:
    tested = set(table["case"])
    seen = _Seen()
    unseen: dict[str, tuple[float, tuple[str, ...]]] = {}
    for case, patient, notes in observed_cases(
        test.observers, test.cases, test.label, test.with_hu, test.empty
    ):
        if case.name not in tested:
            continue
        if test.metric not in compare_columns(case.hu is not None):
            raise DataError(
                f"The human-level test is about {test.metric}, and the image of case {case.name!r} "
                "is no CT; take dice or dta_rms_mm."
            )
        agreement = agreement_of(case, score)
        agreement.ignored = case.ignored
        if case.ignored is not None:
            unseen[case.name] = float(case.ignored.mean()), case.unseen_by
        seen.notes += [*notes, *agreement.notes]
        seen.patients[case.name] = patient
        seen.observers |= set(case.masks)
        seen.rows += reference_rows(case)
        if math.isnan(agreement.observers):
            seen.notes.append(f"case {case.name!r}: fewer than two observers, so no comparison")
        else:
            seen.agreements[case.name] = agreement
    seen.notes += unseen_notes(unseen)
    if not seen.patients:
        raise DataError(
            "The observers outlined no case that the study tested; wanted rows of the same images "
            "in both manifests."
        )
    if not seen.agreements:
        raise DataError(
            "No tested case was outlined by two observers, so how well humans agree is not known."
        )
    return seen


def smallest_n(verdicts: Sequence[HumanVerdict]) -> dict[Arm, int | None]:
    """Find for each arm the smallest n from which on every larger one passes too.

    The tests are made from the largest n down and end at the first that does not pass, each at the
    full level: a fixed sequence keeps the chance of any wrong pass at that of one test (Maurer,
    Hothorn & Lehmacher 1995).

    Args:
        verdicts: One an arm and n.

    Returns:
        Arm to n, or ``None`` where the largest n does not pass.
    """
    found: dict[Arm, int | None] = {}
    for arm in dict.fromkeys(verdict.arm for verdict in verdicts):
        found[arm] = None
        own = [verdict for verdict in verdicts if verdict.arm == arm]
        for verdict in sorted(own, key=lambda one: -one.n):
            if verdict.outcome != "as_good":
                break
            found[arm] = verdict.n
    return found


def _model_agreements(
    table: pd.DataFrame, test: HumanTest, agreements: Mapping[str, Agreement]
) -> tuple[dict[Key, dict[str, float]], list[str]]:
    """Agreement of each case's mask by arm, n and repeat; a run without masks is named."""
    store = open_store(test.runs_folder)
    found: dict[Key, dict[str, float]] = {}
    notes = []
    one_a_run = table.drop_duplicates("run_id")
    wanted = table[table["case"].isin(list(agreements))]
    cases_of = {run: set(cases) for run, cases in wanted.groupby("run_id")["case"]}
    for row in one_a_run.itertuples(index=False):
        run: Any = row
        if run.run_id not in cases_of:
            continue
        key = (Arm(run.source, run.encoder, run.decoder, run.transfer), int(run.n), int(run.repeat))
        own: dict[str, float] = {}  # taken only once all of a run could be read
        try:
            for case, mask in _masks(store, run.run_id, test.label):
                if case in cases_of[run.run_id]:
                    cases_of[run.run_id].discard(case)
                    ignored = agreements[case].ignored
                    if ignored is not None and ignored.shape == mask.shape:
                        mask = mask & ~ignored  # neither did the observers' comparison look there
                    own[case] = agreements[case].of(mask)
        except DataError as error:
            notes.append(f"run {run.run_id}: not compared with observers: {error}")
            continue
        if own:
            found.setdefault(key, {}).update(own)
        if cases_of[run.run_id]:
            some = ", ".join(sorted(cases_of[run.run_id])[:3])
            notes.append(f"run {run.run_id}: masks.npz lacks the case(s) {some}")
    if not found:
        raise DataError(
            "No run has masks of the cases that observers outlined. " + "; ".join(notes[:3])
        )
    return found, notes


def _masks(store: Store, run_id: str, label: int | None) -> Iterator[tuple[str, NDArray[np.bool_]]]:
    try:
        data = store.read(f"{run_id}/masks.npz")
    except FileNotFoundError as error:
        raise DataError("its folder has no masks.npz") from error
    for case, mask in read_masks(BytesIO(data)).items():
        if label is None and mask.dtype != np.bool_ and mask.max() > 1:
            raise DataError("masks.npz holds several classes; wanted a label to choose one")
        yield case, (mask > 0) if label is None else (mask == label)


class _Differences:
    """Model minus observers, patient by patient, for every arm, n and repeat."""

    def __init__(
        self,
        found: Mapping[Key, Mapping[str, float]],
        agreements: Mapping[str, Agreement],
        patients: Mapping[str, str],
    ) -> None:
        self.arms = list(dict.fromkeys(arm for arm, _, _ in found))
        rows = [
            (self.arms.index(key[0]), *key[1:], patients[case], case, value)
            for key, own in found.items()
            for case, value in own.items()
        ]
        names = ["arm", "n", "repeat", "patient", "case", "model"]
        self.rows = pd.DataFrame(rows, columns=names)
        self.rows["observer"] = [agreements[case].observers for case in self.rows["case"]]
        self.rows["difference"] = self.rows["model"] - self.rows["observer"]
        self.varied = any(agreement.varied for agreement in agreements.values())

    def verdicts(
        self, score: Score, margin: float, confidence: float, repeats: int, seed: int
    ) -> tuple[HumanVerdict, ...]:
        pooled = self._estimates(["arm", "n"], confidence, repeats, seed)
        single = self._estimates(["arm", "n", "repeat"], confidence, repeats, seed)
        alone: dict[tuple[int, int], dict[int, Outcome]] = {}
        for (arm, n, repeat), (estimate, _) in single.items():
            outcome = decide(estimate, margin, score, self.varied)
            alone.setdefault((arm, n), {})[int(repeat)] = outcome
        verdicts = []
        for (arm, n), (estimate, means) in pooled.items():
            outcome = decide(estimate, margin, score, self.varied)
            verdicts.append(
                HumanVerdict(
                    arm=self.arms[arm],
                    n=int(n),
                    outcome=outcome,
                    sentence=sentence(outcome, score, margin, means, estimate, self.varied),
                    model_observer=means[0],
                    observer_observer=means[1],
                    difference=estimate.mean,
                    low=estimate.ci[0],
                    high=estimate.ci[1],
                    n_cases=estimate.n_cases,
                    n_patients=estimate.n_patients,
                    by_repeat=dict(sorted(alone[arm, n].items())),
                )
            )
        return tuple(verdicts)

    def _estimates(
        self, keys: list[str], confidence: float, repeats: int, seed: int
    ) -> dict[Any, tuple[Estimate, tuple[float, float]]]:
        """Estimate of the difference, and both means, by key."""
        groups = self.rows.groupby(keys, sort=False)
        numbers = groups.ngroup().to_numpy()
        whose, patients = pd.factorize(self.rows["patient"], sort=True)
        shape = int(numbers.max()) + 1, len(patients)
        flat = numbers * shape[1] + whose
        counts = np.bincount(flat, minlength=shape[0] * shape[1])
        tables = []
        for name in ("difference", "model", "observer"):
            sums = np.bincount(flat, self.rows[name], shape[0] * shape[1])
            with np.errstate(invalid="ignore"):
                tables.append((sums / counts).reshape(shape))
        intervals = mean_intervals(tables[0], confidence, repeats, seed)
        n_cases = groups["case"].nunique()
        found: dict[Any, tuple[Estimate, tuple[float, float]]] = {}
        for number, (key, cases) in enumerate(zip(n_cases.index, n_cases, strict=True)):
            mean, low, high = intervals[number]
            n_patients = int((~np.isnan(tables[0][number])).sum())
            estimate = Estimate(
                mean, (low, high), int(cases), n_patients, confidence, repeats, seed
            )
            means = float(np.nanmean(tables[1][number])), float(np.nanmean(tables[2][number]))
            found[key] = estimate, means
        return found


def _check_margin(margin: float, score: Score) -> None:
    if not 0 < margin < (1 if score.higher_is_better else math.inf):
        wanted = "between 0 and 1" if score.higher_is_better else f"above 0, in{score.unit}"
        raise SettingError(f"margin is {margin!r}; wanted a number {wanted}.")


def _bands(study: ObserverStudy) -> dict[str, Band]:
    columns = study.against_reference.columns
    return {
        name: study.band(column, absolute=name != "dice")
        for name, column in _BANDS.items()
        if column in columns
    }


def _answer(
    name: str, n: int | None, verdicts: Sequence[HumanVerdict], score: Score, margin: float
) -> str:
    chosen = f"the chosen margin of {margin:.4g}{score.unit}"
    if n is not None:
        text = f"{name}: as good as an observer from {n} labelled patients on, within {chosen}"
    else:
        largest = max(verdicts, key=lambda one: one.n)
        how = "not as good" if largest.outcome == "worse" else "not shown to be as good"
        text = f"{name}: {how} as an observer with {largest.n} labelled patients, within {chosen}"
    single = [v.n for v in verdicts if v.outcome == "as_good" and (n is None or v.n < n)]
    if single:
        shown = ", ".join(str(one) for one in sorted(single))
        text += f" (n = {shown} passes alone, but not every larger n does)"
    return f"{text}."
