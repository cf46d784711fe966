"""Time of planning a study of 10,000 runs, with the ids of all of them.

Run from a checkout on an otherwise idle machine::

    python examples/benchmarks/study_planning.py

The study is the paper's: 204 patients, four folds, n = 5 to 125, with nine ways to start and as
many repeats as make 10,000 runs. Measured are planning alone, in a process that has planned before;
the same with a manifest on disk, whose files are hashed anew and then known; and the whole command
``muscletransfer study plan --no-probe``, which has to start Python and import torch too.
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import yaml
from machine import describe, spread
from PIL import Image
from record import Record, add_json_argument

from muscletransfer.study import config_from_dict, plan_study

OWN = {"images": "other_levels"}
SOURCES = [
    "random",
    {"name": "frozen random", "freeze": "encoder"},
    {"name": "imagenet", "weights": "imagenet", "stem": "adapt", "transfers": ["encoder"]},
    {"pretext": "jigsaw", "data": OWN},
    {"pretext": "rotation", "data": OWN},
    {"pretext": "reconstruction", "data": OWN, "transfers": ["encoder", "encoder+decoder"]},
    {"pretext": "segmentation", "data": OWN, "transfers": ["encoder", "encoder+decoder"]},
]
ARMS, NS, FOLDS = 9, 7, 4


def study(data: dict[str, Any], images: str, runs: int) -> dict[str, Any]:
    """The study's file as plain values."""
    sources = [
        {**one, "data": {"images": images}} if isinstance(one, dict) and "data" in one else one
        for one in SOURCES
    ]
    repeats = -(-runs // (ARMS * NS * FOLDS))
    return {"data": {**data, "num_folds": FOLDS}, "repeats": repeats, "sources": sources}


def manifest(folder: Path, patients: int) -> Path:
    """As many small images as patients; what they hold does not matter to planning."""
    rng = np.random.default_rng(0)
    lines = ["patient_id,image,mask"]
    for i in range(patients):
        Image.fromarray(rng.integers(0, 255, (64, 64), np.uint8)).save(folder / f"{i}.png")
        Image.fromarray(np.ones((64, 64), np.uint8)).save(folder / f"{i}_m.png")
        lines.append(f"P{i:04d},{i}.png,{i}_m.png")
    (folder / "cases.csv").write_text("\n".join(lines) + "\n")
    return folder / "cases.csv"


def timed(function: Callable[[], object], times: int) -> list[float]:
    """Wall times in seconds."""
    found = []
    for _ in range(times):
        start = time.perf_counter()
        function()
        found.append(time.perf_counter() - start)
    return found


def main() -> None:
    """Plan, print medians."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--runs", type=int, default=10_000)
    parser.add_argument("--times", type=int, default=7)
    add_json_argument(parser)
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        os.environ["MUSCLETRANSFER_CACHE"] = str(folder / "cache")
        phantom = study({"phantom": {"patients": 204, "observers": 10}}, "other_levels", args.runs)
        own = manifest(folder, 204)
        files = study(
            {"manifest": str(own), "preprocessing": {"hu_window": None}}, "manifest", args.runs
        )
        (folder / "s.yaml").write_text(yaml.safe_dump(phantom))
        plan = plan_study(config_from_dict(phantom))
        first = timed(lambda: plan_study(config_from_dict(files)), 1)
        time.sleep(2.1)  # a file so young may change without its time stamp changing: hashed again
        plan_study(config_from_dict(files))
        alone = timed(lambda: plan_study(config_from_dict(phantom)), args.times)
        known = timed(lambda: plan_study(config_from_dict(files)), args.times)
        command = [sys.executable, "-m", "muscletransfer", "study", "plan", "s.yaml", "--no-probe"]

        def whole() -> None:
            subprocess.run(command, cwd=folder, check=True, capture_output=True)

        whole()  # the names of timm and smp are looked up once after an installation
        process = timed(whole, args.times)
    print(describe())
    record = Record(f"Planning {len(plan.runs)} runs and {len(plan.pretexts)} pre-trainings")
    limit = 2 if len(plan.runs) >= 10_000 else None
    for what, times, most in (
        ("synthetic cohort", alone, limit),
        ("manifest of 204 PNG", known, limit),
        ("manifest of 204 PNG, the first time (files are hashed)", first, None),
        ("the whole command, in a process of its own", process, None),
    ):
        note = spread(times, 1, "s").split("s ")[1]
        record.add(what, statistics.median(times), "s", at_most=most, note=note)
    record.write(args.json)


if __name__ == "__main__":
    main()
