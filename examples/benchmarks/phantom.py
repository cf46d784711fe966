"""Time of drawing and writing a phantom cohort: processor time a patient and wall time of all.

Run from a checkout::

    OMP_NUM_THREADS=1 python examples/benchmarks/phantom.py --patients 200 --workers 2

Processor time is measured in this process, patient by patient, and its median printed: it does not
depend on what else the machine does. Wall time is that of the whole cohort with the workers asked
for, files and all.
"""

from __future__ import annotations

import argparse
import os
import statistics
import tempfile
import time
from pathlib import Path

from machine import describe
from record import Record, add_json_argument

from muscletransfer.data.synthetic import OTHER_LEVELS, TROUBLES, make_cohort, phantom_slice


def drawing(size: int, count: int, **settings: object) -> float:
    """Median processor seconds of one slice."""
    seconds = []
    for seed in range(count):
        start = time.process_time()
        phantom_slice(seed, size=size, **settings)
        seconds.append(time.process_time() - start)
    return statistics.median(seconds)


def writing(size: int, count: int) -> float:
    """Median processor seconds of one patient's slice with its files."""
    seconds = []
    for seed in range(count):
        with tempfile.TemporaryDirectory() as folder:
            start = time.process_time()
            make_cohort(Path(folder) / "c", patients=1, seed=seed, size=size, workers=1)
            seconds.append(time.process_time() - start)
    return statistics.median(seconds)


def whole(size: int, patients: int, workers: int) -> float:
    """Wall seconds of a cohort."""
    with tempfile.TemporaryDirectory() as folder:
        start = time.perf_counter()
        make_cohort(Path(folder) / "c", patients=patients, size=size, workers=workers)
        return time.perf_counter() - start


def main() -> None:
    """Print a table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--patients", type=int, default=200)
    parser.add_argument("--size", type=int, default=512)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--repeats", type=int, default=15, help="patients a median")
    add_json_argument(parser)
    options = parser.parse_args()
    print(f"{describe()}; load {os.getloadavg()[0]:.1f}; {options.size} pixels")
    phantom_slice(0, size=64)  # what is loaded on first use does not count
    print(f"L3 slice and files   {writing(options.size, options.repeats):.3f} s of processor")
    print(f"L3 slice             {drawing(options.size, options.repeats):.3f} s")
    for level in OTHER_LEVELS:
        print(f"{level:<3} slice            {drawing(options.size, 5, level=level):.3f} s")
    for trouble in TROUBLES:
        seconds = drawing(options.size, 5, troubles=[trouble])
        print(f"L3 with {trouble:<12} {seconds:.3f} s")
    wall = whole(options.size, options.patients, options.workers)
    record = Record("The phantom cohort")
    what = f"{options.patients} patients with {options.workers} workers"
    record.add(what, wall, "s", at_most=60 if options.patients >= 200 else None)
    record.write(options.json)


if __name__ == "__main__":
    main()
