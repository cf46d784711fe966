"""A record of every plan that was started in a study folder: which jobs belong together."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from muscletransfer.study.running.jobs import Job
from muscletransfer.study.running.opening import open_store
from muscletransfer.study.running.store import Store

__all__ = ["PlanRecord", "read_plans", "record_plan"]


@dataclass(frozen=True)
class PlanRecord:
    """One plan and when it was started.

    .. versionadded:: 0.1

    Args:
        plan_id: From its settings and jobs; the same plan started again has one record.
        config: What the jobs were planned from.
        jobs: For each job its finished folder, relative to the study folder, in their order.
        needs: For each job that needs others their ids.
        starts: UTC times of all starts, oldest first.

    Example:
        >>> PlanRecord("p", {}, {"b": "runs/b"}, {}, ("2026-01-01T00:00:00+00:00",)).starts[-1]
        '2026-01-01T00:00:00+00:00'
    """

    plan_id: str
    config: Mapping[str, Any]
    jobs: Mapping[str, str]
    needs: Mapping[str, tuple[str, ...]]
    starts: tuple[str, ...]

    def ids(self, kind: str) -> list[str]:
        """Return the ids of one kind (``"run"``, ``"pretext"``).

        Example:
            >>> PlanRecord("p", {}, {"a": "pretexts/a", "b": "runs/b"}, {}, ()).ids("run")
            ['b']
        """
        return [name for name, folder in self.jobs.items() if folder.startswith(f"{kind}s/")]


def record_plan(store: Store, config: Mapping[str, Any], jobs: Iterable[Job]) -> str:
    """Note in ``plans/<plan_id>.json`` that these jobs are started now.

    Args:
        store: The study folder.
        config: What they were planned from; plain values.
        jobs: All of them.

    Returns:
        The plan's id.
    """
    jobs = list(jobs)
    content = {
        "config": dict(config),
        "jobs": {job.id: job.folder for job in jobs},
        "needs": {job.id: list(job.needs) for job in jobs if job.needs},
    }
    plan_id = hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()[:16]
    name = f"plans/{plan_id}.json"
    try:
        starts = json.loads(store.read(name))["starts"]
    except FileNotFoundError:
        starts = []
    now = datetime.now(UTC).isoformat(timespec="microseconds")
    record = {"plan_id": plan_id, **content, "starts": [*starts, now]}
    store.write(name, json.dumps(record, indent=1).encode())
    return plan_id


def read_plans(study_folder: str | Path) -> list[PlanRecord]:
    """Return all plans that were ever started in a study folder.

    .. versionadded:: 0.1

    Args:
        study_folder: A path or a URL.

    Returns:
        The plans; the one started last, which is the current one, comes first.

    Example:
        >>> import tempfile
        >>> read_plans(tempfile.mkdtemp())
        []
    """
    store = open_store(study_folder)
    records = []
    for name in store.names("plans"):
        if name.endswith(".json") and not name.startswith("."):
            values = json.loads(store.read(f"plans/{name}"))
            needs = {job: tuple(ids) for job, ids in values["needs"].items()}
            records.append(
                PlanRecord(
                    values["plan_id"],
                    values["config"],
                    values["jobs"],
                    needs,
                    tuple(values["starts"]),
                )
            )
    return sorted(records, key=lambda record: record.starts[-1], reverse=True)
