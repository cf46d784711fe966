"""Read every slice of a cache; print by how many megabytes that raised the proportional set size.

Says "started" and "read" on the way and waits for a line after each, so that several of these can
be alive at once when they measure.
"""

from __future__ import annotations

import sys
from pathlib import Path

from muscletransfer.data import SliceCache


def proportional() -> float:
    """Megabytes in which a page that two processes share counts half."""
    lines = Path("/proc/self/smaps_rollup").read_text().splitlines()
    return float(next(line for line in lines if line.startswith("Pss:")).split()[1]) / 1024


def main(directory: str) -> None:
    """Open, wait, read, wait, measure."""
    cache = SliceCache(directory)
    print("started", flush=True)
    sys.stdin.readline()
    before = proportional()
    for k in range(len(cache)):
        cache.image(k).sum()
    print("read", flush=True)
    sys.stdin.readline()
    print(proportional() - before, flush=True)
    sys.stdin.read()


if __name__ == "__main__":
    main(sys.argv[1])
