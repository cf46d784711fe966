"""A record of every plan that was started in a study folder: which jobs belong together."""

from __future__ import annotations

import hashlib
import json
import warnings
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
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
    known = _records(store)
    starts = next((list(one.starts) for one in known if one.plan_id == plan_id), [])
    now = datetime.now(UTC)
    if known:  # the clock of a machine that started before may be ahead; the last start is current
        latest = max(datetime.fromisoformat(one.starts[-1]) for one in known)
        now = max(now, latest + timedelta(microseconds=1))
    record = {
        "plan_id": plan_id,
        **content,
        "starts": [*starts, now.isoformat(timespec="microseconds")],
    }
    store.write(f"plans/{plan_id}.json", json.dumps(record, indent=1).encode())
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
    records = _records(open_store(study_folder))
    return sorted(records, key=lambda one: datetime.fromisoformat(one.starts[-1]), reverse=True)


def _records(store: Store) -> list[PlanRecord]:
    """All plans that can be read; a file that is none costs a warning and not the study."""
    records = []
    for name in store.names("plans"):
        if not name.endswith(".json") or name.startswith("."):
            continue
        try:
            records.append(_record(store.read(f"plans/{name}")))
        except FileNotFoundError:
            continue  # removed meanwhile
        except (ValueError, LookupError, TypeError, AttributeError, IsADirectoryError) as error:
            warnings.warn(
                f"{store.url}/plans/{name} is no record of a plan ({type(error).__name__}: "
                f"{error}), so it is left out. Remove it.",
                stacklevel=3,
            )
    return records


def _record(data: bytes) -> PlanRecord:
    values = json.loads(data)
    starts = tuple(values["starts"])
    if datetime.fromisoformat(starts[-1]).tzinfo is None:
        raise ValueError("a start without its time zone")
    needs = {job: tuple(ids) for job, ids in values["needs"].items()}
    return PlanRecord(values["plan_id"], values["config"], dict(values["jobs"]), needs, starts)
