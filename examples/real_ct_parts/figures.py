"""The page's figures: every run as a dot, the learning curve, overlays on the CT."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from matplotlib.figure import Figure

from muscletransfer.report import learning_curve_figure, overlay_figure, save_figure
from muscletransfer.report.figures import Overlay
from real_ct_parts.runs import read_overlay
from real_ct_parts.settings import ARMS, COPY, RANDOM, Settings
from real_ct_parts.summary import case_scores, chosen, over_runs, run_median

SHOWN = (RANDOM, "jigsaw", "reconstruction + decoder", "segmentation + decoder")
"""Arms of the overlay figure."""
_MARKS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7")


def runs_figure(runs: list[dict[str, Any]], arms: list[str], ns: list[int], unit: str) -> Figure:
    """Draw the median Dice of every run, a row an arm and a panel a number of labels.

    Args:
        runs: The runs of one data set.
        arms: Arms from top to bottom.
        ns: Numbers of labels, from left to right.
        unit: What is counted, such as ``"slices"``.
    """
    figure = Figure(figsize=(4.1 * len(ns) + 1.9, 0.36 * len(arms) + 1.5), layout="constrained")
    panels = figure.subplots(1, len(ns), sharex=True, sharey=True, squeeze=False)[0]
    groups = sorted({str(run.get("test", "")) for run in runs})
    for axes, n in zip(panels, ns, strict=True):
        for row, arm in enumerate(arms):
            mine = chosen(runs, arm, n)
            for run in mine:
                group = groups.index(str(run.get("test", "")))
                dodge = 0.16 * (group - (len(groups) - 1) / 2)
                colour = _MARKS[group % len(_MARKS)]
                axes.plot(run_median(run, "dice"), row + dodge, "o", ms=4.5, color=colour)
            axes.plot(over_runs(mine, "dice")[0], row, "|", ms=15, mew=1.8, color="black")
        baseline = over_runs(chosen(runs, RANDOM, n), "dice")[0]
        axes.axvline(baseline, color="#888888", lw=0.9, ls="--", zorder=0)
        axes.set_title(f"n = {n} {unit}", fontsize=10)
        axes.set_xlabel("median Dice of a run")
        axes.grid(axis="x", color="#e5e5e5", lw=0.8)
        axes.set_axisbelow(True)
        axes.spines[["top", "right"]].set_visible(False)
    panels[0].set_yticks(range(len(arms)), arms)
    panels[0].invert_yaxis()
    if len(groups) > 1:
        for group, name in enumerate(groups):
            panels[-1].plot([], [], "o", ms=4.5, color=_MARKS[group], label=f"{name} block tests")
        figure.legend(loc="outside lower center", ncols=len(groups), frameon=False, fontsize=9)
    return figure


def curve_figure(runs: list[dict[str, Any]], arms: list[str], ns: list[int], what: str) -> Figure:
    """Draw Dice against the number of labels, medians and quartiles over all test cases.

    Args:
        runs: The runs of one data set.
        arms: The arms drawn.
        ns: Numbers of labels.
        what: Label of the horizontal axis.
    """
    scores = {
        arm: {
            n: [case_scores(row)["dice"] for run in chosen(runs, arm, n) for row in run["cases"]]
            for n in ns
        }
        for arm in arms
    }
    figure = learning_curve_figure({"Dice": scores})
    figure.set_size_inches(7.4, 4.4)
    axes = figure.axes[0]
    axes.set_xlabel(what)
    axes.legend(frameon=False, fontsize=8, loc="center left", bbox_to_anchor=(1.0, 0.5))
    return figure


def overlays(
    results: dict[str, Any], source: Path, folder: Path, arms: list[str], settings: Settings
) -> Figure:
    """Draw one slice with the outlines of several arms: the middle of the test block.

    The slice is chosen by its place, not by its score.

    Args:
        results: The run.
        source: The folder of real images.
        folder: The run's folder.
        arms: Arms from left to right.
        settings: Sizes of the run.
    """
    shown = []
    for arm in arms:
        run = overlay_run(results, arm, settings)
        row = run["cases"][len(run["cases"]) // 2]
        hu, reference, prediction, index = read_overlay(source, folder, arm, row["case"], settings)
        title = f"{arm}\nslice {index}, Dice {row['dice']:.3f}"
        shown.append(Overlay(hu, reference, prediction, title))
    return overlay_figure(shown)


def overlay_run(results: dict[str, Any], arm: str, settings: Settings) -> dict[str, Any]:
    """Return the run whose masks were kept: the first repeat, the last block, most slices."""
    wanted = (settings.ct_tests[-1], max(settings.ct_slices), 0, arm)
    return next(
        run for run in results["ct"] if (run["test"], run["n"], run["repeat"], run["arm"]) == wanted
    )


def write_figures(
    results: dict[str, Any], source: Path, folder: Path, target: Path, settings: Settings
) -> dict[str, str]:
    """Write all figures.

    Args:
        results: The run.
        source: The folder of real images.
        folder: The run's folder.
        target: Where the figures go.
        settings: Sizes of the run.

    Returns:
        Name to path, relative to the page.
    """
    names = [arm.name for arm in ARMS]
    figures = {
        "ct_runs": runs_figure(
            results["ct"], [COPY, *names], list(settings.ct_slices), "labelled slices"
        ),
        "mr_runs": runs_figure(
            results["mr"], names, list(settings.mr_patients), "labelled patients"
        ),
        "mr_curve": curve_figure(
            results["mr"], names, list(settings.mr_patients), "labelled patients for training"
        ),
        "ct_overlays": overlays(results, source, folder, list(SHOWN), settings),
    }
    return {
        name: os.path.relpath(save_figure(figure, target / f"{name}.png"), target.parent)
        for name, figure in figures.items()
    }
