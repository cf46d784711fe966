"""Time of ``muscletransfer list`` with 50 plug-ins installed, as whole processes.

Run from a checkout on an otherwise idle machine::

    python examples/benchmarks/listing.py

The plug-ins are a dist-info folder each with an entry point in all four groups, and a module that
ends the process if it is imported. The first listing of encoders has to import timm and smp; it is
timed once, in a cache folder of its own, and the others read what it left there.
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from machine import describe, spread
from record import Record, add_json_argument

GROUPS = ("encoders", "decoders", "pretexts", "weights")


def install(folder: Path, count: int) -> None:
    """Write the distributions as pip would leave them."""
    for number in range(count):
        info = folder / f"mt_many_{number}-1.0.dist-info"
        info.mkdir()
        metadata = f"Metadata-Version: 2.1\nName: mt-many-{number}\nVersion: 1.0\n"
        (info / "METADATA").write_text(metadata)
        points = [f"[muscletransfer.{g}]\nmany/{g}-{number} = mt_many_{number}:X\n" for g in GROUPS]
        (info / "entry_points.txt").write_text("\n".join(points))
        (folder / f"mt_many_{number}.py").write_text("raise SystemExit('imported')\n")


def run(what: str, environment: dict[str, str], count: int) -> float:
    """Wall time of one listing in seconds, with a check that the plug-ins are in it."""
    command = [sys.executable, "-m", "muscletransfer", "list", what]
    start = time.perf_counter()
    done = subprocess.run(command, env=environment, check=True, capture_output=True, text=True)
    taken = time.perf_counter() - start
    found = sum(line.startswith(f"many/{what}-") for line in done.stdout.splitlines())
    if found != count:
        raise SystemExit(f"list {what} showed {found} of {count} plug-ins")
    return taken


def main() -> None:
    """Let the listings take turns, print medians."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--runs", type=int, default=11)
    parser.add_argument("--plugins", type=int, default=50)
    add_json_argument(parser)
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        (root / "site").mkdir()
        install(root / "site", args.plugins)
        environment = {
            **os.environ,
            "PYTHONPATH": str(root / "site"),
            "MUSCLETRANSFER_CACHE": str(root / "cache"),
        }
        first = run("encoders", environment, args.plugins)
        times: dict[str, list[float]] = {what: [] for what in GROUPS}
        for number in range(args.runs + 1):
            for what in GROUPS:
                taken = run(what, environment, args.plugins)
                if number:  # the first turn fills the disk cache
                    times[what].append(taken)
    print(describe())
    record = Record(f"Listing with {args.plugins} plug-ins installed, none imported")
    for what, found in times.items():
        quartiles = spread(found).split("ms ")[1]
        middle = 1e3 * statistics.median(found)
        record.add(f"list {what}", middle, "ms", at_most=2000, note=quartiles)
    record.add("list encoders, the first after an installation", first, "s")
    record.write(args.json)


if __name__ == "__main__":
    main()
