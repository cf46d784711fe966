"""The demo's table, figures and page."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from muscletransfer.data.synthetic import Cohort
from muscletransfer.demo.observers import ObserverBand, observer_band
from muscletransfer.demo.overlays import percentile_overlays
from muscletransfer.demo.settings import FULL, DemoSettings
from muscletransfer.demo.training import FineTuned
from muscletransfer.report import (
    Page,
    human_band_label,
    learning_curve_figure,
    overlay_figure,
    save_figure,
)
from muscletransfer.transfer import format_provenance, inspect_file

__all__ = ["summary_rows", "write_report"]

_SYNTHETIC = (
    "Every image here is synthetic: drawn by a program, not measured on a person. The table shows "
    "that the tool works and what its output looks like. It says nothing about how well any "
    "source task does on real CT."
)


def summary_rows(results: Sequence[FineTuned]) -> list[dict[str, Any]]:
    """Return one row a source and subset: medians over the test cases.

    A missed mask counts as Dice 0 and an infinite distance, so it moves the median and is counted
    in ``failed``; it is never dropped.

    Args:
        results: The fine-tuned models.

    Returns:
        Rows with the keys ``source``, ``n``, ``Dice``, ``RMS DTA (mm)``, ``SMA error (%)``,
        ``cases``, ``failed``.
    """
    rows = []
    for result in results:
        dice, distance, error = _scores(result)
        rows.append(
            {
                "source": result.source,
                "n": result.train_patients,
                "Dice": f"{np.median(dice):.3f}",
                "RMS DTA (mm)": f"{np.median(distance):.2f}",
                "SMA error (%)": f"{np.median(error):.1f}",
                "cases": len(dice),
                "failed": int(np.isinf(distance).sum()),
            }
        )
    return rows


def _scores(result: FineTuned) -> tuple[list[float], list[float], list[float]]:
    dice = [float(row["dice"]) for row in result.cases]
    distance = [float(row["dta_rms_mm"]) for row in result.cases]
    error = [
        100 * abs(row["sma_cm2"] - row["reference_sma_cm2"]) / row["reference_sma_cm2"]
        for row in result.cases
    ]
    return dice, distance, error


def _curves(results: Sequence[FineTuned]) -> dict[str, dict[str, dict[int, list[float]]]]:
    curves: dict[str, dict[str, dict[int, list[float]]]] = {}
    for result in results:
        for metric, values in zip(
            ("Dice", "RMS DTA (mm)", "SMA error (%)"), _scores(result), strict=True
        ):
            by_source = curves.setdefault(metric, {}).setdefault(result.source, {})
            by_source[result.train_patients] = values
    return curves


def _band_rows(band: ObserverBand) -> list[dict[str, Any]]:
    return [
        {
            "source": f"{band.observers} observers, lowest to highest",
            "n": "-",
            "Dice": f"{band.dice[0]:.3f} to {band.dice[1]:.3f}",
            "RMS DTA (mm)": f"{band.distance_mm[0]:.2f} to {band.distance_mm[1]:.2f}",
            "SMA error (%)": f"{band.area_error[0]:.1f} to {band.area_error[1]:.1f}",
            "cases": band.cases,
            "failed": 0,
        }
    ]


def _print_table(rows: Sequence[dict[str, Any]]) -> None:
    names = list(rows[0])
    widths = [
        max(len(str(row[name])) for row in [dict(zip(names, names, strict=True)), *rows])
        for name in names
    ]
    for row in [dict(zip(names, names, strict=True)), *rows]:
        print("  ".join(str(row[n]).ljust(w) for n, w in zip(names, widths, strict=True)).rstrip())


def write_report(
    folder: Path,
    settings: DemoSettings,
    target: Cohort,
    results: Sequence[FineTuned],
    weights: dict[str, Path],
    *,
    seconds: float,
) -> Path:
    """Write ``report.html``, ``table.csv`` and the figures, and print the table.

    Args:
        folder: Where the files go.
        settings: Sizes of the demo.
        target: The cohort that was tested on.
        results: The fine-tuned models.
        weights: Checkpoints of the source tasks by name.
        seconds: Wall time of everything before the report.

    Returns:
        Path of the page.
    """
    cases = [int(row["case"]) for row in results[0].cases]
    band = observer_band(target, cases)
    rows = summary_rows(results) + _band_rows(band)
    _print_table(rows)
    _write_csv(folder / "table.csv", rows)

    page = Page(
        "Which source task saves labels?",
        f"muscletransfer demo on a synthetic L3 cohort, {settings.target_patients} patients",
    )
    page.text(_SYNTHETIC, note=True)
    if settings.finetune_steps < FULL.finetune_steps:
        page.text(
            "This is a short form: it trains for a few steps only, so its scores are low.",
            note=True,
        )
    page.heading("Scores on the test patients")
    page.text(
        f"Medians over {len(cases)} test patients that no training run saw, in mm on the native "
        f"grid. Checkpoints were chosen on {settings.val_patients} further labelled patients: the "
        "real cost in labels is n plus those. Every run took "
        f"{settings.finetune_steps} optimisation steps."
    )
    page.table(rows)
    curve = learning_curve_figure(
        _curves(results),
        {
            "Dice": band.dice,
            "RMS DTA (mm)": band.distance_mm,
            "SMA error (%)": band.area_error,
        },
        human_band_label(band.observers) + " (synthetic)",
    )
    save_figure(curve, folder / "learning_curve.png")
    page.figure(
        curve,
        "Points are medians over test patients, bars quartiles; an arrow at the upper edge is an "
        "infinite quartile, of masks that were missed. The grey band spans the medians of the "
        "simulated observers against the reference.",
    )
    page.heading("Best, median and worst")
    shown = max(results, key=lambda r: (r.train_patients, np.median(_scores(r)[0])))
    overlays = overlay_figure(percentile_overlays(target, shown))
    save_figure(overlays, folder / "overlays.png")
    page.figure(
        overlays, f"Test cases of the model from {shown.source} with n = {shown.train_patients}."
    )
    page.heading("Where the weights come from")
    for name in weights:
        chosen = [r for r in results if r.source == name][-1]
        page.preformatted(format_provenance(inspect_file(chosen.checkpoint)))
    page.text(f"Made in {seconds:.0f} s.")
    return page.write(folder / "report.html")


def _write_csv(path: Path, rows: Sequence[dict[str, Any]]) -> None:
    with path.open("w", newline="") as file:
        writer = csv.DictWriter(file, fieldnames=list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
