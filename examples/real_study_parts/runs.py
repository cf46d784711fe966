"""Run one of the two studies, or go on with it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml

from muscletransfer.errors import StudyError
from muscletransfer.study import read_config, run_study
from muscletransfer.study.config.yaml_file import read_yaml

HERE = Path(__file__).parent

#: What the quick form changes: everything runs, and nothing is learnt.
QUICK: dict[str, dict[str, Any]] = {
    "phantom": {
        "data": {
            "phantom": {"patients": 12, "observers": 2, "seed": 0, "size": 96, "other_levels": 2},
            "num_folds": 2,
            "preprocessing": {"size": 64, "hu_window": [-150, 250]},
        },
        "train_patients": [2, 4],
    },
    "cardiac_mr": {"train_patients": [5, 10], "repeats": 1},
}
_SHORT = {
    "encoders": [{"name": "timm/resnet10t", "depth": 3}],
    "pretraining": {"steps": 3, "batch_size": 4},
    "finetune": {"steps": 4, "batch_size": 2, "lr": 0.001, "warmup_steps": 1},
}


def run(name: str, source: Path, output: Path, *, workers: int, quick: bool) -> Path:
    """Run what is not done yet.

    Args:
        name: ``phantom`` or ``cardiac_mr``.
        source: The folder of real images; the study's file finds it as ``data``.
        output: Where the study's file and folder go.
        workers: Runs at a time.
        quick: A few steps a run.

    Returns:
        The study's folder.

    Raises:
        StudyError: A run failed; its traceback is in the study's folder.
    """
    output.mkdir(parents=True, exist_ok=True)
    link = output / "data"
    if not link.is_symlink():
        link.symlink_to(source.resolve())
    file = output / f"{name}.yaml"
    text = (HERE / file.name).read_text(encoding="utf-8")
    if quick:
        given = read_yaml(HERE / file.name)
        changed = {**QUICK[name], **_SHORT}
        given |= {k: v for k, v in changed.items() if k != "pretraining"}
        given["pretraining"] |= changed["pretraining"]
        for one in given["sources"]:
            if isinstance(one, dict):
                one.pop("batch_size", None)
        text = yaml.safe_dump(given, sort_keys=False)
    file.write_text(text, encoding="utf-8")
    folder = output / name
    outcome = run_study(read_config(file), folder, workers=workers)
    if not outcome.complete:
        raise StudyError(
            f"{folder}: {len(outcome.failed)} runs failed, see {folder}/failed; wanted all, since "
            "a page of part of a study would be read as the whole. The same command goes on."
        )
    return folder
