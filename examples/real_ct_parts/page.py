"""`results.md`, written from a run: no number in it is typed by hand."""

from __future__ import annotations

import json
import textwrap
from pathlib import Path
from typing import Any

from results_page import put_part

from muscletransfer.data import PreprocessingSpec
from real_ct_parts import prose, prose_targets
from real_ct_parts.figures import SHOWN, overlay_run, write_figures
from real_ct_parts.settings import FULL, QUICK, Settings
from real_ct_parts.tables import (
    ct_rows,
    longer_rows,
    markdown,
    mr_class_rows,
    mr_rows,
    pretext_rows,
    write_runs,
)
from real_ct_parts.targets import MR_CLASSES


def write_page(
    results: dict[str, Any], source: Path, folder: Path, target: Path, command: str
) -> Path:
    """Write its part of ``results.md`` and, in ``results/`` beside it, figures and all runs.

    Args:
        results: What `run_all` returned.
        source: The folder of real images, for the overlays.
        folder: The run's folder.
        target: Where the page goes.
        command: The command, without this machine's paths.

    Returns:
        Path of the page.
    """
    settings = next(s for s in (FULL, QUICK) if s.to_dict() == results["settings"])
    beside = target / "results"
    figures = write_figures(results, source, folder, beside, settings)
    runs = write_runs(results, beside / "runs.csv")
    (folder / "results.json").write_text(json.dumps(results, indent=1))
    parts = _sections(results, settings, figures, runs.relative_to(target), command)
    text = "\n\n".join(map(_wrapped, parts))
    return put_part(target / "results.md", "real_ct", text)


def _wrapped(text: str) -> str:
    """Wrap paragraphs and lists to a width; tables, code and figures stay as they are."""
    if text.startswith(("|", "`", "!", "#")):
        return text
    options: dict[str, Any] = {"break_long_words": False, "break_on_hyphens": False}
    # a line that begins with "+" would be an item of a list
    filled = (
        textwrap.fill(
            line.replace(" + ", "\u00a0+ "),
            100,
            subsequent_indent="  " * (line[:2] == "- "),
            **options,
        )
        for line in text.split("\n")
    )
    return "\n".join(filled).replace("\u00a0", " ")


def _sections(
    results: dict[str, Any],
    settings: Settings,
    figures: dict[str, str],
    runs: Path,
    command: str,
) -> list[str]:
    spec = PreprocessingSpec(size=settings.size)
    assert spec.hu_window is not None
    quick = [prose.QUICK] if settings == QUICK else []
    return [
        "# First runs on real images: CT of one patient, MR of many",
        *quick,
        prose.INTRODUCTION,
        "## In short",
        prose.in_short(results, settings),
        "## How it was made",
        f"```console\n$ {command}\n```",
        prose.made(results, settings),
        f"Every run, a row each: [{runs.as_posix()}]({runs.as_posix()}).",
        "## Did the source tasks learn?",
        prose.source_tasks(results, settings, spec.hu_window),
        markdown(pretext_rows(results, spec.hu_window[1] - spec.hu_window[0])),
        "## Muscle on CT, within one patient",
        prose_targets.ct_design(results, settings),
        markdown(ct_rows(results, settings)),
        prose_targets.CT_COLUMNS,
        f"![Median Dice of every CT run, by arm]({figures['ct_runs']})",
        prose_targets.ct_dots(settings),
        f"![Outlines of four arms on one slice]({figures['ct_overlays']})",
        prose_targets.overlay(overlay_run(results, SHOWN[0], settings)),
        prose_targets.longer(results, settings),
        markdown(longer_rows(results, settings)),
        "## Heart on MR, by patient",
        prose_targets.mr_design(results, settings),
        markdown(mr_rows(results, settings)),
        prose_targets.mr_columns(results, settings),
        f"![Median Dice of every MR run, by arm]({figures['mr_runs']})",
        prose_targets.MR_DOTS,
        f"![Dice against labelled patients, by arm]({figures['mr_curve']})",
        "Points are medians over all test patients, bars quartiles.",
        "Mean Dice of each structure over all test patients:",
        markdown(mr_class_rows(results, settings, MR_CLASSES)),
        "## What this does not show",
        prose.not_shown(results, settings),
        "## The images",
        prose.IMAGES,
    ]
