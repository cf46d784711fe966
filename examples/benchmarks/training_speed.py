"""Training through Trainer.fit beside a plain smp loop and beside our own bare loop.

Run from a checkout on an otherwise idle machine::

    python examples/benchmarks/training_speed.py

U-Net / resnet18, 128 x 128, batch 8 unless asked otherwise, on phantom slices. Five loops take
turns; the plain ones have a process each, since ours changes how its process keeps memory:

- ``plain``: segmentation-models-pytorch as its users write it, fp32, on a ready batch, without
  augmentation, data loading or logging (so it does less than ours);
- ``kept``: the same in a process that keeps freed memory, as training with ours does by itself;
- ``bare``: our model, loss, optimiser, schedule, precision, loader and augmentation in a
  hand-written loop;
- ``ready``: the same on a ready batch, without loader and augmentation;
- ``fit``: everything through ``Trainer.fit``.

Printed are the median step and its quartiles, and the ratios. Each turn begins with steps that do
not count. On a GPU the last three are not stopped between steps, as no training is: a step is then
the mean of a turn, of 50 steps at least. The plain loops read their loss at each step.
"""

from __future__ import annotations

import argparse
import itertools
import logging
import tempfile
import time
import warnings
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import numpy as np
import segmentation_models_pytorch as smp
import torch
from fit_steps import Clock, fit_steps, steps_of_turn
from machine import describe, precision_of_ours, spread
from own_process import OwnProcess
from record import Record, add_json_argument

from muscletransfer import LowDataModule, SegmentationFineTuner
from muscletransfer.data import PreprocessingSpec
from muscletransfer.data.synthetic import make_cohort
from muscletransfer.freed_memory import keep_freed_memory
from muscletransfer.hardware import recommended_precision
from muscletransfer.optimizer import ChannelsLastAdamW
from muscletransfer.schedule import warmup_cosine
from muscletransfer.transfer import layerwise_groups

WARM_UP = 4  # steps of every turn that do not count
DEVICE = "cuda" if torch.cuda.is_available() else "cpu"
USUAL = {"encoder": "resnet18", "size": 128, "batch": 8}
LOOPS = ["plain", "kept", "bare", "ready", "fit"]
RATIOS = [
    ("plain / fit", "plain", "fit", {"at_least": 2.3}),
    ("plain with freed memory kept / fit", "kept", "fit", {}),
    ("fit / bare loop", "fit", "bare", {"at_most": 1.10}),
    ("fit / bare loop on a ready batch", "fit", "ready", {"at_most": 1.10}),
]


def plain_loop(encoder: str, batch: dict[str, torch.Tensor], keep: bool) -> Iterator[float]:
    """Plain smp, fp32; with or without what training with ours sets for its process."""
    if keep:
        keep_freed_memory()
    torch.manual_seed(0)
    model = smp.Unet(encoder, encoder_weights=None, in_channels=1, classes=1).train().to(DEVICE)
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-3)
    overlap = smp.losses.DiceLoss("binary")
    image = batch["image"].contiguous().to(DEVICE)
    mask = batch["mask"][:, None].float().to(DEVICE)
    while True:
        start = time.perf_counter()
        logits = model(image)
        loss = torch.nn.functional.binary_cross_entropy_with_logits(logits, mask)
        loss = loss + overlap(logits, mask)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        loss.item()
        yield time.perf_counter() - start


def bare_loop(
    encoder: str, data: LowDataModule, ready: dict[str, torch.Tensor] | None
) -> Iterator[None]:
    """Our parts without the Trainer; with the loader and augmentation unless a batch is given."""
    model = SegmentationFineTuner(f"timm/{encoder}", "unet").train().to(DEVICE)
    parts = [model.model.decoder, model.model.head]
    groups = layerwise_groups(model.model.encoder, parts, 1e-3, 1.0)
    optimizer = ChannelsLastAdamW(groups, 1e-3, weight_decay=0.01, fused=True)
    scheduler = warmup_cosine(optimizer, 10_000, 50)
    mixed = recommended_precision() != "32-true"
    batches: Iterator[dict[str, torch.Tensor]]
    if ready is None:
        batches = itertools.chain.from_iterable(data.train_dataloader() for _ in itertools.count())
    else:
        batches = itertools.repeat(on_device(ready))
    while True:
        batch = next(batches)
        if ready is None:
            batch = data.on_after_batch_transfer(on_device(batch), 0)
        with torch.autocast(DEVICE, torch.bfloat16, enabled=mixed):
            loss = model.loss(model(batch["image"]), batch["mask"])
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        optimizer.step()
        scheduler.step()
        yield


def on_device(batch: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """Bring its tensors to the device without waiting for it, as the Trainer does."""
    return {
        key: value.to(DEVICE, non_blocking=True) if isinstance(value, torch.Tensor) else value
        for key, value in batch.items()
    }


def timed_steps(loop: Iterator[None], count: int, skipped: int) -> list[float]:
    """Seconds of each step; on a GPU their mean, over steps that it is not stopped between."""
    clock = Clock(count, skipped)
    for _ in range(skipped + count):
        next(loop)
        clock.tick()
    return clock.seconds()


def main() -> None:
    """Let the loops take turns, print medians and ratios."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--encoder", default=USUAL["encoder"], help="a timm and smp name")
    parser.add_argument("--size", type=int, default=USUAL["size"])
    parser.add_argument("--batch", type=int, default=USUAL["batch"])
    parser.add_argument("--rounds", type=int, default=8)
    parser.add_argument("--steps", type=int, default=12, help="timed steps a loop and round")
    parser.add_argument("--loops", nargs="+", choices=LOOPS, default=LOOPS, help="all")
    add_json_argument(parser)
    args = parser.parse_args()
    steps = steps_of_turn(args.steps)
    warnings.filterwarnings("ignore")
    logging.getLogger("lightning.pytorch").setLevel(logging.ERROR)
    torch.manual_seed(0)
    keep_freed_memory()  # the bare loops are those that `fit` is measured by
    times: dict[str, list[float]] = {name: [] for name in LOOPS if name in args.loops}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        native = max(256, args.size)
        cohort = make_cohort(folder / "cohort", patients=24, size=native, seed=0, workers=1)
        data = LowDataModule(
            cohort.manifest,
            train_patients=10,
            preprocessing=PreprocessingSpec(size=args.size),
            batch_size=args.batch,
            steps_per_epoch=10_000,
            cache_dir=folder / "cache",
        )
        data.setup("fit")
        batch = data.on_after_batch_transfer(next(iter(data.train_dataloader())), 0)
        ours = {
            name: bare_loop(args.encoder, data, None if name == "bare" else batch)
            for name in ("bare", "ready")
            if name in times
        }
        with ExitStack() as stack:
            theirs = {
                name: stack.enter_context(
                    OwnProcess(plain_loop, args.encoder, batch, name == "kept")
                )
                for name in ("plain", "kept")
                if name in times
            }
            for _ in range(args.rounds):
                for name, side in theirs.items():
                    times[name] += side.take(WARM_UP + steps)[WARM_UP:]
                for name, loop in ours.items():
                    times[name] += timed_steps(loop, steps, WARM_UP)
                if "fit" in times:
                    times["fit"] += fit_steps(args.encoder, data, steps, WARM_UP, folder)
    medians = {name: float(np.median(found)) for name, found in times.items()}
    print(describe())
    for name, found in times.items():
        print(f"{name:>6}: {spread(found)} a step, {args.batch / medians[name]:6.1f} images/s")
    usual = all(getattr(args, name) == value for name, value in USUAL.items())
    what = f"U-Net / {args.encoder}, {args.size} x {args.size}, batch {args.batch}"
    beside = "a plain smp loop in fp32" if theirs else "a loop of its own parts"
    more = "" if usual else f": {what}, {recommended_precision()}"
    record = Record(f"Training through Trainer.fit beside {beside}{more}")
    record.remark(precision_of_ours())
    for name, found in times.items():
        record.add(f"step, {name}", 1e3 * medians[name], "ms", note=spread(found).split("ms ")[1])
    for name, above, below, limits in RATIOS:
        if {above, below} <= set(medians):
            # What a plain loop is beaten by was said of the usual sizes on a CPU.
            held = "at_most" in limits or (usual and DEVICE == "cpu")
            record.add(name, medians[above] / medians[below], **(limits if held else {}))
    record.write(args.json)


if __name__ == "__main__":
    main()
