"""Training through Trainer.fit beside a plain smp loop and beside our own bare loop.

Run from a checkout on an otherwise idle machine::

    python examples/benchmarks/training_speed.py

U-Net / resnet18, 128 x 128, batch 8, on phantom slices. Five loops take turns; the plain ones have
a process each, since ours changes how its process keeps memory:

- ``plain``: segmentation-models-pytorch as its users write it, fp32, on a ready batch, without
  augmentation, data loading or logging (so it does less than ours);
- ``kept``: the same in a process that keeps freed memory, as training with ours does by itself;
- ``bare``: our model, loss, optimiser, schedule, precision, loader and augmentation in a
  hand-written loop;
- ``ready``: the same on a ready batch, without loader and augmentation;
- ``fit``: everything through ``Trainer.fit``.

Printed are the median step and its quartiles, and the ratios.
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
from fit_steps import fit_steps
from machine import describe, spread
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

BATCH, SIZE, WARM_UP = 8, 128, 4
LOOPS = ["plain", "kept", "bare", "ready", "fit"]
RATIOS = [
    ("plain / fit", "plain", "fit", {"at_least": 2.3}),
    ("plain with freed memory kept / fit", "kept", "fit", {}),
    ("fit / bare loop", "fit", "bare", {"at_most": 1.10}),
    ("fit / bare loop on a ready batch", "fit", "ready", {}),
]


def plain_loop(batch: dict[str, torch.Tensor], keep: bool) -> Iterator[float]:
    """Plain smp, fp32; with or without what training with ours sets for its process."""
    if keep:
        keep_freed_memory()
    torch.manual_seed(0)
    model = smp.Unet("resnet18", encoder_weights=None, in_channels=1, classes=1).train()
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-3)
    overlap = smp.losses.DiceLoss("binary")
    image, mask = batch["image"].contiguous(), batch["mask"][:, None].float()
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


def bare_loop(data: LowDataModule, ready: dict[str, torch.Tensor] | None) -> Iterator[float]:
    """Our parts without the Trainer; with the loader and augmentation unless a batch is given."""
    model = SegmentationFineTuner("timm/resnet18", "unet").train()
    parts = [model.model.decoder, model.model.head]
    groups = layerwise_groups(model.model.encoder, parts, 1e-3, 1.0)
    optimizer = ChannelsLastAdamW(groups, 1e-3, weight_decay=0.01, fused=True)
    scheduler = warmup_cosine(optimizer, 10_000, 50)
    mixed = recommended_precision() != "32-true"
    batches: Iterator[dict[str, torch.Tensor]]
    if ready is None:
        batches = itertools.chain.from_iterable(data.train_dataloader() for _ in itertools.count())
    else:
        batches = itertools.repeat(ready)
    while True:
        start = time.perf_counter()
        batch = next(batches)
        if ready is None:
            batch = data.on_after_batch_transfer(batch, 0)
        with torch.autocast("cpu", torch.bfloat16, enabled=mixed):
            loss = model.loss(model(batch["image"]), batch["mask"])
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        optimizer.step()
        scheduler.step()
        loss.item()
        yield time.perf_counter() - start


def main() -> None:
    """Let the loops take turns, print medians and ratios."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=8)
    parser.add_argument("--steps", type=int, default=12, help="timed steps a loop and round")
    parser.add_argument("--loops", nargs="+", choices=LOOPS, default=LOOPS, help="all")
    add_json_argument(parser)
    args = parser.parse_args()
    warnings.filterwarnings("ignore")
    logging.getLogger("lightning.pytorch").setLevel(logging.ERROR)
    torch.manual_seed(0)
    keep_freed_memory()  # the bare loops are those that `fit` is measured by
    times: dict[str, list[float]] = {name: [] for name in LOOPS if name in args.loops}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        cohort = make_cohort(folder / "cohort", patients=24, size=256, seed=0)
        data = LowDataModule(
            cohort.manifest,
            train_patients=10,
            preprocessing=PreprocessingSpec(size=SIZE),
            batch_size=BATCH,
            steps_per_epoch=10_000,
            cache_dir=folder / "cache",
        )
        data.setup("fit")
        batch = data.on_after_batch_transfer(next(iter(data.train_dataloader())), 0)
        ours = {"bare": bare_loop(data, None), "ready": bare_loop(data, batch)}
        with ExitStack() as stack:
            theirs = {
                name: stack.enter_context(OwnProcess(plain_loop, batch, name == "kept"))
                for name in ("plain", "kept")
                if name in times
            }
            for number in range(args.rounds):
                count = args.steps + (WARM_UP if number == 0 else 0)
                for name, side in theirs.items():
                    times[name] += side.take(count)[-args.steps :]
                for name, loop in ours.items():
                    if name in times:
                        times[name] += [next(loop) for _ in range(count)][-args.steps :]
                if "fit" in times:
                    times["fit"] += fit_steps("resnet18", data, args.steps, WARM_UP, folder, "cpu")
    medians = {name: float(np.median(found)) for name, found in times.items()}
    print(describe())
    print(f"precision of ours: {recommended_precision()}; of plain: 32-true")
    for name, found in times.items():
        print(f"{name:>6}: {spread(found)} a step, {BATCH / medians[name]:6.1f} images/s")
    record = Record("Training through Trainer.fit beside a plain smp loop in fp32")
    for name, found in times.items():
        record.add(f"step, {name}", 1e3 * medians[name], "ms", note=spread(found).split("ms ")[1])
    for name, above, below, limits in RATIOS:
        if {above, below} <= set(medians):
            record.add(name, medians[above] / medians[below], **limits)
    record.write(args.json)


if __name__ == "__main__":
    main()
