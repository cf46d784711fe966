"""A study's part of `results.md`: no number in it is typed by hand."""

from __future__ import annotations

import shutil
import textwrap
from pathlib import Path

from results_page import put_part

from muscletransfer.study import analyse_study, study_config
from muscletransfer.study.report import write_study_report
from real_study_parts import prose
from real_study_parts.tables import (
    human_rows,
    learned_rows,
    markdown,
    result_rows,
    saving_rows,
)

#: Figures of the report that the page shows, with their words; those a study has.
_FIGURES = {
    "learning_curves": "Mean Dice over labelled patients, a line for each start",
    "label_saving": "Label-saving factor of each start with its interval",
    "human_level": "Agreement of models with observers minus that of two observers",
}


def write_part(name: str, folder: Path, target: Path, command: str, quick: bool) -> Path:
    """Write the study's report, and its part of ``results.md``.

    Args:
        name: ``phantom`` or ``cardiac_mr``.
        folder: The study's folder; every run is done.
        target: Where the page goes; report and figures go into ``results/study_NAME`` beside it.
        command: The command, without this machine's paths.
        quick: Whether the runs were a few steps long.

    Returns:
        Path of the page.
    """
    config = study_config(folder)
    _, analysis = analyse_study(folder)
    beside = target / "results" / f"study_{name}"
    shutil.rmtree(beside, ignore_errors=True)
    # images of patients stay out of the page; those of a phantom may be shown
    write_study_report(folder, beside, pictures=config.data.phantom is not None)
    figures = {f: words for f, words in _FIGURES.items() if (beside / f"figures/{f}.png").is_file()}
    for path in beside.iterdir():
        if path.name not in ("report.html", "figures", "runs.csv", "summary.csv", "paired.csv"):
            path.unlink()
    for path in (beside / "figures").iterdir():
        if path.stem not in figures or path.suffix != ".png":
            path.unlink()
    place = f"results/study_{name}"
    pictures = [f"![{words}]({place}/figures/{f}.png)" for f, words in figures.items()]
    sections = [
        f"# {prose.TITLES[name]}",
        *([prose.QUICK] if quick else []),
        prose.INTRODUCTIONS[name],
        "## In short",
        prose.in_short(analysis),
        "## How it was made",
        f"```console\n$ {command}\n```",
        prose.made(config, folder, analysis),
        f"[The report of the study]({place}/report.html) has every figure, test and setting; "
        f"[summary.csv]({place}/summary.csv), [paired.csv]({place}/paired.csv) and "
        f"[runs.csv]({place}/runs.csv) the numbers.",
        "## Did the source tasks learn?",
        markdown(learned_rows(folder)),
        prose.learned(learned_rows(folder)),
        "## Labels saved",
        markdown(saving_rows(analysis)) if analysis.saving else prose.NO_SAVING,
        prose.SAVING,
        *pictures[:2],
        "## Every start and n",
        markdown(result_rows(analysis)),
        prose.columns(analysis),
        *(
            ["## Beside the observers", markdown(human_rows(analysis)), prose.HUMAN, *pictures[2:]]
            if analysis.human is not None
            else []
        ),
        "## What this does not show",
        prose.not_shown(name, config, analysis),
    ]
    text = "\n\n".join(map(_wrapped, sections))
    return put_part(target / "results.md", f"study_{name}", text)


def _wrapped(text: str) -> str:
    """Wrap paragraphs and lists to a width; tables, code and figures stay as they are."""
    if text.startswith(("|", "`", "!", "#")):
        return text
    filled = (
        textwrap.fill(
            line.replace(" + ", "\u00a0+ "),
            100,
            subsequent_indent="  " * (line[:2] == "- "),
            break_long_words=False,
            break_on_hyphens=False,
        )
        for line in text.split("\n")
    )
    return "\n".join(filled).replace("\u00a0", " ")
