"""`real_files.md`, written from a run: commands as run, what they printed, what was measured."""

from __future__ import annotations

import textwrap
from collections.abc import Mapping, Sequence
from pathlib import Path

from real_files_parts.commands import Step
from real_files_parts.measured import fit_rows, predicted_rows

INTRODUCTION = """\
DICOM series and NIfTI volumes of five people, and outlines of one of them, from a folder to
masks by the command line alone. This page is written by the run itself; no number in it was
typed by hand. Outlines of **one** patient cannot say how good a model is, and nothing here
does: the page shows that the way is there, and what to look at."""

INDEX = """\
A tree of files becomes a manifest, a row a series, under pseudonyms. NIfTI files name nobody:
`--patient` finds whose each is in its path, and keeps two volumes of one patient together."""

CHECK = """\
Whole volumes are looked at by their middle slices. The volume and its upper part are of one
patient, so nobody is in two folds."""

PREPARE = """\
The folder with `ct.nii.gz` and TotalSegmentator's labels is a case; the others are not of that
layout. The slice through the middle of L3 and seven on either side become rows, with the
muscles that are labelled there: back muscles and iliopsoas. They are a model's outlines, not a
person's, and not the whole muscle of a slice."""

PRETRAIN = """\
A jigsaw on every slice of every series: it needs no labels, and sees the patients that are
predicted below (without labels, for there are none). Pixels have one size in millimetres for
all scanners."""

FINETUNE = """\
Splits are by patient, and one patient cannot be split. `fold: null` holds nobody out: for a
final model that may learn from everyone, after folds have said how good such models are, or, as
here, where there is one patient and no fold can say it. The last weights are kept, since nobody
can choose better ones; provenance records it."""

PREDICT = """\
The lowest slice of each volume that nobody outlined. Flags say where a person has to look first;
where there is no reference, there is no score. `unfamiliar` is off: it wants
training images of four patients, and here is one."""

FIT = """\
On the slices it learned from, each class (what it has learned by heart, not how good it is):"""

LIMITS = """\
- One labelled patient: nothing is known about any other. A score needs labelled patients held
  out.
- Labels of a model: an error of TotalSegmentator is learnt as the truth.
- Named muscles at L3, not the muscle area of the literature.
- The predicted slices are of other levels than the learned ones (liver, chest, L2): they show
  what happens with images unlike the training images, which is what will be given to a model
  one day."""

IMAGES = """\
None of the images is part of this project: the reference example of
[TotalSegmentator](https://github.com/wasserth/TotalSegmentator) (Apache-2.0; Wasserthal et al.,
Radiol Artif Intell 2023;5(5):e230024), and without labels The Cancer Imaging Archive,
CPTAC-PDA, CMB-CRC and LIDC-IDRI (CC BY), and a series of QIICR/dcmqi (BSD style)."""

QUICK = """\
**This is the quick form: a few steps of training, which only show that the page can be made.**"""


def write_page(steps: Sequence[Step], folder: Path, target: Path, command: str) -> Path:
    """Write the page.

    Args:
        steps: What was run.
        folder: The run's folder.
        target: The folder of the page.
        command: The command, without this machine's paths.

    Returns:
        Path of the page.
    """
    done = {step.name: step for step in steps}
    parts = [
        "# Real files, from folder to masks",
        *([QUICK] if "--quick" in command else []),
        INTRODUCTION,
        f"```console\n$ {command}\n```",
        *_section("Index", INDEX, folder, done["index"], done["check the index"]),
        CHECK,
        *_section("Outlines", PREPARE, folder, done["prepare"], done["check the labels"]),
        *_section("Pre-train", PRETRAIN, folder, done["pre-train"]),
        *_section("Fine-tune on everyone", FINETUNE, folder, done["fine-tune"]),
        _shown(done["inspect"], folder, "data"),
        *_section("Predict", PREDICT, folder, done["predict"]),
        _table(predicted_rows(folder)),
        FIT,
        _table(fit_rows(folder)),
        "## What this does not show",
        LIMITS,
        "## The images",
        IMAGES,
    ]
    target.mkdir(parents=True, exist_ok=True)
    page = target / "real_files.md"
    page.write_text("\n\n".join(parts) + "\n", encoding="utf-8")
    return page


def _section(title: str, words: str, folder: Path, *steps: Step) -> list[str]:
    return [f"## {title}", words, *(_shown(step, folder) for step in steps)]


def _shown(step: Step, folder: Path, only: str = "") -> str:
    """Return the command and its output, without this machine's paths, as a block."""
    text = step.printed.replace(f"{folder.resolve()}/", "")
    lines = [line.rstrip() for line in text.splitlines() if line.startswith(only)]
    wrapped = [
        part
        for line in lines
        for part in textwrap.wrap(line, 100, subsequent_indent="    ", break_long_words=False)
        or [""]
    ]
    return "\n".join(["```text", f"$ {step.command}", *wrapped, "```"])


def _table(rows: Sequence[Mapping[str, str]]) -> str:
    names = list(rows[0])
    lines = ["| " + " | ".join(names) + " |", "|" + "---|" * len(names)]
    lines += ["| " + " | ".join(row[name] for name in names) + " |" for row in rows]
    return "\n".join(lines)
