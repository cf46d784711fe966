"""All that a report is made of, read from the study's folder."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from muscletransfer.errors import DataError
from muscletransfer.study.config.study import StudyConfig
from muscletransfer.study.finish import analyse_with_note
from muscletransfer.study.plan.record import study_config
from muscletransfer.study.report.case_rows import CaseRows
from muscletransfer.study.results import StudyResults, collect_results
from muscletransfer.study.running.opening import open_store
from muscletransfer.study.running.plans import PlanRecord, read_plans
from muscletransfer.study.running.status import Status, read_status
from muscletransfer.study.running.store import Store
from muscletransfer.study.statistics import StudyAnalysis

__all__ = ["Material", "gather", "read_json"]


@dataclass(frozen=True, eq=False)
class Material:
    """What was found.

    Args:
        folder: The study's folder.
        config: The configuration that was started last.
        settings: The same as plain values, defaults filled in.
        plans: Every plan that was started, the current one first.
        status: How far the current plan is.
        results: Its finished runs.
        analysis: Their statistics; ``None`` while no run is finished.
        cases: The rows of the cases; ``None`` where they are not to be found.
        runs: For each finished run of the current plan ``(spec, result)``, by id.
        finished: Ids of all finished runs in the folder, of whatever plan.
        notes: What could not be read, in sentences.
    """

    folder: Path
    config: StudyConfig
    settings: Mapping[str, Any]
    plans: Sequence[PlanRecord]
    status: Status
    results: StudyResults
    analysis: StudyAnalysis | None
    cases: CaseRows | None
    runs: Mapping[str, tuple[dict[str, Any], dict[str, Any]]]
    finished: frozenset[str]
    notes: tuple[str, ...] = field(default=())

    @property
    def store(self) -> Store:
        """The folder as the engine reads it."""
        return open_store(self.folder)

    @property
    def current(self) -> PlanRecord:
        """The current plan."""
        return self.plans[0]

    @property
    def is_synthetic(self) -> bool:
        """Whether the cases are of a phantom."""
        return self.config.data.phantom is not None


def gather(folder: Path) -> Material:
    """Read a study, however far it is.

    Args:
        folder: The study's folder.

    Returns:
        What is there; what cannot be read is named in ``notes``.

    Raises:
        DataError: Nothing was started there.
    """
    config = study_config(folder)
    plans = read_plans(folder)
    status = read_status(folder, plans[0])
    assert status is not None  # there is a plan
    results = collect_results(folder, plans[0].ids("run"))
    notes: list[str] = []
    analysis = None
    if len(results.table):
        analysis, note = analyse_with_note(config, folder, results)
        notes += [note] if note else []
    store = open_store(folder)
    return Material(
        folder=folder,
        config=config,
        settings=plans[0].config["config"],
        plans=plans,
        status=status,
        results=results,
        analysis=analysis,
        cases=_cases(config, folder, notes),
        runs={
            run: (read_json(store, f"runs/{run}/spec.json"),
                  read_json(store, f"runs/{run}/result.json"))
            for run in results.runs["run_id"]
        },
        finished=frozenset(n for n in store.finished("runs") if not n.startswith(".")),
        notes=tuple(notes),
    )  # fmt: skip


def read_json(store: Store, name: str) -> dict[str, Any]:
    """Read a mapping of the study's folder.

    Raises:
        DataError: It is damaged.
    """
    try:
        found = json.loads(store.read(name))
    except ValueError as error:
        raise DataError(f"{name} is no JSON ({error})") from error
    if not isinstance(found, dict):
        raise DataError(f"{name} holds a {type(found).__name__}; wanted a mapping")
    return found


def _cases(config: StudyConfig, folder: Path, notes: list[str]) -> CaseRows | None:
    try:
        return CaseRows(config, folder)
    except DataError as error:
        notes.append(f"There are no pictures: {error}")
        return None
