"""The two tables of the page, from the files that the commands wrote."""

from __future__ import annotations

import csv
from pathlib import Path
from statistics import median

from muscletransfer.data import Manifest, read_mask
from muscletransfer.metrics import dice

CLASSES = {1: "back muscles", 2: "iliopsoas"}


def predicted_rows(folder: Path) -> list[dict[str, str]]:
    """Return a row a predicted slice: areas by class and what was flagged.

    Args:
        folder: The run's folder.
    """
    rows = []
    for row in _read(folder / "predicted" / "measures.csv"):
        mask = read_mask(folder / "predicted" / row["mask"])
        labels = mask.labels[int(row["slice_index"])]
        _, sy, sx = mask.spacing
        areas = {
            f"{name}, cm2": f"{(labels == value).sum() * sy * sx / 100:.1f}"
            for value, name in CLASSES.items()
        }
        rows.append({"case": row["case"], **areas, "flags": row["flags"] or "none"})
    return rows


def fit_rows(folder: Path) -> list[dict[str, str]]:
    """Return a row a class: the Dice on the slices that the model learned from.

    Args:
        folder: The run's folder.
    """
    manifest = Manifest.read(folder / "l3" / "manifest.csv")
    learned = {row.slice_index: row for row in manifest.rows}
    scores: dict[int, list[float]] = {value: [] for value in CLASSES}
    for row in _read(folder / "fitted" / "measures.csv"):
        index = int(row["slice_index"])
        drawn = read_mask(learned[index].mask or "").labels[0]
        found = read_mask(folder / "fitted" / row["mask"]).labels[index]
        for value, values in scores.items():
            values.append(dice(found == value, drawn == value))
    return [
        {
            "class": CLASSES[value],
            "slices": str(len(values)),
            "Dice, median": f"{median(values):.3f}",
            "lowest": f"{min(values):.3f}",
        }
        for value, values in scores.items()
    ]


def _read(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))
