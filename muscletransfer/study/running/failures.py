"""What is kept of a job that failed: traceback, log and settings, under ``failed/<id>``."""

from __future__ import annotations

import json
from collections.abc import Iterable
from datetime import UTC, datetime
from pathlib import Path

from muscletransfer.study.running.executors.base import Report
from muscletransfer.study.running.jobs import Job
from muscletransfer.study.running.opening import open_store
from muscletransfer.study.running.performing import LOG, TRACEBACK, settings_of
from muscletransfer.study.running.store import Store

__all__ = ["failure_of", "keep_failure", "retry_failed"]

_RECORD = "failure.json"
_KEPT = {LOG, TRACEBACK, "spec.json"}


def keep_failure(store: Store, job: Job, report: Report, lost: int) -> None:
    """Move what a failed attempt left to ``failed/<id>``.

    Args:
        store: The study folder.
        job: The job.
        report: Of its last attempt.
        lost: How often its worker died.
    """
    working, message = report.working, report.message
    if report.status == "lost":
        message = (
            f"its worker was lost {lost} times ({message}). Of a worker that is killed, memory has "
            "most often run out: run fewer jobs at a time, or smaller ones, and retry."
        )
    # A worker that died had no time to remove what it had written.
    for name in set(store.names(working)) - _KEPT:
        store.remove(f"{working}/{name}")
    if not store.exists(f"{working}/{TRACEBACK}"):
        store.write(f"{working}/{TRACEBACK}", f"{message}\n".encode("utf-8", "backslashreplace"))
        store.write(f"{working}/spec.json", settings_of(job).encode())
    record = {
        "id": job.id,
        "folder": job.folder,
        "label": job.label,
        "message": message,
        "failed": datetime.now(UTC).isoformat(timespec="seconds"),
    }
    # Last: a folder in failed/ counts by this file.
    store.write(f"{working}/{_RECORD}", json.dumps(record, indent=1).encode())
    store.remove(f"failed/{job.id}")
    store.install(working, f"failed/{job.id}")


def failure_of(store: Store, name: str) -> str:
    """Return in a line why a job failed."""
    try:
        return str(json.loads(store.read(f"failed/{name}/{_RECORD}"))["message"])
    except FileNotFoundError:
        return "its record was removed meanwhile"
    except (ValueError, LookupError, TypeError):
        return f"its record failed/{name}/{_RECORD} is damaged; retry it"


def retry_failed(study_folder: str | Path | Store, ids: Iterable[str] | None = None) -> list[str]:
    """Forget failures, so that the next start runs those jobs again.

    .. versionadded:: 0.1

    Args:
        study_folder: The study folder, or its store.
        ids: Which jobs; all by default.

    Returns:
        The ids that had failed, sorted.

    Example:
        >>> import tempfile
        >>> retry_failed(tempfile.mkdtemp())
        []
    """
    store = study_folder if isinstance(study_folder, Store) else open_store(study_folder)
    wanted = None if ids is None else set(ids)
    found = [n for n in store.names("failed") if wanted is None or n in wanted]
    for name in found:
        store.remove(f"failed/{name}")
    return found
