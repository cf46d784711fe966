"""Does a slice cost the same in a cohort of 100 slices and in one of 10,000?

Run from a checkout::

    python examples/benchmarks/growth.py

Writes synthetic DICOM series, and for cohorts of growing size measures, a slice: building the cache
with one thread, reading every slice from it, and one epoch of a training's batches (loader,
augmentation and all, without a network). The order is largest last, so that nothing is warm but the
imports. Processor seconds are the judged ones: they do not depend on what else the machine does.
The smallest cohort is taken several times, since it is soon over. How a study grows with its runs
is measured by study_engine.py.
"""

from __future__ import annotations

import argparse
import logging
import resource
import shutil
import statistics
import tempfile
import time
import warnings
from collections.abc import Callable
from pathlib import Path

from cache import write_series
from machine import describe
from record import Record, add_json_argument

from muscletransfer import PretextDataModule
from muscletransfer.data import Manifest, PreprocessingSpec, SliceCache
from muscletransfer.data.indexing import index_images
from muscletransfer.data.manifest.slices import expand_slices


def busy() -> float:
    """Processor seconds of this process and of those that it started and waited for."""
    spent = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(one.ru_utime + one.ru_stime for one in spent)


def measured(folder: Path, count: int, repeats: int, size: int) -> dict[str, tuple[float, float]]:
    """Wall and processor milliseconds a slice of each part, median of the repeats."""
    write_series(folder / "dicom", count, size)
    index = index_images(folder / "dicom", folder / "m.csv", workers=0)
    rows = expand_slices(Manifest.read(index.manifest), "all")
    spec = PreprocessingSpec(size=size)

    def build() -> None:
        SliceCache.open_or_build(rows, spec, folder / "cache", need_masks=False)

    def read() -> None:
        cache = SliceCache.open_or_build(rows, spec, folder / "cache", need_masks=False)
        for k in range(len(cache)):
            cache.image(k).sum()

    def epoch() -> None:
        data = PretextDataModule(
            index.manifest,
            slices="all",
            val_fraction=0,
            preprocessing=spec,
            batch_size=16,
            cache_dir=folder / "cache",
        )
        data.setup("fit")
        for batch in data.train_dataloader():
            data.on_after_batch_transfer(batch, 0)

    parts: dict[str, Callable[[], None]] = {
        "building the cache": build,
        "opening and reading it": read,
        "an epoch of batches": epoch,
    }
    taken: dict[str, list[tuple[float, float]]] = {part: [] for part in parts}
    for _ in range(repeats):
        shutil.rmtree(folder / "cache", ignore_errors=True)
        for part, function in parts.items():
            wall, processor = time.perf_counter(), busy()
            function()
            taken[part].append((time.perf_counter() - wall, busy() - processor))
    return {
        part: tuple(1e3 * statistics.median(clock) / count for clock in zip(*pairs, strict=True))
        for part, pairs in taken.items()
    }


def main() -> None:
    """Measure cohorts of growing size, print milliseconds a slice and ratios."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--slices", type=int, nargs="+", default=[100, 1000, 10_000])
    parser.add_argument("--size", type=int, default=128)
    parser.add_argument("--repeats", type=int, default=7, help="of the smallest cohort")
    add_json_argument(parser)
    args = parser.parse_args()
    warnings.filterwarnings("ignore")
    logging.getLogger("lightning.pytorch").setLevel(logging.ERROR)
    print(describe())
    counts = sorted(args.slices)
    what = f"{counts[0]:,} to {counts[-1]:,} slices of {args.size} x {args.size}"
    record = Record(f"Cost of a slice in cohorts of {what}")
    found = {}
    with tempfile.TemporaryDirectory() as name:  # imports and first calls do not count
        measured(Path(name), counts[0], 1, args.size)
    for count in counts:
        with tempfile.TemporaryDirectory() as name:
            repeats = max(1, args.repeats * counts[0] // count)
            found[count] = measured(Path(name), count, repeats, args.size)
        for part, (wall, processor) in found[count].items():
            note = f"{processor:.4g} ms of processor time"
            record.add(f"{part}, {count} slices", wall, "ms a slice", note=note)
    for part in found[counts[0]]:
        ratio = found[counts[-1]][part][1] / found[counts[0]][part][1]
        limit = 1.1 if counts[-1] >= 10_000 else None
        what = f"{part}, {counts[-1]} / {counts[0]} slices, processor time a slice"
        note = "the smaller cohort first, not in turn"
        record.add(what, ratio, at_most=limit, note=note)
    record.write(args.json)


if __name__ == "__main__":
    main()
