"""The sections of the page, from the answer to how it can be had again."""

from __future__ import annotations

import sys
from collections import Counter
from html import escape

import numpy as np
import pandas as pd
import yaml

from muscletransfer._version import __version__
from muscletransfer.observers.scores import score_of
from muscletransfer.study.report.cells import Head, count, number, table, text
from muscletransfer.study.report.choice import Choice
from muscletransfer.study.report.citations import citation_html, citations
from muscletransfer.study.report.figures import Figures
from muscletransfer.study.report.history import failures_html, plans_html
from muscletransfer.study.report.material import Material
from muscletransfer.study.report.measures import MEASURES
from muscletransfer.study.report.methods import methods
from muscletransfer.study.report.origins import origins_html
from muscletransfer.study.report.overlay_drawing import picture_html, sheet
from muscletransfer.study.report.overlays import pictures
from muscletransfer.study.report.page import StudyPage, folded, paragraph, wide_figure
from muscletransfer.study.report.structures import structure_table
from muscletransfer.study.report.tables import (
    DIGITS,
    agreement_table,
    human_matrix,
    human_table,
    metric_title,
    paired_table,
    saving_table,
    summary_table,
)
from muscletransfer.study.statistics import StudyAnalysis
from muscletransfer.study.statistics.metrics import METRICS

__all__ = ["agreement", "curves", "human", "overlays", "paired", "record", "saving", "summary"]


def curves(page: StudyPage, figures: Figures) -> None:
    """Learning curves, and distances over n."""
    analysis = figures.analysis
    page.section("Learning curves")
    words = (
        "Points are means over patients with their bootstrap intervals; lines are the fitted "
        "curves with the band of fits to bootstrap samples of patients"
    )
    words += ", the variation over trainings included." if analysis.training_variation else "."
    if analysis.human is not None and analysis.human.bands:
        words += (
            " The grey band is the range of the observers against the same reference, on the cases "
            "that they outlined."
        )
    page.text(words)
    banded = analysis.human is not None and "dta_rms" in analysis.human.bands
    drawn = [(figures.curves(), "Mean Dice over patients.")]
    distance = figures.medians("dta_rms")
    if distance is not None:
        drawn.append(
            (distance, "RMS distance-to-agreement: medians and quartiles over patients, since the "
             "mean is infinite where a mask was missed; an arrow where a quartile is."
             + " The band is of the observers' medians." * banded)
        )  # fmt: skip
    page.figures(drawn)
    page.figures(figures.each_arm(), "small")
    rows = [
        [text(analysis.labels[c.arm]), text(c.kind.replace("_", " ")), number(c.a), number(c.b),
         number(c.c), number(c.r_squared), number(c.rmse, 4), count(c.n_patients),
         text("; ".join(c.notes), prose=True)]
        for c in analysis.curves
    ]  # fmt: skip
    heads = [Head("Source", "text"), Head("Kind", "text"), Head("a"), Head("b"), Head("c"),
             Head("R\u00b2"), Head("RMSE"), Head("Patients"), Head("Notes", "text")]  # fmt: skip
    page.add(
        folded("The fitted curves: Dice = 1 \u2212 a \u2212 b n^(\u2212c)",
               table("curves-fitted", heads, rows))
    )  # fmt: skip


def saving(page: StudyPage, figures: Figures) -> None:
    """Label-saving factors."""
    drawing = figures.saving()
    if drawing is None:
        return
    page.section("Labels saved")
    page.text(
        "How many times the labelled patients training from scratch "
        f"({figures.analysis.reference}) needs for the same Dice. Above 1 labels are saved, "
        "below 1 the source costs labels. Nothing is read off beyond the measured numbers of "
        "patients: there it is a bound."
    )
    caption = "Over the Dice that both curves reach"
    if any(one.dice_range is None for one in figures.analysis.saving):
        caption += ", or a bound or the factor at one n where they share none or have no curve"
    page.add(wide_figure(drawing, f"{caption}; an arrow goes beyond what was measured."))
    page.add(saving_table(figures.analysis))
    notes = [f"{figures.analysis.labels[s.arm]}: {note}" for s in figures.analysis.saving
             for note in s.notes]  # fmt: skip
    page.add(_list(notes))


def human(page: StudyPage, figures: Figures) -> None:
    """Verdicts of the human-level test."""
    found = figures.analysis.human
    page.section("Human level")
    if found is None:
        page.text("There are no observers' outlines to compare with.")
        return
    margin = f"{found.margin:g}{score_of(found.metric).unit}"
    page.text(
        f"Could a model take the place of one of the {len(found.observers)} observers? The margin "
        f"of {margin} is a choice that was made in the study's file. The smallest n is the "
        "one from which on every larger n passes too."
    )
    page.add(human_matrix(figures.analysis))
    drawing = figures.human()
    if drawing is not None:
        caption = (
            "Agreement of a model with the observers minus that of two observers, with its "
            "interval over patients"
        )
        endless = any(np.isposinf(v.high) and np.isfinite(v.low) for v in found.verdicts)
        end = "; an arrow where its end is infinite." if endless else "."
        page.add(wide_figure(drawing, f"{caption}{end}"))
    page.add(folded("The numbers", human_table(figures.analysis, 3)))
    if found.notes:
        page.add(folded(f"What was left out ({len(found.notes)})", _list(found.notes)))


def agreement(
    page: StudyPage, figures: Figures, frame: pd.DataFrame, limits: pd.DataFrame, choice: Choice
) -> None:
    """Muscle area and density against the reference."""
    if limits.empty:
        return
    page.section("Muscle measures")
    page.text(
        f"Shown is {figures.analysis.labels[choice.arm]} with n = {choice.n}: {choice.why}. "
        f"Repeat {choice.repeat}, since a user has one model; patients with several slices have "
        "one point, their mean. Areas and densities are within the outline and the window of "
        "muscle, on the original HU."
    )
    page.figures(figures.bland_altman(frame, choice))
    errors = [(figures.medians(m), m) for m in ("sma_error_percent", "smd_error_hu")]
    page.figures(
        [(d, f"{_begin(metric_title(m, ''))}: medians and quartiles over patients"
             f"{_endless(figures.analysis, m)}.") for d, m in errors if d is not None]
    )  # fmt: skip
    classes = frame["class_name"].nunique() > 1
    for measure in MEASURES:
        if ((limits["measure"] == measure.name) & (limits["repeat"] == choice.repeat)).any():
            body = agreement_table(limits, measure.name, choice.repeat, classes)
            page.add(folded(f"{measure.title}: limits of agreement of every source and n", body))


def summary(page: StudyPage, analysis: StudyAnalysis, structures: pd.DataFrame) -> None:
    """Every figure at every arm and n, and Dice of each structure."""
    page.section("Results")
    page.text(
        "A click on a heading sorts. All numbers with every digit are in results/summary.csv."
    )
    for metric in METRICS:
        if (analysis.summary["metric"] == metric).any():
            body = summary_table(analysis, metric)
            page.add(_metric(analysis, metric, body))
    if not structures.empty:
        page.add(folded("Dice of each structure", structure_table(structures, analysis)))


def paired(page: StudyPage, analysis: StudyAnalysis) -> None:
    """Sources against each other."""
    if analysis.paired.empty:
        return
    page.section("Paired tests")
    page.text(
        "Patients that both sources tested, at the same n. Better is said only where p, adjusted "
        f"by Holm's rule over all pairs and n, is at most {1 - analysis.confidence:.2g}."
    )
    for metric in METRICS:
        if (analysis.paired["metric"] == metric).any():
            body, left_out = paired_table(analysis, metric)
            if left_out:
                body += paragraph(f"{left_out} more are in results/paired.csv.")
            page.add(_metric(analysis, metric, body))


def overlays(page: StudyPage, figures: Figures, material: Material, choice: Choice) -> None:
    """Cases by percentile."""
    page.section("Pictures")
    page.add(
        '<p>Native slices with the outlines of the reference <span class="key" '
        'style="color:#c9bc00"></span>yellow and the model <span class="key" '
        'style="color:#2f8fc4"></span>blue, by '
        "percentile of Dice over the test cases of repeat "
        f"{choice.repeat}. Cases are rows of the study's manifest, from 0. A click enlarges.</p>"
    )
    for arm in [choice.arm] if choice.scratch is None else [choice.arm, choice.scratch]:
        label = figures.analysis.labels[arm]
        page.heading(f"{label}, n = {choice.n}")
        found = list(pictures(material, arm, choice.n, choice.repeat))
        figure, ident = sheet(found), ""
        if figure is not None:  # the file has all of them; the page tells a later report its name
            kept = figures.keep(figure, f"overlays_{label}", f"Cases of {label}")
            ident = f' id="figure-{kept.name}"'
        shown = "".join(picture_html(p) for p in found)
        page.add(f'<div class="grid pictures"{ident}>{shown}</div>')


def record(page: StudyPage, material: Material, measures: bool) -> None:
    """Provenance, methods, plans, failures, citations, and how to have it again."""
    page.section("Weights")
    page.add(*origins_html(material))
    page.section("Methods")
    for words in methods(material):
        page.text(words)
    page.heading("Versions")
    page.add(_versions(material))
    page.section("Plans")
    page.add(*plans_html(material))
    page.section("Failures")
    page.add(*failures_html(material))
    page.section("Cite")
    items = "".join(citation_html(one) for one in citations(material.analysis, measures))
    page.add(f"<ol>{items}</ol>")
    page.section("Reproduce")
    page.text(
        f"With muscletransfer {material.current.config['version']} and this file as study.yaml "
        "(paths are relative to it); finished runs are never run again:"
    )
    page.add(
        "<pre>muscletransfer study run study.yaml\nmuscletransfer study report study</pre>",
        folded("study.yaml", f"<pre>{escape(_yaml(material))}</pre>"),
    )


def _endless(analysis: StudyAnalysis, metric: str) -> str:
    """What the arrows of a figure of medians are, if there are any."""
    rows = analysis.summary[analysis.summary["metric"] == metric]
    if not np.isinf(rows["q75"]).any():
        return ""
    return "; an arrow where a quartile is infinite, since masks were missed"


def _metric(analysis: StudyAnalysis, metric: str, body: str) -> str:
    title = metric_title(metric, analysis.dta_unit)
    return folded(_begin(title), body, opened=metric == next(iter(DIGITS)))


def _begin(words: str) -> str:
    return words[0].upper() + words[1:]


def _versions(material: Material) -> str:
    found = Counter(
        tuple(result.get("versions", {}).items()) for _, result in material.runs.values()
    )
    rows = [
        [text(", ".join(f"{name} {version}" for name, version in versions), prose=True), count(n)]
        for versions, n in found.most_common()
    ]
    body = table("versions", [Head("Versions of runs", "text"), Head("Runs")], rows) if rows else ""
    python = ".".join(map(str, sys.version_info[:3]))
    return body + paragraph(f"This page: muscletransfer {__version__}, Python {python}.", "soft")


def _yaml(material: Material) -> str:
    return str(yaml.safe_dump(dict(material.current.config["file"]), sort_keys=False,
                              allow_unicode=True))  # fmt: skip


def _list(items: object) -> str:
    found = "".join(f"<li>{escape(str(item))}</li>" for item in items)  # type: ignore[attr-defined]
    return f"<ul>{found}</ul>" if found else ""
