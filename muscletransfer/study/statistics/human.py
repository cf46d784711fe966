"""The smallest n whose model is as good as a trained observer."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import pandas as pd

from muscletransfer.observers.band import Band
from muscletransfer.observers.verdict import Outcome
from muscletransfer.study.results.columns import Arm

__all__ = ["HumanComparison", "HumanVerdict"]


@dataclass(frozen=True)
class HumanVerdict:
    """The human-level test of one arm at one n.

    Args:
        arm: The arm.
        n: Labelled patients for training.
        outcome: ``"as_good"``, ``"worse"`` or ``"cannot_tell"``: of all repeats together, each
            patient's differences averaged over repeats.
        sentence: The verdict in words, with its numbers.
        model_observer: Mean agreement of the model with an observer.
        observer_observer: Mean agreement of two observers on the same cases.
        difference: The former minus the latter.
        low: Lower end of its interval over patients.
        high: Upper end.
        n_cases: Cases that observers outlined and the model was tested on.
        n_patients: Their patients.
        by_repeat: Repeat to the outcome of that repeat alone.
    """

    arm: Arm
    n: int
    outcome: Outcome
    sentence: str
    model_observer: float
    observer_observer: float
    difference: float
    low: float
    high: float
    n_cases: int
    n_patients: int
    by_repeat: Mapping[int, Outcome]

    @property
    def repeats_as_good(self) -> int:
        """How many repeats are as good as an observer by themselves."""
        return sum(outcome == "as_good" for outcome in self.by_repeat.values())


@dataclass(frozen=True, eq=False)
class HumanComparison:
    """Every arm and n beside the observers.

    Args:
        metric: What was compared.
        margin: How much worse than another observer is still good enough, in its unit.
        confidence: Of the intervals.
        observers: Names of the observers.
        verdicts: One an arm and n.
        smallest_n: Arm to the smallest n that passes and from which on every larger measured n
            passes too, or ``None``. Tested from the largest n down to the first that does not
            pass, so the chance of any wrong pass stays that of one test.
        sentences: Arm to that answer in words.
        bands: Metric to the band of the observers against the reference, on the cases that the
            models were tested on; empty without a reference.
        notes: What was left out.
    """

    metric: str
    margin: float
    confidence: float
    observers: tuple[str, ...]
    verdicts: tuple[HumanVerdict, ...]
    smallest_n: Mapping[Arm, int | None]
    sentences: Mapping[Arm, str]
    bands: Mapping[str, Band] = field(repr=False)
    notes: tuple[str, ...] = ()

    def frame(self) -> pd.DataFrame:
        """One row an arm and n, with the verdict and its numbers."""
        rows = []
        for verdict in self.verdicts:
            row: dict[str, object] = {**verdict.arm._asdict(), "n": verdict.n}
            for name in (
                *("outcome", "model_observer", "observer_observer", "difference", "low", "high"),
                *("n_cases", "n_patients", "repeats_as_good"),
            ):
                row[name] = getattr(verdict, name)
            row["repeats"] = len(verdict.by_repeat)
            rows.append({**row, "sentence": verdict.sentence})
        return pd.DataFrame(rows)
