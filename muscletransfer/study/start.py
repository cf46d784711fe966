"""Start a study, or go on with it: plan, data, runs."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from muscletransfer.study.config.study import StudyConfig
from muscletransfer.study.plan.cases import local_folder
from muscletransfer.study.plan.jobs import make_jobs, prepare_data
from muscletransfer.study.plan.models import check_models, check_pretexts
from muscletransfer.study.plan.planning import plan_study
from muscletransfer.study.plan.printing import finished_ids
from muscletransfer.study.running.driver import run_jobs

if TYPE_CHECKING:
    from muscletransfer.study.running.executors.base import Executor
    from muscletransfer.study.running.jobs import Outcome

__all__ = ["run_study"]


def run_study(
    config: StudyConfig,
    folder: str | Path,
    executor: str | Executor = "local",
    *,
    retry: bool = False,
    progress: bool = True,
    cache_dir: str | Path | None = None,
    accelerator: str = "auto",
    **options: Any,
) -> Outcome:
    """Run everything of a study that is not done yet in its folder.

    It may be stopped at any moment and started again, on another machine too, with an edited file
    too: what is finished is never run again.

    .. versionadded:: 0.1

    Args:
        config: The study.
        folder: Its folder, or a URL of fsspec.
        executor: ``"local"``, ``"ray"``, or an executor.
        retry: Run again what failed in an earlier start.
        progress: Show progress on standard error.
        cache_dir: Where preprocessed slices are kept.
        accelerator: Lightning's: ``auto``, ``cpu``, ``cuda``, ...
        options: For `run_jobs` and the executor (``workers``, ``devices``, ...).

    Returns:
        What is done, what failed and what waits for a failed job.

    Raises:
        MuscleTransferError: What cannot work, before anything is trained.

    Example:
        >>> from muscletransfer.study.config import read_config
        >>> outcome = run_study(read_config("study.yaml"), "study", workers=2)  # doctest: +SKIP
        >>> outcome.complete  # doctest: +SKIP
        True
    """
    folder = str(folder) if "://" in str(folder) else Path(folder).absolute()
    plan = plan_study(config)
    finished = finished_ids(folder)
    check_pretexts(plan, finished)
    check_models(plan, finished)
    prepare_data(plan, folder, progress)
    if config.loggers:
        from muscletransfer.study.work.loggers import prepare_loggers

        prepare_loggers(config.loggers, local_folder(folder), config.name)
    jobs = make_jobs(
        plan,
        folder,
        cache_dir=None if cache_dir is None else Path(cache_dir),
        accelerator=accelerator,
    )
    return run_jobs(
        jobs, folder, executor, plan=plan.record(), retry=retry, progress=progress, **options
    )
