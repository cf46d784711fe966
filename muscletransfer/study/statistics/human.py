"""The smallest n whose model is as good as a trained observer."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import pandas as pd

from muscletransfer.data.manifest import Manifest
from muscletransfer.observers.band import Band
from muscletransfer.observers.inputs import EmptyRule
from muscletransfer.observers.result import ObserverStudy
from muscletransfer.observers.verdict import Outcome
from muscletransfer.study.results.columns import Arm

__all__ = ["HumanComparison", "HumanTest", "HumanVerdict"]


@dataclass(frozen=True, eq=False)
class HumanTest:
    """What the human-level test of a study needs.

    .. versionadded:: 0.1

    Args:
        observers: Manifest of the observers' masks: ``patient_id,image,mask,observer``.
        runs_folder: Folder of the run folders, whose ``masks.npz`` are read; a path or a URL.
        margin: How much worse than another observer is still good enough, above 0, in the unit of
            the metric. There is no default: it is a clinical choice, made before looking.
        metric: ``"dice"``, ``"dta_rms_mm"``, ``"sma_difference_percent"`` and so on; see
            :func:`muscletransfer.observers.human_level`. Dice is fast; the others take some
            milliseconds a mask and observer.
        cases: The cases of the study: case ``i`` of the table is row ``i``, and its mask is the
            reference of the observers' band. ``None`` where the table calls cases as an observer
            study does; then there is no band.
        label: The class that is tested, for label maps of several; ``None`` for masks of 0 and 1.
        with_hu: Read the images as CT, for the band of area and density.
        empty: What an observer's empty mask means; see
            :func:`muscletransfer.observers.observer_study`.

    Example:
        >>> HumanTest("observers.csv", "study/runs", margin=0.02).metric
        'dice'
    """

    observers: str | Path | Manifest
    runs_folder: str | Path
    margin: float
    metric: str = "dice"
    cases: Manifest | None = None
    label: int | None = None
    with_hu: bool = True
    empty: EmptyRule = "error"


@dataclass(frozen=True)
class HumanVerdict:
    """The human-level test of one arm at one n.

    .. versionadded:: 0.1

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

    Example:
        >>> arm = Arm("jigsaw", "timm/resnet18", "unet", "encoder")
        >>> verdict = HumanVerdict(arm, 10, "cannot_tell", "Cannot tell.", 0.91, 0.92, -0.01, -0.03,
        ...                        0.01, 40, 40, {0: "as_good", 1: "cannot_tell"})
        >>> verdict.repeats_as_good
        1
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

    .. versionadded:: 0.1

    Args:
        metric: What was compared.
        margin: How much worse than another observer is still good enough, in its unit.
        confidence: Of the intervals.
        observers: Names of the observers.
        verdicts: One an arm and n.
        smallest_n: Arm to the smallest n that passes and from which on every larger measured n
            passes too, or ``None``. Tested from the largest n down to the first that does not
            pass, so in each arm the chance of any wrong pass stays that of one test. Over several
            arms nothing is adjusted: the best of them passes wrongly more often.
        sentences: Arm to that answer in words.
        bands: Metric (a name in :data:`muscletransfer.study.statistics.metrics.METRICS`) to the
            band of the observers' means against the reference, on the cases that the models were
            tested on; empty without a reference, and where the study has several structures, since
            its figures are means over them.
        study: The comparisons behind the bands, for other statistics of them, or ``None``.
        notes: What was left out.
        structure: Which structure was compared, where the study has several; else empty.

    Example:
        >>> HumanComparison("dice", 0.02, 0.95, ("O1", "O2"), (), {}, {}, {}).frame().empty
        True
    """

    metric: str
    margin: float
    confidence: float
    observers: tuple[str, ...]
    verdicts: tuple[HumanVerdict, ...]
    smallest_n: Mapping[Arm, int | None]
    sentences: Mapping[Arm, str]
    bands: Mapping[str, Band] = field(repr=False)
    study: ObserverStudy | None = field(default=None, repr=False)
    notes: tuple[str, ...] = ()
    structure: str = ""

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
