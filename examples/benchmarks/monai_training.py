"""Fine-tuning images per second beside a MONAI pipeline with the same network and augmentation.

Run from a checkout on an otherwise idle machine::

    python examples/benchmarks/monai_training.py

MONAI's side is what its tutorials show: `CacheDataset`, `DataLoader`, dictionary transforms doing
the same steps as the library's default augmentation, `DiceCELoss`, AdamW; in fp32 and under bf16
autocast, without loader processes and with two (beside a GPU also with eight, and with one a core
up to 16), and once with what the library's network has on by default (bf16, channels last, the
fused AdamW). Freed memory goes back to the system in MONAI's processes, as in any script that asks
for nothing else; the library keeps it. The library's side is `LowDataModule` and ``Trainer.fit``
with their defaults. Both train the same U-Net on ten phantom slices in batches of eight, in turn,
each way in a process of its own; the batches that loader processes made ahead, while others had
their turn, do not count. On a GPU a step is the mean of a turn of 50 steps at least, on both sides.
"""

from __future__ import annotations

import argparse
import logging
import tempfile
import time
import warnings
from contextlib import ExitStack
from pathlib import Path

import numpy as np
import torch
from fit_steps import fit_steps, steps_of_turn
from machine import cores, describe, quartiles
from own_process import OwnProcess
from peers.installed import installed
from peers.monai_pipeline import Training, endless, items_of, training_loader
from record import Record, add_json_argument

from muscletransfer import LowDataModule
from muscletransfer.data import PreprocessingSpec
from muscletransfer.data.splits import Split
from muscletransfer.data.synthetic import make_cohort
from muscletransfer.hardware import recommended_precision

HOWS = ["fp32", "bf16", "bf16, channels last"]
DEVICE = "cuda" if torch.cuda.is_available() else "cpu"


def numbers_of_workers() -> list[int]:
    """Loader processes that are tried: a GPU with many cores beside it is not fed by two."""
    if DEVICE == "cpu":
        return [0, 2]
    return sorted({0, 2, 8, min(cores(), 16)})


def ahead(workers: int) -> int:
    """Steps of a turn that do not count: each loader process makes two batches ahead."""
    return max(4, 2 * workers) + 1


def of_turn(steps: list[float]) -> list[float]:
    """Seconds that count: of each step, on a GPU their mean, as ours are told.

    Several loader processes give batches in bursts, whose median would say that they keep up.
    """
    return [float(np.mean(steps))] if DEVICE == "cuda" else steps


def with_monai(items: list[dict[str, str]], args: argparse.Namespace, workers: int, how: str):
    """Seconds of each step of MONAI's pipeline."""
    warnings.filterwarnings("ignore")
    torch.manual_seed(0)
    training = Training(args.encoder, DEVICE, "bf16" in how, "channels last" in how)
    batches = endless(training_loader(items, args.size, args.batch, 10_000, workers))
    while True:
        start = time.perf_counter()
        training.step(next(batches))
        yield time.perf_counter() - start


def main() -> None:
    """Let both sides take turns, print medians and ratios."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--encoder", default="resnet18", help="a timm name")
    parser.add_argument("--size", type=int, default=256)
    parser.add_argument("--batch", type=int, default=8)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--steps", type=int, default=5, help="timed steps a side and round")
    parser.add_argument("--workers", type=int, nargs="+", default=numbers_of_workers())
    parser.add_argument("--hows", nargs="+", choices=HOWS, default=HOWS, help="of MONAI's side")
    add_json_argument(parser)
    args = parser.parse_args()
    count = steps_of_turn(args.steps)
    warnings.filterwarnings("ignore")
    logging.getLogger("lightning.pytorch").setLevel(logging.ERROR)
    torch.manual_seed(0)
    print(describe())
    what = f"U-Net / {args.encoder}, {args.size} x {args.size}, batch {args.batch}"
    record = Record(f"Fine-tuning beside MONAI's pipeline: {what}")
    installed(record, "monai")
    if DEVICE == "cuda":
        record.remark("MONAI's transforms work on the CPU.")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        cohort = make_cohort(folder / "cohort", patients=11, size=512, seed=0, workers=1)
        names = [f"P{i:04d}" for i in range(1, 12)]
        split = Split(tuple(names[:10]), tuple(names[10:]), ()).save(folder / "split.json")
        data = LowDataModule(
            cohort.manifest,
            split=split,
            preprocessing=PreprocessingSpec(size=args.size),
            batch_size=args.batch,
            steps_per_epoch=10_000,
            cache_dir=folder / "cache",
        )
        items = items_of(cohort.manifest, split, "train")
        with ExitStack() as stack:
            sides = {
                side_of(how, workers): (
                    ahead(workers),
                    stack.enter_context(OwnProcess(with_monai, items, args, workers, how)),
                )
                for how in args.hows
                for workers in args.workers
            }
            times: dict[str, list[float]] = {side: [] for side in (*sides, "ours")}
            for _ in range(args.rounds):
                for side, (skipped, steps) in sides.items():
                    times[side] += of_turn(steps.take(skipped + count)[skipped:])
                times["ours"] += fit_steps(args.encoder, data, count, ahead(0), folder)
        report(record, times, args)
    record.write(args.json)


def side_of(how: str, workers: int) -> str:
    """Name of a side."""
    return f"MONAI, {how}, {workers} workers"


def report(record: Record, times: dict[str, list[float]], args: argparse.Namespace) -> None:
    """Images a second of each side, and ratios to MONAI's best number of workers."""
    rate = {side: args.batch / float(np.median(found)) for side, found in times.items()}
    for side, found in times.items():
        note = f"a step {1e3 * float(np.median(found)):.4g} ms, {quartiles(found)}"
        record.add(f"{side}, {recommended_precision()}" if side == "ours" else side,
                   rate[side], "images/s", note=note)  # fmt: skip
    limits = {"fp32": 3.0, "bf16": None} if DEVICE == "cuda" else {"fp32": 2.3, "bf16": 1.15}
    for how in args.hows:
        best = max(args.workers, key=lambda workers: rate[side_of(how, workers)])
        same = how == "fp32" or recommended_precision() != "32-true"
        limit = limits.get(how) if same else None
        record.add(
            f"ours / MONAI, {how}, the best of its workers",
            rate["ours"] / rate[side_of(how, best)],
            at_least=limit,
            note=f"which is {best} workers",
        )


if __name__ == "__main__":
    main()
