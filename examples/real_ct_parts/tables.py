"""The page's tables, in Markdown and as CSV, every number from the results."""

from __future__ import annotations

import csv
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from real_ct_parts.settings import ARMS, COPY, RANDOM, Settings
from real_ct_parts.summary import (
    against_random,
    case_scores,
    chosen,
    failures,
    over_runs,
    patients_against_random,
    run_median,
)

MISSED = "missed"


def markdown(rows: Sequence[Mapping[str, str]]) -> str:
    """Return rows as a Markdown table whose columns are the keys of the first."""
    names = list(rows[0])
    lines = ["| " + " | ".join(names) + " |", "|" + "---|" * len(names)]
    lines += ["| " + " | ".join(row[name] for name in names) + " |" for row in rows]
    return "\n".join(lines)


def number(value: float, digits: int) -> str:
    """Return a number, or the word for a median that is a missed mask."""
    return f"{value:.{digits}f}" if math.isfinite(value) else MISSED


def spread(values: tuple[float, float, float], digits: int) -> str:
    """Return "median (lowest to highest)"."""
    middle, low, high = (number(v, digits) for v in values)
    return f"{middle} ({low} to {high})"


def pretext_rows(results: Mapping[str, Any], window_hu: float) -> list[dict[str, str]]:
    """Return one row a source task and score, beside what an answer without learning gets.

    Args:
        results: The run.
        window_hu: Width of the HU window that became [0, 1].
    """
    rows = []
    for found in results["pretext"]:
        scores = found["scores"]
        head = {
            "source task": found["task"],
            "images": _images(found["task"]),
            "trained on": f"{found['train_images']}",
            "held out": f"{found['val_images']}",
        }
        for name, value, guess in _beside(found["task"], scores, window_hu):
            rows.append({**head, "score": name, "network": value, "without learning": guess})
    return rows


def _images(task: str) -> str:
    if task in ("jigsaw", "reconstruction"):
        return "CT, unlabelled"
    return "CamVid street scenes" if task == "segmentation" else "ImageNet sample, 8 groups"


def _beside(task: str, scores: Mapping[str, float], window_hu: float) -> list[tuple[str, str, str]]:
    def percent(key: str) -> str:
        return f"{100 * scores[key]:.1f} %"

    if task == "jigsaw":
        return [("accuracy", percent("accuracy"), f"{percent('chance')} (chance)")]
    if task == "segmentation":
        return [
            ("mean IoU", f"{scores['iou']:.3f}", f"{scores['constant_iou']:.3f} (one class only)")
        ]
    if task == "classification":
        return [
            (
                "accuracy",
                percent("accuracy"),
                f"{percent('constant_accuracy')} (always the largest group)",
            ),
            (
                "macro accuracy",
                percent("macro_accuracy"),
                f"{percent('constant_macro_accuracy')} (the same)",
            ),
        ]
    to_hu = {k: f"{window_hu * v:.1f} HU" for k, v in scores.items()}
    return [
        (
            "mean absolute error on hidden pixels",
            to_hu["hidden_error"],
            f"{to_hu['hidden_error_constant']} (median of what is visible); "
            f"{to_hu['hidden_error_local']} (mean of what is visible nearby)",
        ),
        (
            "PSNR",
            f"{scores['psnr']:.1f} dB",
            f"{scores['psnr_input']:.1f} dB (the image with its holes)",
        ),
    ]


def ct_rows(results: Mapping[str, Any], settings: Settings) -> list[dict[str, str]]:
    """Return one row an arm and number of labelled slices on CT."""
    rows = []
    for n in settings.ct_slices:
        for arm in (COPY, *(arm.name for arm in ARMS)):
            runs = chosen(results["ct"], arm, n)
            missed, cases = failures(runs)
            rows.append(
                {
                    "n": str(n),
                    "start": arm,
                    "Dice": spread(over_runs(runs, "dice"), 3),
                    "RMS DTA (mm)": spread(over_runs(runs, "distance"), 2),
                    "muscle area error (%)": spread(over_runs(runs, "area_error"), 1),
                    "outline area error (%)": spread(over_runs(runs, "outline_error"), 1),
                    "SMD error (HU)": spread(over_runs(runs, "smd_error"), 1),
                    "missed": f"{missed} of {cases}",
                    "Dice above random": _better(results["ct"], arm, n, len(runs)),
                }
            )
    return rows


def _better(runs: Sequence[Mapping[str, Any]], arm: str, n: int, count: int) -> str:
    if arm == RANDOM:
        return "-"
    found = against_random(list(map(dict, runs)), arm, n)
    middle = sorted(found["differences"])
    return f"{found['better']} of {count} runs ({middle[0]:+.3f} to {middle[-1]:+.3f})"


def longer_rows(results: Mapping[str, Any], settings: Settings) -> list[dict[str, str]]:
    """Return the median Dice of the same runs after the usual steps and after more."""
    rows = []
    for run in results["longer"]:
        short = next(
            other
            for other in chosen(results["ct"], run["arm"], run["n"])
            if (other["test"], other["repeat"]) == (run["test"], run["repeat"])
        )
        rows.append(
            {
                "test block": run["test"],
                "start": run["arm"],
                f"Dice after {settings.ct_steps} steps": number(run_median(short, "dice"), 3),
                f"Dice after {run['steps']} steps": number(run_median(run, "dice"), 3),
            }
        )
    return rows


def mr_rows(results: Mapping[str, Any], settings: Settings) -> list[dict[str, str]]:
    """Return one row an arm and number of labelled patients on cardiac MR."""
    rows = []
    for n in settings.mr_patients:
        for arm in (arm.name for arm in ARMS):
            runs = chosen(results["mr"], arm, n)
            missed, cases = failures(runs)
            row = {
                "n": str(n),
                "start": arm,
                "Dice": spread(over_runs(runs, "dice"), 3),
                "RMS DTA (pixels)": spread(over_runs(runs, "distance"), 2),
                "missed": f"{missed} of {cases}",
                "Dice above random, per patient (95 % interval)": "-",
            }
            if arm != RANDOM:
                found = patients_against_random(results["mr"], arm, n)
                row["Dice above random, per patient (95 % interval)"] = (
                    f"{found['mean']:+.3f} ({found['low']:+.3f} to {found['high']:+.3f})"
                )
            rows.append(row)
    return rows


def mr_class_rows(
    results: Mapping[str, Any], settings: Settings, classes: Sequence[str]
) -> list[dict[str, str]]:
    """Return the mean Dice of each class over all test patients, a row an arm."""
    rows = []
    for n in settings.mr_patients:
        for arm in (arm.name for arm in ARMS):
            cases = [case for run in chosen(results["mr"], arm, n) for case in run["cases"]]
            row = {"n": str(n), "start": arm}
            for name in classes:
                values = [case[f"dice_{name}"] for case in cases if f"dice_{name}" in case]
                row[name] = f"{sum(values) / len(values):.3f}"
            rows.append(row)
    return rows


def write_runs(results: Mapping[str, Any], path: Path) -> Path:
    """Write one row a run, so that a reader can count again; no image and no id.

    Args:
        results: The run.
        path: The CSV.
    """
    scores = ("dice", "distance", "outline_error", "area_error", "smd_error")
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\n")
        columns = [f"median_{score}" for score in scores]
        writer.writerow(["data", "arm", "n", "test", "repeat", "cases", "missed", *columns])
        for data in ("ct", "mr"):
            for run in results[data]:
                known = case_scores(run["cases"][0])
                medians = [f"{run_median(run, s):.4f}" if s in known else "" for s in scores]
                test = run.get("test", f"fold {run['repeat']}")
                missed, cases = failures([run])
                writer.writerow(
                    [data, run["arm"], run["n"], test, run["repeat"], cases, missed, *medians]
                )
    return path
