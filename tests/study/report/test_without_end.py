"""Figures of what is infinite: an arrow at the edge, and a caption that says so."""

from dataclasses import replace

import numpy as np
import pytest

from muscletransfer.study.report import sections
from muscletransfer.study.report.choice import choose
from muscletransfer.study.report.curve_figures import human_figure, median_figure
from muscletransfer.study.report.figures import Figures
from muscletransfer.study.report.measures import agreement_of_measures
from muscletransfer.study.report.page import StudyPage
from muscletransfer.study.report.styles import arm_styles
from muscletransfer.study.results import example_table
from muscletransfer.study.statistics import HumanComparison, HumanVerdict, analyse


def test_distances_without_end_are_marked_at_the_upper_edge():
    table = example_table(ns=[10, 20], patients=8)
    table["dta_rms"], table["dta_unit"] = 2.0, "mm"
    missed = (table["source"] == "random") & (table["n"] == 10) & (table["patient"] >= "P3")
    table.loc[missed, ["dta_rms", "dice", "failed"]] = [np.inf, 0.0, True]
    analysis = analyse(table, resamples=100)
    styles = arm_styles(analysis.arms, analysis.labels, "random")
    axes = median_figure(analysis, styles, "dta_rms", "distance", None).axes[0]
    (arrow,) = [line for line in axes.lines if line.get_marker() == "^" and not line.get_clip_on()]
    assert arrow.get_xdata()[0] == pytest.approx(10, rel=0.1)
    assert arrow.get_ydata()[0] == axes.get_ylim()[1]


def test_human_level_without_end_is_marked_at_the_upper_edge():
    analysis = analyse(example_table(ns=[10, 20]), resamples=100)
    verdicts = tuple(
        HumanVerdict(arm, n, "cannot_tell", "", 2.0, 1.5, 0.5, -0.5, high, 8, 8, {0: "cannot_tell"})
        for arm, highs in zip(analysis.arms, [(np.inf, 1.0), (1.0, np.nan)], strict=True)
        for n, high in zip((10, 20), highs, strict=True)
    )
    human = HumanComparison("dta_rms_mm", 0.3, 0.95, ("O1", "O2", "O3"), verdicts, {}, {}, {})
    analysis = replace(analysis, human=human)
    styles = arm_styles(analysis.arms, analysis.labels, "random")
    axes = human_figure(analysis, styles, "distance", below=False).axes[0]
    (arrow,) = [line for line in axes.lines if line.get_marker() == "^" and not line.get_clip_on()]
    assert arrow.get_xdata() == pytest.approx([10], rel=0.1)
    assert arrow.get_ydata()[0] == axes.get_ylim()[1]
    # Too few patients for an interval: nothing is open above rather than below.
    few = tuple(replace(verdict, low=-np.inf, high=np.inf) for verdict in verdicts)
    none = replace(analysis, human=replace(human, verdicts=few))
    axes = human_figure(none, styles, "distance", below=False).axes[0]
    assert not [line for line in axes.lines if line.get_marker() in "^v" and not line.get_clip_on()]
    page = StudyPage("A study", "under way")
    sections.human(page, Figures(none, styles))
    assert "an arrow" not in page.render()
    page = StudyPage("A study", "under way")
    sections.human(page, Figures(analysis, styles))
    assert "over patients; an arrow where its end is infinite." in page.render()
    assert "The margin of 0.3 mm is a choice" in page.render()


def test_arrows_of_the_density_error_are_explained_where_there_are_any():
    table = example_table(ns=[10], patients=6)
    for name, value in (("sma", 100.0), ("smd", 40.0)):
        unit = "cm2" if name == "sma" else "hu"
        table[f"{name}_reference_{unit}"] = value + np.arange(len(table))
        table[f"{name}_{unit}"] = table[f"{name}_reference_{unit}"] + table["dice"]
    missed = table.copy()
    at = (missed["source"] == "jigsaw") & (missed["patient"] >= "P3")
    missed.loc[at, ["dice", "dta_rms", "sma_cm2", "smd_hu"]] = [0.0, np.inf, 0.0, np.nan]
    missed.loc[at, "failed"] = True
    for own, arrows in ((table, 0), (missed, 1)):
        analysis = analyse(own, resamples=100)
        limits = agreement_of_measures(own, analysis.labels)
        page = StudyPage("A study", "")
        figures = Figures(analysis, arm_styles(analysis.arms, analysis.labels, "random"))
        sections.agreement(page, figures, own, limits, choose(analysis, own))
        assert page.render().count("an arrow where a quartile is infinite") == arrows
