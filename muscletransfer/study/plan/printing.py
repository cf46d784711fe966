"""A plan and the state of a study as text for people."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from pathlib import Path

from muscletransfer.errors import DataError
from muscletransfer.study.plan.ids import content_key
from muscletransfer.study.plan.record import StudyPlan
from muscletransfer.study.plan.specs import PretextSpec
from muscletransfer.study.running.opening import open_store
from muscletransfer.study.running.status import Status, read_status

__all__ = ["finished_ids", "plan_lines", "print_plan", "print_status"]


def print_plan(plan: StudyPlan, folder: str | Path, *, every_run: bool = False) -> None:
    """Print what a study would run.

    Args:
        plan: The plan.
        folder: The study's folder; what is finished there is counted.
        every_run: Also print each run with its id.
    """
    print("\n".join(plan_lines(plan, finished_ids(folder))))
    if every_run:
        for spec in plan.specs:
            print(f"  {spec.id}  {spec.label}")


def plan_lines(plan: StudyPlan, finished: set[str]) -> list[str]:
    """Return the plan as lines of text.

    Args:
        plan: The plan.
        finished: Ids of runs and pre-trainings that are finished.

    Example:
        >>> from muscletransfer.study.config import config_from_dict
        >>> from muscletransfer.study.plan import plan_study
        >>> plan = plan_study(config_from_dict({
        ...     "data": {"phantom": {"patients": 12}, "num_folds": 3},
        ...     "train_patients": [2, 4], "repeats": 2, "sources": ["random"],
        ... }))
        >>> print(plan_lines(plan, set())[1])
        12 runs = 1 arm x 2 n x 3 folds x 2 repeats; no pre-training.
    """
    config, cases = plan.config, plan.cases
    folds = len(cases.folds)
    numbers = ", ".join(map(str, config.train_patients))
    what = "synthetic " if config.data.phantom is not None else ""
    lines = [
        f"Study {config.name}: {cases.count} {what}cases of {len(cases.patients)} patients; n = "
        f"{numbers}; {_labels(plan)}"
    ]
    arms = Counter((run.arm, run.freeze) for run in plan.runs)
    lines.append(
        f"{len(plan.runs)} runs = {_count(len(arms), 'arm')} x {len(config.train_patients)} n x "
        f"{folds} folds x {_count(config.repeats, 'repeat')}; "
        + (_count(len(plan.pretexts), "pre-training") if plan.pretexts else "no pre-training")
        + "."
    )
    done = Counter((run.arm, run.freeze) for run in plan.runs if run.id in finished)
    for (arm, freeze), count in arms.items():
        source, encoder, decoder, transfer = arm
        moved = {"none": "nothing transferred"}.get(transfer, f"{transfer} transferred")
        frozen = ", encoder frozen" if freeze == "encoder" else ""
        of = f", {done[arm, freeze]} done" if done[arm, freeze] else ""
        lines.append(f"  {source}: {encoder} + {decoder}, {moved}{frozen}: {count} runs{of}")
    lines += _pretext_lines(plan.pretexts, folds, finished)
    return lines + [f"note: {note}" for note in plan.notes]


def finished_ids(folder: str | Path) -> set[str]:
    """Return the ids that are finished in a study's folder, of whatever plan.

    Args:
        folder: The study's folder or URL; it need not exist.
    """
    store = open_store(folder)
    return store.finished("pretexts") | store.finished("runs")


def print_status(folder: str | Path) -> None:
    """Print how far a study is.

    Args:
        folder: The study's folder.

    Raises:
        DataError: Nothing was started there.
    """
    status = read_status(folder)
    if status is None:
        raise DataError(f"{folder}: no study was started there; see `muscletransfer study run`.")
    print("\n".join(status_lines(status)))


def status_lines(status: Status) -> list[str]:
    """Return the state of a study as lines of text.

    Example:
        >>> print(status_lines(Status("p", done=("a",), failed={"b": "DataError: no"}))[0])
        1 done, 0 running, 1 failed, 0 waiting for a failed one, 0 to do.
    """
    lines = [
        f"{len(status.done)} done, {len(status.running)} running, {len(status.failed)} failed, "
        f"{len(status.skipped)} waiting for a failed one, {len(status.open)} to do."
    ]
    lines += [f"running: {name} ({driver})" for name, driver in status.running.items()]
    return lines + [f"failed: {name}: {message}" for name, message in status.failed.items()]


def _labels(plan: StudyPlan) -> str:
    selection = plan.config.selection
    if selection.rule == "last":
        return "the last weights are tested, so no label is spent on choosing them."
    return (
        f"the best weights are tested, chosen on {selection.validation_patients} more labelled "
        "patients, which count."
    )


def _pretext_lines(
    pretexts: Iterable[PretextSpec], folds: int, finished: set[str]
) -> Iterable[str]:
    groups: dict[str, list[PretextSpec]] = {}
    for spec in pretexts:
        # all but what differs from fold to fold and from repeat to repeat
        differs = ("id", "fold", "excluded_patients", "excluded_key", "seed")
        key = content_key({k: v for k, v in vars(spec).items() if k not in differs})
        groups.setdefault(key, []).append(spec)
    for specs in groups.values():
        first = specs[0]
        decoder = f" with {first.decoder}" if first.decoder else ""
        done = sum(spec.id in finished for spec in specs)
        by_fold = {spec.fold for spec in specs} - {None}
        why = (
            f"one for each of {len(by_fold)} folds: its images show patients of the study, and "
            "those who test are left out"
            if by_fold
            else f"shared by all {folds} folds: no image shows a patient of the study"
        )
        of = f", {done} done" if done else ""
        yield (
            f"  pre-training {first.task}: {first.encoder}{decoder}, {first.steps} steps of "
            f"{first.batch_size}: {len(specs)}{of}, {why}"
        )


def _count(number: int, word: str) -> str:
    return f"{number} {word}" + ("" if number == 1 else "s")
