"""Cohorts and data modules for the tests of `LowDataModule`."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

from small_cohort import make_small_cohort

from muscletransfer.data import (
    LowDataModule,
    PreprocessingSpec,
)

SPEC = PreprocessingSpec(size=32)


def draw_cohorts(folder: Path) -> Path:
    """Draw a cohort of slices, and one of volumes in a folder within."""
    make_small_cohort(folder)
    make_small_cohort(folder / "volumes", patients=6, slices=5)
    return folder


def module(root: Path, name: str = "manifest.csv", **kwargs: Any) -> LowDataModule:
    options: dict[str, Any] = {
        "train_patients": 3,
        "num_folds": 3,
        "preprocessing": SPEC,
        "batch_size": 4,
        "cache_dir": root / "cache",
    }
    return LowDataModule(root / name, **(options | kwargs))


def ready(root: Path, **kwargs: Any) -> LowDataModule:
    data = module(root, **kwargs)
    data.prepare_data()
    data.setup("fit")
    return data


def batches(data: LowDataModule, loader: Any) -> list[dict[str, Any]]:
    return [data.on_after_batch_transfer(copy.copy(b), 0) for b in loader]
