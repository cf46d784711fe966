"""Time of the report of a study of 100,000 rows.

Run from a checkout on an otherwise idle machine::

    python examples/benchmarks/study_report.py

The study has the paper's size, 204 patients in four folds and n = 5 to 125, with nine ways to start
and eight repeats. Its run folders are written by the plan and the writers of a study, with scores
drawn at random around learning curves in place of training. Measured is `write_study_report`, all
of it: reading the folders, intervals by bootstrap, tests, curves, figures as SVG and PNG, the page.
With ``--observers`` every run also has its masks, which are compared with that many observers.
"""

from __future__ import annotations

import argparse
import cProfile
import json
import pstats
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
from machine import describe
from PIL import Image
from record import Record, add_json_argument

from muscletransfer.study import config_from_dict, plan_study
from muscletransfer.study.plan import StudyPlan, make_jobs
from muscletransfer.study.plan.specs import RunSpec
from muscletransfer.study.plan.splits import StudySplits
from muscletransfer.study.report import write_study_report
from muscletransfer.study.results import write_masks
from muscletransfer.study.running.opening import open_store
from muscletransfer.study.running.plans import record_plan
from muscletransfer.study.work.cases import case_rows, write_cases
from muscletransfer.transfer import Provenance

SOURCES = 9
SIDE = 512
NS = [5, 10, 25, 50, 75, 100, 125]


def discs(rng: np.random.Generator, count: int, wobble: float) -> np.ndarray:
    """Discs of about one place and size."""
    y, x = np.ogrid[:SIDE, :SIDE]
    centre, radius = 256 + rng.normal(0, wobble, (count, 2)), 90 + rng.normal(0, wobble, count)
    return np.stack(
        [(y - cy) ** 2 + (x - cx) ** 2 < r**2 for (cy, cx), r in zip(centre, radius, strict=True)]
    )


def write_manifests(folder: Path, patients: int, observers: int) -> dict[str, Any]:
    """Write images, masks and the observers' masks; return the ``data`` of the study's file."""
    rng = np.random.default_rng(0)
    end = "spacing_x_mm,spacing_y_mm"
    cases, drawn = [f"patient_id,image,mask,{end}"], [f"patient_id,image,mask,{end},observer"]
    for i in range(patients):
        own = discs(rng, 1 + observers, 1.5)
        Image.fromarray(rng.integers(0, 255, (8, 8), np.uint8)).resize((SIDE, SIDE)).save(
            folder / f"{i}.png"
        )
        for k, mask in enumerate(own):
            name = f"{i}_{k}.png"
            Image.fromarray(mask.astype(np.uint8)).save(folder / name, compress_level=1)
            who = f",O{k:02d}" if k else ""
            (drawn if k else cases).append(f"P{i:04d},{i}.png,{name},0.8,0.8{who}")
    (folder / "cases.csv").write_text("\n".join(cases) + "\n")
    (folder / "observers.csv").write_text("\n".join(drawn) + "\n")
    data: dict[str, Any] = {"manifest": str(folder / "cases.csv")}
    if observers:
        data["observers"] = str(folder / "observers.csv")
    return {**data, "preprocessing": {"hu_window": None}}


class Study:
    """The folder of a finished study with drawn scores."""

    def __init__(
        self, folder: Path, data: dict[str, Any], repeats: int, masks: bool, ns: list[int]
    ) -> None:
        sources: list[Any] = ["random"]
        sources += [{"name": f"source {i}", "freeze": "encoder"} for i in range(1, SOURCES)]
        plain = {"data": data, "repeats": repeats, "train_patients": ns, "sources": sources}
        plan: StudyPlan = plan_study(config_from_dict(plain))
        record_plan(open_store(folder), plan.record(), make_jobs(plan, folder))
        self.folder, self.masks = folder, masks
        self.splits = StudySplits(plan.config, plan.cases)
        self.patients = list(plan.cases.patients)
        rng = np.random.default_rng(1)
        self.area = rng.uniform(90, 180, len(self.patients))
        self.density = rng.uniform(25, 50, len(self.patients))
        self.effect = rng.uniform(-0.03, 0.03, len(self.patients))
        self.rows = 0
        for number, run in enumerate(plan.runs):
            self.write(run, np.random.default_rng([2, number]))

    def write(self, run: RunSpec, rng: np.random.Generator) -> None:
        """Write the folder of one run."""
        folder = self.folder / "runs" / run.id
        folder.mkdir(parents=True)
        tested = set(self.splits.test(run.fold))
        cases = [i for i, patient in enumerate(self.patients) if patient in tested]
        help_of_source = 1.0 if run.source == "random" else 0.6 + 0.2 * int(run.source[-1])
        curve = 0.95 - (help_of_source * run.n) ** -0.7
        table = []
        for i in cases:
            dice = float(np.clip(curve + self.effect[i] + rng.normal(0, 0.02), 0, 1))
            error = (1 - dice) * rng.normal()
            row = {"case": i, "dice": dice, "dta_rms_mm": 1 + 30 * (1 - dice), "failed": False}
            row |= {"sma_cm2": self.area[i] * (1 + 0.3 * error), "smd_hu": self.density[i] + error}
            row |= {"reference_sma_cm2": self.area[i], "reference_smd_hu": self.density[i]}
            table.append(row)
        self.rows += len(table)
        write_cases(folder / "cases.csv", case_rows(table, self.patients, ["muscle"]))
        if self.masks:
            drawn = discs(rng, len(cases), 30 * (1 - curve))
            write_masks(
                folder / "masks.npz", {str(i): m for i, m in zip(cases, drawn, strict=True)}
            )
        provenance = Provenance("segmentation-finetuning", seed=run.seed)
        result = {"seconds": 60.0, "steps": 500, "best_step": 500, "val_dice": None}
        result |= {"labels_train": run.n, "labels_validation": 0, "label_slices": run.n}
        result |= {"test_patients": len(cases), "device": "cpu", "versions": provenance.versions}
        for name, values in (
            ("spec", run.to_dict()), ("result", result), ("provenance", provenance.to_dict()),
        ):  # fmt: skip
            (folder / f"{name}.json").write_text(json.dumps(values))


def main() -> None:
    """Write a study and its report, print the times."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--patients", type=int, default=204)
    parser.add_argument("--repeats", type=int, default=8)
    parser.add_argument("--observers", type=int, default=0)
    parser.add_argument("--ns", type=int, nargs="+", default=NS, help="patients to train on")
    parser.add_argument("--profile", action="store_true", help="print what took the time")
    add_json_argument(parser)
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        data = write_manifests(folder, args.patients, args.observers)
        study = Study(folder / "study", data, args.repeats, args.observers > 0, args.ns)
        profile = cProfile.Profile()
        if args.profile:
            profile.enable()
        wall, busy = time.perf_counter(), time.process_time()
        page = write_study_report(folder / "study")
        wall, busy = time.perf_counter() - wall, time.process_time() - busy
        profile.disable()
        size = page.stat().st_size / 1e6
    if args.profile:
        pstats.Stats(profile).sort_stats("cumulative").print_stats(45)
    print(describe())
    record = Record(f"Report of a study: {study.rows:,} rows, {args.observers} observers")
    limit = 30 if study.rows >= 100_000 else None
    record.add("report", wall, "s", at_most=limit, note=f"{busy:.1f} s of processor time")
    record.add("page", size, "MB")
    record.write(args.json)


if __name__ == "__main__":
    main()
