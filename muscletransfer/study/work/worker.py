"""What both bodies share: threads and seeds of the process, the Trainer, versions, files."""

from __future__ import annotations

import json
import logging
import os
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from lightning.pytorch import Callback, Trainer, seed_everything

from muscletransfer.hardware import recommended_precision
from muscletransfer.study.config.data import PhantomConfig
from muscletransfer.study.plan.cases import draw_phantom
from muscletransfer.transfer import collect_versions
from muscletransfer.transfer.preprocessing_check import PreprocessingMismatchWarning

__all__ = [
    "describe_machine",
    "draw_phantoms",
    "make_trainer",
    "resolve_precision",
    "settled",
    "write_json",
]


@contextmanager
def settled(compute: Mapping[str, Any], seed: int) -> Iterator[None]:
    """Set what the results of a process depend on, and put it back afterwards.

    Args:
        compute: ``threads``, ``precision``, ``deterministic``.
        seed: Of the global generators, from which first weights of a source task come.
    """
    threads, algorithms = torch.get_num_threads(), torch.are_deterministic_algorithms_enabled()
    warn_only = torch.is_deterministic_algorithms_warn_only_enabled()
    levels = {n: logging.getLogger(n).level for n in ("lightning.pytorch", "lightning.fabric")}
    # read when CUDA's linear algebra starts, which deterministic kernels want
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
    try:
        torch.set_num_threads(compute["threads"])
        torch.use_deterministic_algorithms(compute["deterministic"], warn_only=True)
        for name in levels:
            logging.getLogger(name).setLevel(logging.WARNING)
        seed_everything(seed, verbose=False)
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", module="lightning.*")
            # weights of photographs meet CT: the question asked, and told in the report
            warnings.simplefilter("ignore", PreprocessingMismatchWarning)
            yield
    finally:
        torch.set_num_threads(threads)
        torch.use_deterministic_algorithms(algorithms, warn_only=warn_only)
        for name, level in levels.items():
            logging.getLogger(name).setLevel(level)


def draw_phantoms(where: Mapping[str, Any]) -> None:
    """Draw the synthetic cohorts of a job that are not on this machine yet.

    The driver has drawn them where workers share its file system.

    Args:
        where: ``phantoms``: a list of ``folder`` and ``settings``.
    """
    for one in where.get("phantoms", ()):
        settings = {**one["settings"], "troubles": tuple(one["settings"]["troubles"])}
        draw_phantom(PhantomConfig(**settings), Path(one["folder"]))


def resolve_precision(compute: Mapping[str, Any], accelerator: str) -> str:
    """Return Lightning's precision; ``auto`` takes what this machine does fast."""
    precision = compute["precision"]
    return recommended_precision(accelerator) if precision == "auto" else str(precision)


def make_trainer(
    steps: int,
    folder: Path,
    compute: Mapping[str, Any],
    *,
    accelerator: str,
    loggers: list[Any],
    callbacks: list[Callback],
    validate: bool,
) -> Trainer:
    """Return a Trainer for so many optimisation steps on one device.

    Args:
        steps: Optimisation steps.
        folder: Where Lightning may put files.
        compute: Threads, precision, determinism.
        accelerator: Lightning's.
        loggers: Lightning loggers.
        callbacks: Callbacks.
        validate: Whether training is interrupted for validation.
    """
    return Trainer(
        max_steps=steps,
        max_epochs=-1,
        accelerator=accelerator,
        devices=1,
        precision=resolve_precision(compute, accelerator),  # type: ignore[arg-type]
        default_root_dir=folder,
        logger=loggers,
        callbacks=callbacks,
        log_every_n_steps=max(1, min(10, steps // 10)),
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        num_sanity_val_steps=0,
        limit_val_batches=None if validate else 0,
    )


def describe_machine(trainer: Trainer) -> dict[str, Any]:
    """Return what a result says of where it was made: no host name and no path."""
    device = trainer.strategy.root_device
    name = torch.cuda.get_device_name(device) if device.type == "cuda" else device.type
    return {
        "device": name,
        "precision": str(trainer.precision),
        "threads": torch.get_num_threads(),
        "versions": collect_versions(),
    }


def write_json(path: Path, value: Mapping[str, Any]) -> None:
    """Write plain values; the folder is the run's own and is put in place whole later."""
    path.write_text(json.dumps(value, indent=1) + "\n", encoding="utf-8")
