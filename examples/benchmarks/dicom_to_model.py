"""Time from ten labelled DICOM slices on disk to a validated model, beside a MONAI script.

Run from a checkout on an otherwise idle machine::

    python examples/benchmarks/dicom_to_model.py

Each side is a process of its own that starts with nothing but the files: ten phantom DICOM slices
with masks to learn from and five to validate on. It imports what it needs, reads, trains the same
U-Net from random weights with the same augmentation, batch and learning rate, validates every ten
steps, and ends when the mean validation Dice has reached the limit, with a checkpoint on disk. What
is timed is the whole process. The library scores on the native 512 x 512 grid, which it always
does; MONAI's script on the grid of the network, which is less work. MONAI's side is run in fp32, as
its tutorials are, and under bf16 autocast, each without loader processes; beside a GPU also with
eight, and with one a core up to 16. Chance decides when a
training crosses a limit, so there are several seeds, and the steps of each side are printed; the
last figures are without that chance: seconds for as many steps as the library took. The limit was
stated for a CPU and is none on a GPU.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from machine import accelerator, cores, describe
from peers.installed import installed
from record import Record, add_json_argument

from muscletransfer.data.splits import Split
from muscletransfer.data.synthetic import make_cohort

PEERS = Path(__file__).with_name("peers")
MONAI = {"MONAI, fp32": [], "MONAI, bf16": ["--mixed"]}


def all_sides() -> dict[str, tuple[str, list[str]]]:
    """Script and options of each side: a GPU is not fed by the process that trains alone."""
    found = {"ours": ("dicom_with_ours.py", [])}
    found |= {side: ("dicom_with_monai.py", options) for side, options in MONAI.items()}
    for count in sorted({8, min(cores(), 16)}) if accelerator() else ():
        more = ["--workers", str(count)]
        for side, options in MONAI.items():
            found[f"{side}, {count} workers"] = ("dicom_with_monai.py", [*options, *more])
    return found


SIDES = all_sides()


@dataclass(frozen=True)
class Taken:
    """Seconds of a process and of a processor, what it ended with, and where its seconds went."""

    wall: float
    busy: float
    steps: int
    dice: float
    seconds: dict[str, float] = field(default_factory=dict)


def run(side: str, files: list[Path], seed: int, options: list[str]) -> Taken:
    """Let a side have the machine for itself."""
    script, more = SIDES[side]
    with tempfile.TemporaryDirectory() as out:
        command = [sys.executable, PEERS / script, *files, out, "--seed", str(seed)]
        before, start = os.times(), time.perf_counter()
        done = subprocess.run(
            [*command, *more, *options],
            env={**os.environ, "BEGAN": str(time.time())},
            capture_output=True,
            text=True,
        )
        seconds, after = time.perf_counter() - start, os.times()
    if done.returncode:
        raise SystemExit(f"{side} failed:\n{done.stderr[-3000:]}")
    found = json.loads(done.stdout.splitlines()[-1])
    busy = after.children_user + after.children_system
    busy -= before.children_user + before.children_system
    print(f"{side}, seed {seed}: {seconds:.1f} s, {busy:.1f} s of processor, {found}", flush=True)
    return Taken(seconds, busy, **found)


def middle(runs: list[Taken], what: str) -> float:
    """Median of a figure over the runs of a side."""
    return float(np.median([getattr(one, what) for one in runs]))


def limit_of(side: str) -> float | None:
    """How many times the seconds of ours a side must take, where that was stated."""
    return 3 if side == "MONAI, fp32" and not accelerator() else None


def where_it_went(runs: list[Taken]) -> str:
    """A table of the medians over the runs of what a side says of its seconds."""
    parts = {
        name: float(np.median([one.seconds[name] for one in runs])) for name in runs[0].seconds
    }
    parts["all else, and the end of the process"] = middle(runs, "wall") - sum(parts.values())
    lines = [f"{'part of ours':<42} {'seconds':>8}"]
    return "\n".join([*lines, *(f"{name:<42} {value:>8.2f}" for name, value in parts.items())])


def main() -> None:
    """Let the sides take turns, seed by seed; print medians and ratios."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--encoder", default="resnet18", help="a timm name")
    parser.add_argument("--size", type=int, default=256, help="of the network's grid")
    parser.add_argument("--native", type=int, default=512, help="of the DICOM slices")
    parser.add_argument("--batch", type=int, default=8)
    parser.add_argument("--dice", type=float, default=0.9)
    parser.add_argument("--every", type=int, default=10, help="steps between validations")
    parser.add_argument("--most", type=int, default=1000, help="steps at which a side gives up")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--sides", nargs="+", choices=SIDES, default=list(SIDES), help="ours first")
    add_json_argument(parser)
    args = parser.parse_args()
    print(describe())
    what = f"{args.size} x {args.size}, batch {args.batch}"
    record = Record(f"Ten labelled DICOM slices to a model of Dice {args.dice:g}: {what}")
    installed(record, "monai")
    names = ("encoder", "size", "batch", "dice", "most", "every")
    options = [word for name in names for word in (f"--{name}", str(getattr(args, name)))]
    found: dict[str, list[Taken]] = {side: [] for side in args.sides}
    with tempfile.TemporaryDirectory() as name:
        cohort = make_cohort(
            Path(name) / "c", patients=15, size=args.native, image_format="dicom", workers=1
        )
        patients = [f"P{i:04d}" for i in range(1, 16)]
        split = Split(tuple(patients[:10]), tuple(patients[10:]), ())
        files = [cohort.manifest, split.save(Path(name) / "split.json")]
        for seed in range(args.seeds):
            for side in args.sides:
                found[side].append(run(side, files, seed, options))
    wall, busy, steps = (
        {side: middle(runs, what) for side, runs in found.items()}
        for what in ("wall", "busy", "steps")
    )
    for side, runs in found.items():
        seconds, taken, dice = zip(*((one.wall, one.steps, one.dice) for one in runs), strict=True)
        note = f"{min(seconds):.3g} to {max(seconds):.3g}; {busy[side]:.3g} s of processor time; "
        note += f"{min(taken)} to {max(taken)} steps; Dice {min(dice):.3f} to {max(dice):.3f}"
        record.add(side, wall[side], "s", note=note)
        if min(dice) < args.dice:
            record.remark(
                f"{side} did not reach Dice {args.dice:g} in {args.most} steps each time."
            )
    for side in args.sides[1:]:
        record.add(f"{side} / ours", wall[side] / wall["ours"], at_least=limit_of(side))
        record.add(f"{side} / ours, processor time", busy[side] / busy["ours"])
        each = (wall[side] / steps[side]) / (wall["ours"] / steps["ours"])
        record.add(f"{side} / ours, seconds of the process a step", each)
    record.table("Where the seconds of ours go, medians", where_it_went(found["ours"]))
    record.write(args.json)


if __name__ == "__main__":
    main()
