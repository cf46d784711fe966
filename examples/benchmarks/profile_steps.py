"""Where the time goes: a fine-tuning step, a pretext step, prediction, and the start of a study.

Run from a checkout::

    python examples/benchmarks/profile_steps.py

The first three under torch's profiler: the operators that took most of the time by themselves, and
their share of all; on a GPU, of the time of the kernels that they launched. A training step is the
whole of it, inside ``Trainer.fit``: the loader's batch, augmentation, network, loss, backward,
optimiser and the Trainer's own hooks. What the profiler adds to each operator is in the shares, so
the time of a step is told without it; on a GPU it is the mean of 50 steps at least, between which
nothing is waited for. The start of a study, ``muscletransfer study plan``, is a process whose
imports Python times (``-X importtime``), and planning is profiled by cProfile.
"""

from __future__ import annotations

import argparse
import cProfile
import io
import logging
import os
import pstats
import subprocess
import sys
import tempfile
import time
import warnings
from pathlib import Path

import numpy as np
import torch
import yaml
from fit_steps import Clock, steps_of_turn
from lightning.pytorch import LightningModule, Trainer
from machine import describe, quartiles
from record import Record, add_json_argument
from torch.autograd import DeviceType
from torch.profiler import ProfilerActivity, profile
from training_only import training_only

from muscletransfer import JigsawPretext, LowDataModule, PretextDataModule, SegmentationFineTuner
from muscletransfer.data import Manifest, PreprocessingSpec, read_ct
from muscletransfer.data.datamodules.base import SliceDataModule
from muscletransfer.data.synthetic import make_cohort
from muscletransfer.hardware import recommended_precision
from muscletransfer.prediction import Ensemble
from muscletransfer.study import config_from_dict, plan_study

GPU = torch.cuda.is_available()
WARM_UP, ROWS = 2, 12
STUDY = {
    "data": {"phantom": {"patients": 204}},
    "sources": ["random", {"pretext": "jigsaw", "data": {"images": "other_levels"}}],
}


def profiler() -> profile:
    """torch's profiler of what there is."""
    return profile(activities=[ProfilerActivity.CPU, *[ProfilerActivity.CUDA] * GPU])


class Profiled(Clock):
    """Lets some steps pass, times the next ones, and profiles some more.

    Args:
        timed: Steps to time.
        steps: Steps to profile.
    """

    def __init__(self, timed: int, steps: int) -> None:
        super().__init__(timed, WARM_UP)
        self.first, self.last = WARM_UP + timed, WARM_UP + timed + steps
        self.found = profiler()

    def tick(self) -> None:
        """Note the time; start and stop the profiler, which lets a GPU finish by itself."""
        if self.steps < self.first:
            super().tick()
        else:
            self.steps += 1
        if self.steps == self.first:
            self.found.start()
        elif self.steps == self.last:
            self.found.stop()


def table_of(found: profile, steps: int) -> str:
    """The operators that took most of the time by themselves."""
    clock = "self_device_time_total" if GPU else "self_cpu_time_total"
    # An operator has the time of its kernels; the kernels, and what an annotation spans on the GPU,
    # are there once more as rows of the GPU.
    rows = [one for one in found.key_averages() if one.device_type == DeviceType.CPU]
    rows = sorted(
        (one for one in rows if getattr(one, clock)), key=lambda one: -getattr(one, clock)
    )
    total = sum(getattr(one, clock) for one in rows)
    lines = [f"{'operator':<50} {'share':>6} {'ms a step':>10} {'calls':>6}"]
    for one in rows[:ROWS]:
        own = getattr(one, clock)
        name = one.key if len(one.key) <= 50 else one.key[:47] + "..."
        calls = one.count / steps
        lines.append(f"{name:<50} {own / total:>6.1%} {own / 1e3 / steps:>10.2f} {calls:>6.0f}")
    return "\n".join(lines)


def training(
    record: Record, what: str, model: LightningModule, data: SliceDataModule, steps: int
) -> Trainer:
    """Profile ``Trainer.fit``; return its Trainer."""
    seen = Profiled(steps_of_turn(steps), steps)
    with tempfile.TemporaryDirectory() as folder:
        trainer = training_only(folder, seen.last, callbacks=[seen])
        trainer.fit(model, datamodule=data)
    times = seen.seconds()
    note = f"mean of {seen.count} steps" if GPU else quartiles(times)
    record.add(what, 1e3 * float(np.median(times)), "ms", note=note)
    record.table(f"{what}: operators by their own time", table_of(seen.found, steps))
    return trainer


def prediction(
    record: Record, manifest: Path, ensemble: Ensemble, args: argparse.Namespace
) -> None:
    """Profile the network's part of predicting a batch."""
    spec = ensemble.preprocessing
    images = [read_ct(row.image) for row in Manifest.read(manifest).rows[: args.batch]]
    stored = [spec.apply(one.hu[0], one.slice_spacing)[0] for one in images]
    times = []
    for _ in range(WARM_UP + steps_of_turn(args.steps)):
        start = time.perf_counter()
        ensemble.predict(stored)
        times.append(time.perf_counter() - start)
    with profiler() as found:
        for _ in range(args.steps):
            ensemble.predict(stored)
    what = f"Prediction of {len(stored)} slices"
    times = times[WARM_UP:]
    record.add(what, 1e3 * float(np.median(times)), "ms", note=quartiles(times))
    record.table(f"{what}: operators by their own time", table_of(found, args.steps))


def study_start(record: Record, folder: Path) -> None:
    """Time the imports of planning, and profile planning itself."""
    (folder / "s.yaml").write_text(yaml.safe_dump(STUDY))
    command = [sys.executable, "-X", "importtime", "-m", "muscletransfer", "study", "plan"]
    where = {**os.environ, "MUSCLETRANSFER_CACHE": str(folder / "cache")}
    start = time.perf_counter()
    done = subprocess.run(
        [*command, "s.yaml", "--no-probe"], cwd=folder, env=where, capture_output=True, text=True
    )
    seconds = time.perf_counter() - start
    if done.returncode:
        lines = [line for line in done.stderr.splitlines() if not line.startswith("import time:")]
        raise SystemExit("\n".join(lines))
    rows = []
    for line in done.stderr.splitlines():
        fields = line.removeprefix("import time:").split("|")
        if len(fields) == 3 and fields[0].strip().isdigit():
            name = fields[2].rstrip()
            rows.append((int(fields[0]), name.strip().partition(".")[0]))
    packages: dict[str, int] = {}
    for own, name in rows:
        packages[name] = packages.get(name, 0) + own
    total = sum(packages.values())
    lines = [f"{'package':<30} {'share':>6} {'ms':>8}"]
    for name, own in sorted(packages.items(), key=lambda one: -one[1])[:ROWS]:
        lines.append(f"{name:<30} {own / total:>6.1%} {own / 1e3:>8.1f}")
    record.add("Start of a study: the command, with its imports timed", seconds, "s")
    record.add("Start of a study: all imports", total / 1e6, "s")
    record.table("Start of a study: imports by package, each without what it imports in its turn",
                 "\n".join(lines))  # fmt: skip
    profiled = cProfile.Profile()
    profiled.runcall(lambda: plan_study(config_from_dict(STUDY)))
    text = io.StringIO()
    stats = pstats.Stats(profiled, stream=text)
    record.add("Start of a study: planning, under cProfile", 1e3 * stats.total_tt, "ms")
    lines = [f"{'function':<60} {'share':>6} {'ms':>8} {'calls':>7}"]
    entries = sorted(stats.stats.items(), key=lambda one: -one[1][2])[:ROWS]
    for (file, line, function), (_, calls, own, _, _) in entries:
        name = f"{Path(file).name}:{line} {function}" if line else function
        lines.append(f"{name[:60]:<60} {own / stats.total_tt:>6.1%} {1e3 * own:>8.1f} {calls:>7}")
    record.table("Start of a study: functions of planning by their own time", "\n".join(lines))


def main() -> None:
    """Profile all four."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--encoder", default="resnet18", help="a timm name")
    parser.add_argument("--size", type=int, default=256)
    parser.add_argument("--batch", type=int, default=8)
    parser.add_argument("--steps", type=int, default=5, help="under the profiler, and timed")
    parser.add_argument("--native", type=int, default=512, help="of the slices on disk")
    add_json_argument(parser)
    args = parser.parse_args()
    warnings.filterwarnings("ignore")
    logging.getLogger("lightning.pytorch").setLevel(logging.ERROR)
    torch.manual_seed(0)
    print(describe())
    shape = f"{args.encoder}, {args.size} x {args.size}, batch {args.batch}"
    record = Record(f"Where the time goes: {shape}, {recommended_precision()}")
    spec = PreprocessingSpec(size=args.size)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        cohort = make_cohort(folder / "cohort", patients=24, size=args.native, workers=1)
        common = {"batch_size": args.batch, "steps_per_epoch": 10_000, "cache_dir": folder / "c"}
        data = LowDataModule(cohort.manifest, preprocessing=spec, **common)
        model = SegmentationFineTuner(f"timm/{args.encoder}", "unet")
        trainer = training(record, "A fine-tuning step", model, data, args.steps)
        trainer.save_checkpoint(folder / "trained.ckpt")
        images = PretextDataModule(cohort.manifest, preprocessing=spec, **common)
        task = JigsawPretext(f"timm/{args.encoder}")
        training(record, "A step of the jigsaw", task, images, args.steps)
        ensemble = Ensemble([folder / "trained.ckpt"])
        prediction(record, cohort.manifest, ensemble, args)
        study_start(record, folder)
    record.write(args.json)


if __name__ == "__main__":
    main()
