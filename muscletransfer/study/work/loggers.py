"""Lightning's loggers by name, for a run of a study."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from lightning.pytorch.loggers import CSVLogger, Logger

__all__ = ["close_loggers", "make_loggers"]


def make_loggers(
    wanted: Mapping[str, Mapping[str, Any]], folder: Path, study: Path, name: str, run: str
) -> list[Logger]:
    """Build the loggers that the study's file names.

    Args:
        wanted: Arguments by name: ``csv``, ``tensorboard``, ``mlflow``, ``wandb``.
        folder: The run's folder: ``metrics.csv`` and events of TensorBoard go there.
        study: The study's folder: the store of MLflow and the files of W&B go there.
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
            from lightning.pytorch.loggers import MLFlowLogger

            options = {"tracking_uri": (study / "mlruns").absolute().as_uri()} | dict(arguments)
            made.append(MLFlowLogger(experiment_name=name, run_name=run, **options))
        else:
            from lightning.pytorch.loggers import WandbLogger

            options = {"save_dir": study / "wandb", "project": name} | dict(arguments)
            Path(options["save_dir"]).mkdir(parents=True, exist_ok=True)
            made.append(WandbLogger(name=run, group=name, **options))
    return made


def _csv(folder: Path, arguments: Mapping[str, Any]) -> CSVLogger:
    return CSVLogger(folder, name="", version="", **arguments)


def close_loggers(loggers: list[Logger]) -> None:
    """Finish runs of services, so that the next run of the process is another one."""
    for logger in loggers:
        logger.finalize("success")
        finish = getattr(getattr(logger, "experiment", None), "finish", None)
        if finish is not None:  # W&B keeps one run a process open until told
            finish()
