"""The human-level test: does a model agree with observers as well as they agree with each other?"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

import pandas as pd

from muscletransfer.agreement import Estimate, patient_bootstrap
from muscletransfer.errors import DataError, SettingError
from muscletransfer.observers.band import Band
from muscletransfer.observers.inputs import MODEL
from muscletransfer.observers.result import ObserverStudy
from muscletransfer.observers.scores import Score, left_out_scores, pair_scores, score_of
from muscletransfer.observers.verdict import Outcome, decide, interval_words, sentence

__all__ = ["HumanLevel", "LeaveOneOut", "human_level"]


@dataclass(frozen=True)
class LeaveOneOut:
    """Model and observers against the consensus of the other observers.

    Args:
        model: Mean of the model.
        observers: Mean of the observers left out, over the same comparisons.
        difference: Model minus observer, with its interval over patients.
        per_observer: Observer to (its mean, the model's mean against the same consensus).
        n_matched: Observers whose mean the model's equals or beats.
    """

    model: float
    observers: float
    difference: Estimate
    per_observer: Mapping[str, tuple[float, float]]
    n_matched: int

    def __str__(self) -> str:
        return (
            f"Against the consensus of the others the model has {self.model:.4g}, the observers "
            f"{self.observers:.4g} (difference {self.difference.mean:+.3g}, "
            f"{interval_words(self.difference)}); it is at least as good as {self.n_matched} of "
            f"{len(self.per_observer)} observers."
        )


@dataclass(frozen=True, eq=False)
class HumanLevel:
    """Outcome of the human-level test for one figure.

    .. versionadded:: 0.1

    Args:
        metric: The column it is about.
        margin: How much worse than another observer a model may agree, in the unit of the figure.
        outcome: ``"as_good"``, ``"worse"`` or ``"cannot_tell"``.
        sentence: The verdict, with its numbers.
        model_observer: Mean agreement of the model with an observer.
        observer_observer: Mean agreement of two observers, on the same cases.
        difference: Model-observer minus observer-observer, with its interval over patients.
        without: Observer to the difference without that observer; empty with two observers, and
            without those that no pair can do without.
        leave_one_out: The comparison with the consensus of the others, or ``None`` where no case
            has three observers.
        bands: Range of the observers' means with the model's beside it, against the reference,
            the consensus of the others, and one another, where the study has them.
        per_case: ``case, patient, model_observer, observer_observer, difference``.
        notes: What was left out.

    Example:
        >>> import numpy as np
        >>> from muscletransfer.observers import observer_study
        >>> masks = {f"c{i}": {"A": np.eye(9), "B": np.tri(9)} for i in range(3)}
        >>> model = {case: np.eye(9) for case in masks}
        >>> study = observer_study(masks, dict.fromkeys(masks, (1, 1)), model=model)
        >>> human_level(study, margin=0.02).outcome  # three patients are too few
        'cannot_tell'
    """

    metric: str
    margin: float
    outcome: Outcome
    sentence: str
    model_observer: float
    observer_observer: float
    difference: Estimate
    without: Mapping[str, float]
    leave_one_out: LeaveOneOut | None
    bands: tuple[Band, ...]
    per_case: pd.DataFrame
    notes: tuple[str, ...] = ()

    def __str__(self) -> str:
        return self.sentence


def human_level(
    study: ObserverStudy,
    margin: float,
    metric: str = "dice",
    confidence: float = 0.95,
    repeats: int = 10_000,
    seed: int = 0,
) -> HumanLevel:
    """Test whether a model could take the place of one of the observers.

    In each case the mean agreement of the model with the observers is compared with the mean
    agreement of two observers; the difference is averaged over cases, and its interval comes from
    drawing patients (interchangeability of imaging tests: Acad Radiol 2014;21(11):1483-1489; of
    segmentations, with a margin: Hu, J Med Imaging 2025;12:055003). A model is as good as a
    human when the whole interval is on the good side of the margin, not as good when the whole
    interval is on the bad side, and otherwise the data cannot tell. They cannot either with fewer
    than five patients, nor when all observers drew the very same masks.

    The observers are taken as they are: the interval speaks of other patients, not of other
    observers. ``without`` shows what each observer does to the result.

    .. versionadded:: 0.1

    Args:
        study: What :func:`muscletransfer.observers.observer_study` returned for masks with a model.
        margin: How much worse than a human is still good enough, above 0, in the unit of the
            metric. There is no default: it is a clinical choice, made before looking.
        metric: ``"dice"``, ``"dta_rms_mm"``, ``"sma_difference_percent"``,
            ``"smd_difference_hu"`` and so on; differences count by their size.
        confidence: Of the intervals.
        repeats: Bootstrap samples.
        seed: Of the bootstrap.

    Returns:
        The outcome; ``print`` shows the verdict sentence.

    Raises:
        DataError: No model, or no case with two observers.
        SettingError: A margin that is not above 0.
        UnknownNameError: No such metric.

    Example:
        >>> import numpy as np
        >>> from muscletransfer.observers import observer_study
        >>> def drawn(start):
        ...     mask = np.zeros((20, 20), bool)
        ...     mask[5:15, 5 + start : 15] = True
        ...     return mask
        >>> masks = {f"c{i}": {"A": drawn(0), "B": drawn(1), "C": drawn(i % 3)} for i in range(6)}
        >>> study = observer_study(
        ...     masks, dict.fromkeys(masks, (1.0, 1.0)), model={c: drawn(1) for c in masks}
        ... )
        >>> human_level(study, margin=0.02).outcome
        'as_good'
    """
    score = score_of(metric)
    limit = _check_margin(margin, score)
    pairs, notes = pair_scores(study, score)
    per_case, more = _per_case(pairs, study)
    patients = per_case["patient"].tolist()
    difference = patient_bootstrap(per_case["difference"], patients, confidence, repeats, seed)
    varied = bool((pairs.loc[pairs["observer"] != MODEL, "value"] != score.perfect).any())
    outcome = decide(difference, limit, score, varied)
    observers = sorted(set(pairs["other"]))
    without: dict[str, float] = {}
    if len(observers) > 2:
        for name in observers:
            kept = pairs[(pairs["observer"] != name) & (pairs["other"] != name)]
            try:
                without[name] = float(_per_case(kept, study)[0]["difference"].mean())
            except DataError:  # this observer is in every pair, as one who outlined everything
                more.append(f"without {name!r}: no case has two observers, so no difference")
    bands, lacking = study.bands(metric, absolute=not score.higher_is_better)
    means = float(per_case["model_observer"].mean()), float(per_case["observer_observer"].mean())
    return HumanLevel(
        metric=metric,
        margin=limit,
        outcome=outcome,
        sentence=sentence(outcome, score, limit, means, difference, varied),
        model_observer=means[0],
        observer_observer=means[1],
        difference=difference,
        without=without,
        leave_one_out=_leave_one_out(study, score, confidence, repeats, seed),
        bands=tuple(bands),
        per_case=per_case,
        notes=(*notes, *more, *lacking),
    )


def _check_margin(margin: float, score: Score) -> float:
    try:
        value = float(margin)
    except (TypeError, ValueError):
        value = math.nan
    if not 0 < value < (1 if score.higher_is_better else math.inf):
        wanted = "between 0 and 1" if score.higher_is_better else f"above 0, in{score.unit}"
        raise SettingError(
            f"margin is {margin!r}; wanted a number {wanted}: how much worse than another observer "
            "is still good enough."
        )
    return value


def _per_case(pairs: pd.DataFrame, study: ObserverStudy) -> tuple[pd.DataFrame, list[str]]:
    of_model = pairs["observer"] == MODEL
    table = pd.DataFrame(
        {
            "model_observer": pairs[of_model].groupby("case")["value"].mean(),
            "observer_observer": pairs[~of_model].groupby("case")["value"].mean(),
        }
    )
    alone = table.index[table["observer_observer"].isna()]
    notes = [f"case {case!r}: fewer than two observers, so no comparison" for case in alone]
    table = table.drop(index=alone)
    if table.empty:
        raise DataError(
            "No case of the model was outlined by two observers, so how well humans agree is not "
            "known; wanted two observers a case."
        )
    table["difference"] = table["model_observer"] - table["observer_observer"]
    patients = [study.patients[str(case)] for case in table.index]
    table.insert(0, "patient", patients)
    return table.reset_index(names="case"), notes


def _leave_one_out(
    study: ObserverStudy, score: Score, confidence: float, repeats: int, seed: int
) -> LeaveOneOut | None:
    rows = left_out_scores(study, score)
    if rows.empty:
        return None
    rows["difference"] = rows["model_value"] - rows["observer_value"]
    # Each case counts once, however many observers it has.
    by_case = rows.groupby("case")[["observer_value", "model_value", "difference"]].mean()
    patients = [study.patients[str(case)] for case in by_case.index]
    means = rows.groupby("left_out")[["observer_value", "model_value"]].mean()
    sign = 1 if score.higher_is_better else -1
    matched = sign * (means["model_value"] - means["observer_value"]) >= 0
    return LeaveOneOut(
        model=float(by_case["model_value"].mean()),
        observers=float(by_case["observer_value"].mean()),
        difference=patient_bootstrap(by_case["difference"], patients, confidence, repeats, seed),
        per_observer={
            str(name): (float(own), float(model))
            for name, own, model in zip(
                means.index, means["observer_value"], means["model_value"], strict=True
            )
        },
        n_matched=int(matched.sum()),
    )
