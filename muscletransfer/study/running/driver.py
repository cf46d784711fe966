"""Running jobs into a study folder: each once, whoever helps, whenever something dies."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from muscletransfer.study.running.claims import Claims
from muscletransfer.study.running.disk import stops_when_full
from muscletransfer.study.running.executors.base import Executor, create_executor
from muscletransfer.study.running.failures import retry_failed
from muscletransfer.study.running.jobs import Job, Outcome, check_jobs
from muscletransfer.study.running.loop import Loop
from muscletransfer.study.running.opening import open_store
from muscletransfer.study.running.plans import record_plan
from muscletransfer.study.running.progress import Progress, create_progress
from muscletransfer.study.running.signals import stops_on_terminate

__all__ = ["run_jobs"]


def run_jobs(
    jobs: Sequence[Job],
    study_folder: str | Path,
    executor: str | Executor = "local",
    *,
    plan: Mapping[str, Any] | None = None,
    retry: bool = False,
    lost_retries: int = 2,
    progress: bool | Progress = True,
    beat_every: float = 10.0,
    stale_after: float = 120.0,
    **options: Any,
) -> Outcome:
    """Run all jobs that are not finished in a study folder, those they need first.

    Several drivers may run on one folder at once, with the same jobs or others: each job is done by
    one of them. A start after any end, a kill included, goes on where the last one stopped.

    .. versionadded:: 0.1

    Args:
        jobs: The jobs, in the order wished for.
        study_folder: A path, or a URL of fsspec for a remote store.
        executor: An executor or its name.
        plan: What the jobs were planned from (plain values); kept in ``plans/`` with their ids.
        retry: Run jobs again that failed in an earlier start.
        lost_retries: How often a job begins anew when its worker dies.
        progress: Show what is done, running and failed, and the time left, on standard error.
        beat_every: Seconds between two signs of life for drivers on other machines.
        stale_after: Seconds without such a sign after which a driver counts as dead.
        options: For the executor, when it is given by name (``workers=2``).

    Returns:
        What is done, what failed and what waits for a failed job.

    Raises:
        SettingError: Ids, needs or options cannot be used.
        UnknownNameError: There is no such executor.
        DiskFullError: The disk is full; nothing half-written is in place.
        StudyError: The folder or the executor cannot be used, or this driver stood still for so
            long that another took over.
        KeyboardInterrupt: Ctrl-C; the folder is left clean.

    Example:
        >>> import tempfile
        >>> job = Job("a1", "run", (), "operator:is_")  # called with (payload, folder)
        >>> run_jobs([job], tempfile.mkdtemp(), workers=1, progress=False).done
        ('a1',)
    """
    known = check_jobs(jobs)
    store = open_store(study_folder)
    runner = create_executor(executor, **options) if isinstance(executor, str) else executor
    shown = progress if isinstance(progress, Progress) else create_progress(bool(progress))
    with stops_when_full(store.url, "the study folder"), stops_on_terminate():
        record_plan(store, plan or {}, known.values())
        if retry:
            retry_failed(store, known)
        claims = Claims(store, beat_every, stale_after)
        try:
            claims.open()
            return Loop(known, store, claims, runner, shown, lost_retries).run()
        finally:
            # Workers end before the claims on their jobs do, and before their folders go.
            try:
                runner.stop()
                shown.close()
            finally:
                try:
                    claims.close()
                finally:
                    claims.forget()
