"""Time of an observer study of ten observers and 25 cases of 512 x 512, from files to page.

Run from a checkout, on one core::

    OMP_NUM_THREADS=1 python examples/benchmarks/observers.py

One of the ten observers plays the model, so that the human-level test is made too. Printed are wall
and processor seconds of each step; on a busy machine the latter are the ones to compare.
"""

from __future__ import annotations

import argparse
import resource
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

import torch
from machine import describe
from record import Record, add_json_argument

from muscletransfer.data import Manifest
from muscletransfer.data.synthetic import make_cohort
from muscletransfer.observers import human_level, observer_study_from_manifest
from muscletransfer.report.observer_page import write_observer_study

Result = TypeVar("Result")


def timed(name: str, function: Callable[[], Result]) -> tuple[Result, float, float]:
    """Run a step; print and return its wall and processor seconds."""
    wall, used = time.perf_counter(), time.process_time()
    result = function()
    wall, used = time.perf_counter() - wall, time.process_time() - used
    print(f"{name:>24}: {wall:6.2f} s, {used:6.2f} s of one core", flush=True)
    return result, wall, used


def main() -> None:
    """Draw a cohort, run the study on it, and print the times."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--cases", type=int, default=25)
    parser.add_argument("--observers", type=int, default=10)
    parser.add_argument("--size", type=int, default=512)
    parser.add_argument("--consensus", choices=["majority", "staple"], default="majority")
    add_json_argument(parser)
    args = parser.parse_args()
    torch.set_num_threads(1)
    print(describe())
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        cohort = make_cohort(
            root / "c", patients=args.cases, size=args.size, observers=args.observers
        )
        rows = Manifest.read(cohort.observers_manifest, allow_repeats=True).rows
        model = Manifest(tuple(row for row in rows if row.extra["observer"] == "O01"))
        steps = [
            timed(
                "read and compare",
                lambda: observer_study_from_manifest(
                    cohort.observers_manifest, cohort.manifest, model, consensus=args.consensus
                ),
            )
        ]
        study = steps[0][0]
        steps.append(timed("human-level test", lambda: human_level(study, 0.01)))
        human = steps[1][0]
        steps.append(
            timed("tables, figures, page", lambda: write_observer_study(study, root / "o", [human]))
        )
        wall, used = (sum(step[place] for step in steps) for place in (1, 2))
        pairs = len(study.pairwise) + len(study.leave_one_out) + len(study.against_reference)
        record = Record(f"Observer study: {args.observers} observers, {args.cases} cases")
        record.add("whole study", wall, "s", at_most=30, note=f"{used:.1f} s of one core")
        record.add("comparisons of two masks", pairs)
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
        record.add("largest memory", peak, "MB")
        record.write(args.json)


if __name__ == "__main__":
    main()
