"""The tables of a study's part of the page, every cell from its results."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from muscletransfer.study.statistics import StudyAnalysis

_SCORES = {
    "segmentation": ("val_dice", "mean Dice"),
    "jigsaw": ("val_accuracy", "accuracy"),
    "reconstruction": ("val_psnr", "PSNR in dB"),
}
_BESIDE = {"jigsaw": "val_chance", "reconstruction": "val_psnr_input"}


def markdown(rows: Sequence[Mapping[str, str]]) -> str:
    """Return rows as a Markdown table whose columns are the keys of the first."""
    names = list(rows[0])
    lines = ["| " + " | ".join(names) + " |", "|" + "---|" * len(names)]
    lines += ["| " + " | ".join(row[name] for name in names) + " |" for row in rows]
    return "\n".join(lines)


def learned_rows(folder: Path) -> list[dict[str, str]]:
    """Return one row a pre-training: what it learned, on images held out.

    Args:
        folder: The study's folder.
    """
    rows = []
    for path in sorted((folder / "pretexts").glob("*/result.json")):
        result = json.loads(path.read_text(encoding="utf-8"))
        spec = json.loads((path.parent / "spec.json").read_text(encoding="utf-8"))
        task, scores = spec["task"], result["scores"]
        name, words = _SCORES[task]
        beside = _BESIDE.get(task)
        rows.append(
            {
                "source task": task,
                "patients left out": _left_out(spec, result),
                "images": str(result["train_images"]),
                "steps": str(result["steps"]),
                "score": words,
                "held out": f"{scores[name]:.3f}",
                "without learning": "-" if beside is None else f"{scores[beside]:.3f}",
            }
        )
    return sorted(rows, key=lambda row: (row["source task"], row["patients left out"]))


def _left_out(spec: Mapping[str, Any], result: Mapping[str, Any]) -> str:
    count = result["excluded_patients"]
    return f"fold {spec['fold']}: {count}" if count else "none: no patient of the study is shown"


def result_rows(analysis: StudyAnalysis) -> list[dict[str, str]]:
    """Return one row an n and arm: Dice, distance, misses, and the gain over random weights.

    Args:
        analysis: The statistics.
    """
    rows = []
    for n in analysis.ns:
        for arm in analysis.arms:
            dice = _row(analysis, "dice", n, arm)
            if dice is None:
                continue
            distance = _row(analysis, "dta_rms", n, arm)
            rows.append(
                {
                    "n": str(n),
                    "start": analysis.labels[arm],
                    "mean Dice (95 % interval)": f"{dice['mean']:.3f} ({dice['mean_low']:.3f} to "
                    f"{dice['mean_high']:.3f})",
                    "median Dice (quartiles)": _quartiles(dice, 3),
                    "worst": f"{dice['worst']:.3f}",
                    f"median RMS DTA, {analysis.dta_unit}": "-"
                    if distance is None
                    else _quartiles(distance, 2),
                    "missed": f"{dice['n_failed']} of {dice['n_rows']}",
                    "Dice above random, a patient": _gain(analysis, n, analysis.labels[arm]),
                }
            )
    return rows


def saving_rows(analysis: StudyAnalysis) -> list[dict[str, str]]:
    """Return one row a source: labels from scratch for the Dice it reaches with one.

    Args:
        analysis: The statistics.
    """
    rows = []
    for one in analysis.saving:
        reach = "-" if one.dice_range is None else "{:.3f} to {:.3f}".format(*one.dice_range)
        rows.append(
            {
                "start": analysis.labels[one.arm],
                "label-saving factor (95 % interval)": str(one.headline),
                "over the Dice": reach,
            }
        )
    return rows


def human_rows(analysis: StudyAnalysis) -> list[dict[str, str]]:
    """Return one row an arm and n: the model beside the observers.

    Args:
        analysis: The statistics, with observers.
    """
    assert analysis.human is not None
    return [
        {
            "n": str(v.n),
            "start": analysis.labels[v.arm],
            "model and observers": f"{v.model_observer:.3f}",
            "observers among themselves": f"{v.observer_observer:.3f}",
            "difference (95 % interval)": f"{v.difference:+.3f} ({v.low:+.3f} to {v.high:+.3f})",
            "verdict": v.outcome.replace("_", " "),
        }
        for v in sorted(analysis.human.verdicts, key=lambda v: (v.n, analysis.arms.index(v.arm)))
    ]


def pairs_with_random(analysis: StudyAnalysis, metric: str = "dice") -> pd.DataFrame:
    """Return the paired comparisons of transferred arms with random weights, those first.

    Args:
        analysis: The statistics.
        metric: What is compared.
    """
    table = analysis.paired
    return table[(table["metric"] == metric) & (table["second"] == reference_label(analysis))]


def reference_label(analysis: StudyAnalysis) -> str:
    """Return the label of the arm from scratch."""
    return next(analysis.labels[arm] for arm in analysis.arms if arm.source == analysis.reference)


def _row(analysis: StudyAnalysis, metric: str, n: int, arm: Any) -> Mapping[str, Any] | None:
    table = analysis.summary
    chosen = table[(table["metric"] == metric) & (table["n"] == n)]
    for name, value in arm._asdict().items():
        chosen = chosen[chosen[name] == value]
    return None if chosen.empty else chosen.iloc[0].to_dict()


def _quartiles(row: Mapping[str, Any], digits: int) -> str:
    words = [
        f"{row[name]:.{digits}f}" if math.isfinite(row[name]) else "missed"
        for name in ("median", "q25", "q75")
    ]
    return "{} ({} to {})".format(*words)


def _gain(analysis: StudyAnalysis, n: int, label: str) -> str:
    table = pairs_with_random(analysis)
    found = table[(table["n"] == n) & (table["first"] == label)]
    if found.empty:
        return "-"
    row = found.iloc[0]
    mark = {"first": ", **better**", "second": ", **worse**"}.get(row["better"], "")
    return (
        f"{row['mean_difference']:+.3f} ({row['mean_low']:+.3f} to {row['mean_high']:+.3f}), "
        f"p {_p(row['p_holm'])}{mark}"
    )


def _p(value: float) -> str:
    return "< 0.001" if value < 0.001 else f"= {value:.3f}"
