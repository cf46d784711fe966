"""How long a study takes and how much disk, from what its kinds of work cost on this machine."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from muscletransfer.study.plan.printing import finished_ids
from muscletransfer.study.plan.probe import Measured, probe_plan, shape_of
from muscletransfer.study.plan.record import StudyPlan
from muscletransfer.study.plan.specs import PretextSpec, RunSpec

__all__ = ["Estimate", "estimate", "print_estimate"]


@dataclass(frozen=True)
class Estimate:
    """What is left to do.

    Args:
        pretext_seconds: Of pre-trainings, one after the other.
        run_seconds: Of runs, one after the other.
        bytes: Disk of the finished folders.
        jobs: How many are left.
    """

    pretext_seconds: float
    run_seconds: float
    bytes: int
    jobs: int

    @property
    def seconds(self) -> float:
        """One after the other."""
        return self.pretext_seconds + self.run_seconds


def estimate(
    plan: StudyPlan, costs: Mapping[str, Measured], finished: set[str] | None = None
) -> Estimate:
    """Add up what is left of a plan.

    Args:
        plan: The plan.
        costs: What `probe_plan` measured.
        finished: Ids that need no more.

    Returns:
        Time with one at a time, and disk.
    """
    finished = finished or set()
    seconds = {PretextSpec: 0.0, RunSpec: 0.0}
    size = left = 0
    selection = plan.config.selection
    validated = 0
    if selection.rule == "best":
        steps = plan.config.finetune.steps
        times = steps // min(selection.every, steps)
        validated = times * (selection.validation_patients or 0)
    by_shape: dict[int, str] = {}  # specs share their settings, so shapes are worked out once each
    tested = [_cases_of(plan, fold) for fold in range(len(plan.cases.folds))]
    for spec in plan.specs:
        if spec.id in finished:
            continue
        left += 1
        if isinstance(spec, PretextSpec):
            cost = costs[shape_of(spec)]
            steps, cases, looked = spec.steps, 0.0, 0.0
        else:
            known = hash((spec.arm, spec.freeze))
            by_shape.setdefault(known, shape_of(spec))
            cost = costs[by_shape[known]]
            steps, cases = plan.config.finetune.steps, tested[spec.fold]
            # a test scores and predicts; a validation only scores
            looked = cases + validated / 2
        seconds[type(spec)] += cost.start + steps * cost.step + looked * cost.case
        size += cost.fixed_bytes + round(cases * cost.case_bytes)
    return Estimate(seconds[PretextSpec], seconds[RunSpec], size, left)


def print_estimate(
    plan: StudyPlan, folder: str | Path, *, workers: int | None = None, fresh: bool = False
) -> None:
    """Measure and print.

    Args:
        plan: The plan.
        folder: The study's folder.
        workers: Runs at a time.
        fresh: Measure again what is known.
    """
    costs = probe_plan(plan, fresh=fresh)
    found = estimate(plan, costs, finished_ids(folder))
    at_once = workers or 1
    print(
        f"Left: {found.jobs} jobs, {duration(found.seconds)} one at a time (pre-training "
        f"{duration(found.pretext_seconds)}, runs {duration(found.run_seconds)})"
        + (
            f", {duration(found.seconds / at_once)} if {at_once} at a time do not slow each other"
            if at_once > 1
            else ""
        )
        + f"; {found.bytes / 1e6:.0f} MB of results."
    )


def duration(seconds: float) -> str:
    """Return a time for people.

    Example:
        >>> duration(45), duration(3700), duration(200_000)
        ('45 s', '1 h 2 min', '2 d 7 h')
    """
    if seconds < 90:
        return f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    if minutes < 60:
        return f"{minutes} min"
    hours, minutes = divmod(minutes, 60)
    if hours < 48:
        return f"{hours} h {minutes} min"
    return f"{hours // 24} d {hours % 24} h"


def _cases_of(plan: StudyPlan, fold: int) -> float:
    patients = plan.cases.folds[fold]
    return plan.cases.count * len(patients) / len(plan.cases.patients)
