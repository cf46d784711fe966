"""Peak memory of fine-tuning beside a bare loop, and what a cache costs several processes.

Run from a checkout (Linux)::

    python examples/benchmarks/memory.py

Each side trains the same U-Net with the same optimiser, precision and batch, in a process of its
own, of which the peak of resident memory is taken; on a GPU, the peak of its memory as well, and
the limit is of that one: what a process has resident there is mostly CUDA itself. The bare loop is
torch and segmentation-models-pytorch on one ready batch: it reads nothing, augments nothing,
validates nothing and imports nothing else. What a process has after its imports is shown beside the
peaks. The second part reads a whole cache in one process, then in two at a time, and adds up their
proportional set sizes, in which a page of memory that two share counts half in each.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

from cache import write_series
from machine import accelerator, describe
from record import Record, add_json_argument

from muscletransfer.data import Manifest, PreprocessingSpec, SliceCache
from muscletransfer.data.indexing import index_images
from muscletransfer.data.manifest.slices import expand_slices
from muscletransfer.data.synthetic import make_cohort

PARTS = Path(__file__).with_name("memory_parts")


def told(part: str, *arguments: object) -> dict[str, float]:
    """What a process of its own prints as JSON."""
    command = [sys.executable, PARTS / f"{part}.py", *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        raise SystemExit(f"{part} failed:\n{done.stderr[-3000:]}")
    return json.loads(done.stdout.splitlines()[-1])


def of_training(record: Record, args: argparse.Namespace) -> None:
    """Peaks of both sides, median of several processes each, in turn."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        cohort = make_cohort(folder / "cohort", patients=24, size=args.size, workers=1)
        shape = (args.encoder, args.size, args.batch, args.steps)
        found: dict[str, list[dict[str, float]]] = {"bare": [], "ours": []}
        for _ in range(args.rounds):
            found["bare"].append(told("bare", *shape))
            found["ours"].append(told("ours", *shape, cohort.manifest, folder / "cache"))
    judged = "peak of GPU memory" if accelerator() else "peak of resident memory"
    for key in found["bare"][0]:
        middle = {s: statistics.median(one[key] for one in all_) for s, all_ in found.items()}
        for side, value in middle.items():
            record.add(f"{side}: {key}", value, "MB")
        limit = 1.1 if key == judged else None
        record.add(f"ours / bare: {key}", middle["ours"] / middle["bare"], at_most=limit)


def of_cache(record: Record, args: argparse.Namespace) -> None:
    """Proportional set sizes of one and of two processes that read all of a cache."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        write_series(folder / "dicom", args.slices, args.size)
        index = index_images(folder / "dicom", folder / "m.csv", workers=0)
        rows = expand_slices(Manifest.read(index.manifest), "all")
        spec = PreprocessingSpec(size=args.size)
        cache = SliceCache.open_or_build(rows, spec, folder / "cache", need_masks=False)
        size = cache.images.nbytes / 2**20
        sums = [sum(reading(cache.directory, count)) for count in (1, 2)]
    record.add(f"cache of {args.slices} slices, network grid", size, "MB")
    for count, total in enumerate(sums, 1):
        record.add(f"reading all of it adds, {count} at a time", total, "MB")
    # In a small cache what two processes hold apart from it would decide.
    limit = 1.1 if args.slices >= 512 else None
    record.add("two at a time / one", sums[1] / sums[0], at_most=limit)


def reading(directory: Path, count: int) -> list[float]:
    """Megabytes that reading adds to each of so many processes, all alive at once."""
    command = [sys.executable, PARTS / "reading.py", str(directory)]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
    readers = [subprocess.Popen(command, **pipes) for _ in range(count)]
    try:
        # Each says when it has started and when it has read, and waits for the others.
        for _ in ("started", "read"):
            for reader in readers:
                if not reader.stdout.readline():
                    raise SystemExit("a process that reads the cache has failed")
            for reader in readers:
                reader.stdin.write("\n")
                reader.stdin.flush()
        return [float(reader.communicate(timeout=120)[0]) for reader in readers]
    finally:
        for reader in readers:
            reader.kill()
            reader.wait()


def main() -> None:
    """Both parts."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--encoder", default="resnet34", help="a timm name")
    parser.add_argument("--size", type=int, default=256)
    parser.add_argument("--batch", type=int, default=16)
    parser.add_argument("--steps", type=int, default=4)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--slices", type=int, default=1024, help="in the cache")
    add_json_argument(parser)
    args = parser.parse_args()
    print(describe())
    shape = f"U-Net / {args.encoder}, {args.size} x {args.size}, batch {args.batch}"
    record = Record(f"Peak memory of fine-tuning ({shape}), and of a cache that is shared")
    of_training(record, args)
    of_cache(record, args)
    record.write(args.json)


if __name__ == "__main__":
    main()
