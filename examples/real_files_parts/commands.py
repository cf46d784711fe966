"""The commands, in order, and what each of them printed."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

CONFIGS = Path(__file__).parents[1] / "configs"


@dataclass(frozen=True)
class Sizes:
    """How long the two training runs are.

    Args:
        pretext_steps: Optimisation steps of the jigsaw.
        finetune_steps: Optimisation steps of fine-tuning.
        pixels: Side of the network's images.
        spacing_mm: Size of a pixel of them.
    """

    pretext_steps: int
    finetune_steps: int
    pixels: int
    spacing_mm: float


FULL = Sizes(pretext_steps=400, finetune_steps=300, pixels=128, spacing_mm=3.0)
QUICK = Sizes(pretext_steps=4, finetune_steps=4, pixels=64, spacing_mm=6.0)


@dataclass(frozen=True)
class Step:
    """One command that was run.

    Args:
        name: What the page calls it.
        command: As typed, in the run folder.
        printed: What it wrote to standard output.
        status: Its exit status.
    """

    name: str
    command: str
    printed: str
    status: int


def commands(sizes: Sizes) -> dict[str, str]:
    """Return the commands by name, in order.

    Args:
        sizes: How long the training runs are.
    """
    grid = (
        f"--data.init_args.preprocessing.init_args.size {sizes.pixels} \\\n"
        f"    --data.init_args.preprocessing.init_args.spacing {sizes.spacing_mm:g}"
    )
    return {
        "index": (
            "muscletransfer data index data/ct_dicom data/ct_unlabelled "
            "data/ct_totalsegmentator_example \\\n"
            "    --patient '(totalsegmentator|cmb_crc|lidc_idri)' -o index/manifest.csv --quiet"
        ),
        "check the index": (
            "muscletransfer data check index/manifest.csv -o index/check.html --quiet"
        ),
        "prepare": (
            "muscletransfer data prepare totalsegmentator data -o l3 --neighbours 7 \\\n"
            "    --licence Apache-2.0 --quiet"
        ),
        "check the labels": "muscletransfer data check l3/manifest.csv -o l3/check.html --quiet",
        "pre-train": (
            "muscletransfer fit --config configs/jigsaw.yaml \\\n"
            "    --data.init_args.source index/manifest.csv --data.init_args.slices all \\\n"
            f"    {grid} \\\n"
            f"    --trainer.max_steps {sizes.pretext_steps} --trainer.default_root_dir jigsaw \\\n"
            "    --trainer.enable_progress_bar false --trainer.logger false"
        ),
        "fine-tune": (
            "muscletransfer fit --config configs/finetune.yaml \\\n"
            "    --model.init_args.weights \"$(find jigsaw -name '*.ckpt')\" \\\n"
            "    --model.init_args.num_classes 3 \\\n"
            '    --model.init_args.class_names "[back, iliopsoas]" \\\n'
            "    --data.init_args.manifest l3/manifest.csv \\\n"
            "    --data.init_args.fold null --data.init_args.train_patients all \\\n"
            f"    {grid} \\\n"
            f"    --trainer.max_steps {sizes.finetune_steps} "
            "--trainer.default_root_dir final \\\n"
            "    --trainer.enable_progress_bar false --trainer.logger false"
        ),
        "predict": (
            "muscletransfer predict data/ct_dicom data/ct_unlabelled --slice-index 0 \\\n"
            "    --checkpoint \"$(find final -name 'last.ckpt')\" -o predicted"
        ),
        "look back": (
            "muscletransfer predict l3/manifest.csv \\\n"
            "    --checkpoint \"$(find final -name 'last.ckpt')\" -o fitted"
        ),
        "inspect": "muscletransfer inspect \"$(find final -name 'last.ckpt')\"",
    }


def run_chain(folder: Path, sizes: Sizes) -> list[Step]:
    """Run all commands in a folder; each must succeed.

    Args:
        folder: Where; holds ``data``.
        sizes: How long the training runs are.

    Returns:
        One step a command.

    Raises:
        RuntimeError: A command failed; with the end of what it said.
    """
    shutil.copytree(CONFIGS, folder / "configs")
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    environment = {**os.environ, "PATH": path, "MUSCLETRANSFER_CACHE": str(folder / "cache")}
    steps = []
    for name, command in commands(sizes).items():
        done = subprocess.run(
            ["bash", "-euo", "pipefail", "-c", command],
            cwd=folder,
            env=environment,
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode:
            raise RuntimeError(f"{command}\nended with {done.returncode}:\n{done.stderr[-2000:]}")
        steps.append(Step(name, command, done.stdout, done.returncode))
    return steps
