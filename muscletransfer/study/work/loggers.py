"""Lightning's loggers by name, for a run of a study."""

from __future__ import annotations

import contextlib
import inspect
import os
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import lightning.pytorch.loggers as of_lightning
from lightning.pytorch.loggers import CSVLogger, Logger

from muscletransfer.errors import SettingError
from muscletransfer.study.config.fields import did_you_mean
from muscletransfer.study.running.disk import is_disk_full

__all__ = ["check_loggers", "closing", "make_loggers", "prepare_loggers"]

# Lightning's class of each name, and which of its arguments a run sets by itself
_CLASSES = {
    "csv": ("CSVLogger", ("save_dir", "name", "version")),
    "tensorboard": ("TensorBoardLogger", ("save_dir", "name", "version")),
    "mlflow": ("MLFlowLogger", ("run_name",)),
    "wandb": ("WandbLogger", ("name", "group")),
}


def check_loggers(wanted: Mapping[str, Mapping[str, Any]]) -> None:
    """Raise for an argument that a logger does not take; nothing is opened.

    Args:
        wanted: Arguments by name: ``csv``, ``tensorboard``, ``mlflow``, ``wandb``.

    Raises:
        SettingError: With close matches, or that a run sets it by itself.

    Example:
        >>> check_loggers({"csv": {"flush_logs_every_n_steps": 10}})
    """
    for kind, arguments in wanted.items():
        cls, own = _CLASSES[kind]
        parameters = inspect.signature(getattr(of_lightning, cls)).parameters
        open_ended = any(p.kind is p.VAR_KEYWORD for p in parameters.values())
        known = [n for n, p in parameters.items() if p.kind is not p.VAR_KEYWORD and n not in own]
        for name in arguments:
            if name in own:
                raise SettingError(
                    f"loggers.{kind}.{name}: every run has its own, which the study sets; remove "
                    "it."
                )
            if name not in known and not open_ended:
                raise SettingError(
                    f"loggers.{kind}: {cls} takes no {name!r}.{did_you_mean(name, known)} It "
                    f"takes {', '.join(known)}."
                )


def make_loggers(
    wanted: Mapping[str, Mapping[str, Any]], folder: Path, study: Path, name: str, run: str
) -> list[Logger]:
    """Build the loggers that the study's file names.

    Args:
        wanted: Arguments by name: ``csv``, ``tensorboard``, ``mlflow``, ``wandb``.
        folder: The run's folder: ``metrics.csv`` and events of TensorBoard go there.
        study: The study's folder: MLflow's store (unless
            ``MLFLOW_TRACKING_URI`` names one) and the files of W&B go there.
        name: The study's name: experiment of MLflow, project of W&B.
        run: What the run is called there.

    Returns:
        Lightning loggers.
    """
    made: list[Logger] = []
    for kind, arguments in wanted.items():
        if kind == "csv":
            made.append(_csv(folder, arguments))
        elif kind == "tensorboard":
            from lightning.pytorch.loggers import TensorBoardLogger

            made.append(TensorBoardLogger(folder, name="", version="", **arguments))
        elif kind == "mlflow":
            made.append(_mlflow(study, name, arguments, run_name=run))
        else:
            from lightning.pytorch.loggers import WandbLogger

            options: dict[str, Any] = {"save_dir": study / "wandb", "project": name, **arguments}
            Path(options["save_dir"]).mkdir(parents=True, exist_ok=True)
            made.append(WandbLogger(name=run, group=name, **options))
    return made


def prepare_loggers(wanted: Mapping[str, Mapping[str, Any]], study: Path, name: str) -> None:
    """Make what all runs share before many workers try to make it at once.

    Args:
        wanted: Arguments by name.
        study: The study's folder.
        name: The study's name.
    """
    if "mlflow" in wanted:
        study.mkdir(parents=True, exist_ok=True)
        logger = _mlflow(study, name, wanted["mlflow"])
        client, known = logger._mlflow_client, logger._experiment_name
        if client.get_experiment_by_name(known) is None:
            client.create_experiment(known)


def _mlflow(study: Path, name: str, arguments: Mapping[str, Any], **more: Any) -> Any:
    from lightning.pytorch.loggers import MLFlowLogger

    # the store of files is no longer served by current versions of MLflow
    store = os.environ.get("MLFLOW_TRACKING_URI", f"sqlite:///{study / 'mlflow.db'}")
    options = {"tracking_uri": store, "experiment_name": name} | dict(arguments)
    return MLFlowLogger(**more, **options)


def _csv(folder: Path, arguments: Mapping[str, Any]) -> CSVLogger:
    return CSVLogger(folder, name="", version="", **arguments)


@contextmanager
def closing(loggers: list[Logger]) -> Iterator[None]:
    """Finish runs of services after a block, so that the next run of the process is another one.

    A service that is away by then is warned of, and what was trained is kept; a disk that is full
    is raised.

    Args:
        loggers: The loggers; a block that raises leaves runs marked as failed.
    """
    try:
        yield
    except BaseException:
        with contextlib.suppress(Exception):  # what the block raised is what counts
            _close(loggers, "failed", exit_code=1)
        raise
    try:
        _close(loggers, "success")
    except Exception as error:
        if is_disk_full(error):
            raise
        warnings.warn(
            f"A logger could not be closed ({type(error).__name__}: {error}), so what it keeps of "
            "this run may be incomplete. The run itself is whole.",
            stacklevel=3,
        )


def _close(loggers: list[Logger], status: str, **how: int) -> None:
    # backwards; what one service raises comes after all were closed
    with contextlib.ExitStack() as stack:
        for logger in reversed(loggers):
            # what was never opened, as by a service that cannot be reached, is not opened now
            finish = getattr(getattr(logger, "_experiment", None), "finish", None)
            if finish is not None:  # W&B keeps one run a process open until told
                stack.callback(finish, **how)
            stack.callback(logger.finalize, status)
