"""Time of a study's results and statistics: run folders to tidy table to every test and interval.

Run from a checkout, on one core::

    OMP_NUM_THREADS=1 python examples/benchmarks/study_statistics.py

The study is drawn, not trained: 10 sources, n = 5 to 125, four folds, seven repeats of 204 patients
give 99,960 rows in 1,960 run folders.
"""

from __future__ import annotations

import argparse
import json
import resource
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

import numpy as np
import pandas as pd
from machine import describe
from record import Record, add_json_argument

from muscletransfer.study.results import collect_results, read_results, write_results
from muscletransfer.study.statistics import analyse
from muscletransfer.study.work.cases import write_cases

Result = TypeVar("Result")
NS = (5, 10, 25, 50, 75, 100, 125)
FOLDS = 4


def timed(
    record: Record, name: str, function: Callable[[], Result], at_most: float | None = None
) -> Result:
    """Run a step and record its wall seconds, with those of the processor beside them."""
    wall, used = time.perf_counter(), time.process_time()
    result = function()
    wall, used = time.perf_counter() - wall, time.process_time() - used
    record.add(name, wall, "s", at_most=at_most, note=f"{used:.1f} s of one core")
    return result


def draw(folder: Path, sources: int, patients: int, repeats: int) -> int:
    """Write the run folders of a study whose sources need fewer labels one after the other."""
    rng = np.random.default_rng(0)
    effect = rng.normal(0, 0.02, patients)
    names = [f"P{i:04d}" for i in range(patients)]
    count = 0
    for number in range(sources):
        source = "random" if number == 0 else f"source {number}"
        for n in NS:
            curve = 1 - 0.06 - ((1 + 0.5 * number) * n) ** -0.7
            for repeat in range(repeats):
                dice = np.clip(curve + effect + rng.normal(0, 0.02, patients), 0, 1)
                dice[rng.random(patients) < 0.2 / n] = 0.0
                for fold in range(FOLDS):
                    write_run(folder, source, n, fold, repeat, names, dice)
                    count += len(names[fold::FOLDS])
    return count


def write_run(
    folder: Path, source: str, n: int, fold: int, repeat: int, names: list[str], dice: np.ndarray
) -> None:
    """Write one run folder."""
    run = folder / "runs" / f"{source}-{n}-{fold}-{repeat}".replace(" ", "")
    run.mkdir(parents=True)
    spec = {"id": run.name, "source": source, "encoder": "timm/resnet18", "decoder": "unet"}
    spec |= {"transfer": "none" if source == "random" else "encoder", "freeze": "none"}
    (run / "spec.json").write_text(json.dumps({**spec, "n": n, "fold": fold, "repeat": repeat}))
    (run / "result.json").write_text(json.dumps({"seconds": 60.0, "labels_validation": 5}))
    rows = pd.DataFrame({"case": names[fold::FOLDS], "dice": dice[fold::FOLDS]})
    rows["patient"], rows["class_name"], rows["dta_unit"] = rows["case"], "muscle", "mm"
    rows["failed"] = rows["dice"] == 0
    rows["dta_rms"] = np.where(rows["failed"], np.inf, 1 + 30 * (1 - rows["dice"]))
    rows["sma_reference_cm2"], rows["smd_reference_hu"] = 150.0, 40.0
    rows["sma_cm2"] = 150 * rows["dice"]
    rows["smd_hu"] = np.where(rows["failed"], np.nan, 40 * rows["dice"])
    write_cases(run / "cases.csv", iter(rows.astype(object).fillna("").to_dict("records")))


def main() -> None:
    """Draw a study, and time each step from its folders to its statistics."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--sources", type=int, default=10)
    parser.add_argument("--patients", type=int, default=204)
    parser.add_argument("--repeats", type=int, default=7)
    add_json_argument(parser)
    args = parser.parse_args()
    print(describe())
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        rows = draw(folder, args.sources, args.patients, args.repeats)
        folders = len(list((folder / "runs").iterdir()))
        record = Record(f"Results and statistics of a study: {rows:,} rows, {folders:,} runs")
        results = timed(record, "collect the run folders", lambda: collect_results(folder))
        assert len(results.table) == rows
        timed(record, "write Parquet and CSV", lambda: write_results(results, folder / "results"))
        table = timed(record, "read Parquet", lambda: read_results(folder / "results"))
        analysis = timed(record, "analyse", lambda: analyse(table, selection_labels=5), at_most=20)
        timed(record, "write its tables", lambda: analysis.write(folder / "results"))
    record.add("paired tests", len(analysis.paired))
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    record.add("largest memory", peak, "MB")
    record.write(args.json)


if __name__ == "__main__":
    main()
