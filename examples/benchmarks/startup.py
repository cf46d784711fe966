"""Time of ``import muscletransfer`` and of ``muscletransfer --help``, as whole processes.

Run from a checkout on an otherwise idle machine::

    python examples/benchmarks/startup.py

An empty Python process takes turns with them, so that what the interpreter itself costs is seen.
The import is what its process takes beyond the empty one.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import time

import numpy as np
from machine import describe, spread
from record import Record, add_json_argument

COMMANDS = {
    "python -c pass": ["-c", "pass"],
    "import muscletransfer": ["-c", "import muscletransfer"],
    "muscletransfer --help": ["-m", "muscletransfer", "--help"],
    "muscletransfer list pretexts": ["-m", "muscletransfer", "list", "pretexts"],
    "import torch (for scale)": ["-c", "import torch"],
}
HEAVY = ("torch", "lightning", "monai", "timm", "torchvision", "numpy", "SimpleITK", "pandas")


def run(arguments: list[str]) -> float:
    """Wall time of one process in seconds."""
    start = time.perf_counter()
    subprocess.run([sys.executable, *arguments], check=True, stdout=subprocess.DEVNULL)
    return time.perf_counter() - start


def main() -> None:
    """Let the commands take turns, print medians."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--runs", type=int, default=11)
    add_json_argument(parser)
    args = parser.parse_args()
    times: dict[str, list[float]] = {name: [] for name in COMMANDS}
    for number in range(args.runs + 1):
        for name, arguments in COMMANDS.items():
            taken = run(arguments)
            if number:  # the first turn fills the disk cache
                times[name].append(taken)
    print(describe())
    for name, found in times.items():
        print(f"{name:>28}: {spread(found)}")
    alone = np.median(times["import muscletransfer"]) - np.median(times["python -c pass"])
    record = Record("Start-up")
    record.add("import muscletransfer", 1e3 * alone, "ms", at_most=150)
    record.add("muscletransfer --help", np.median(times["muscletransfer --help"]), "s", at_most=1.5)
    code = f"import sys, muscletransfer; print(*[m for m in {HEAVY} if m in sys.modules])"
    heavy = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    print(f"heavy packages that the import brings: {heavy.stdout.split() or 'none'}")
    record.add("heavy packages that the import brings", len(heavy.stdout.split()), at_most=0)
    record.write(args.json)


if __name__ == "__main__":
    main()
