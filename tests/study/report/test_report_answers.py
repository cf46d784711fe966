"""What is known: which source saves the most, which model is the best, how many were compared."""

from dataclasses import replace

import numpy as np
import pandas as pd

from muscletransfer.study.report import sections
from muscletransfer.study.report.choice import choose
from muscletransfer.study.report.figures import Figures
from muscletransfer.study.report.headline import saving_answer
from muscletransfer.study.report.material import gather
from muscletransfer.study.report.page import StudyPage
from muscletransfer.study.report.styles import arm_styles
from muscletransfer.study.report.writing import _tiles
from muscletransfer.study.results import example_table
from muscletransfer.study.statistics import analyse


def several(noise, **factors):
    """The answer for sources that need so many times fewer labels than scratch."""
    rng = np.random.default_rng(0)
    table = example_table(ns=[5, 10, 20, 40], start={"random": 0.3})
    rows = []
    for source, factor in {"random": 1.0, **factors}.items():
        own = table.assign(
            source=source,
            transfer="none" if source == "random" else "encoder",
            run_id=[f"{source}{n}" for n in table["n"]],
            dice=[0.95 - (factor * n) ** -0.5 + rng.normal(0, noise) for n in table["n"]],
        )
        rows.append(own)
    return saving_answer(analyse(pd.concat(rows, ignore_index=True), resamples=500))


def test_no_source_saves_the_most_where_another_may_save_more():
    bounds = several(0.004, alpha=9.0, beta=30.0)  # beyond what scratch was measured to, both
    assert bounds.lead.startswith(
        "Labels are saved by alpha (\u2265\u00a08\u00d7, 95% interval 8 or more) and beta "
        "(\u2265\u00a08\u00d7, 95% interval 8 or more): so many times the labelled patients"
    )
    close = several(0.01, alpha=2.05, beta=2.0)
    for answer in (bounds, close):
        assert "Which of them saves the most is not tested" in answer.lead
        assert answer.tone == "good"
    assert several(0.004, alpha=4.0, beta=2.0).lead.startswith("alpha saves the most: from scratch")
    assert several(0.004, alpha=2.0, beta=4.0).lead.startswith("beta saves the most: from scratch")
    assert several(0.004, alpha=4.0).lead.startswith("alpha saves labels: from scratch it takes")


def test_a_pilot_at_one_n_tells_better_from_worse_and_no_more():
    one = example_table(ns=[10], start={"random": 0.5, "good": 0.6, "bad": 0.4})
    answer = saving_answer(analyse(one, resamples=200))
    assert answer.lead == (
        "How many labels are saved cannot be told: good did better than training from scratch "
        "with the same number, and how many scratch needs for that was not measured. bad did worse "
        "than from scratch with the same number."
    )
    assert not any("holds 1" in words for words in answer.more)
    for table, told in ((one, True), (example_table(start={"random": 0.5, "good": 0.54}), False)):
        analysis = analyse(table, resamples=200)
        page = StudyPage("A study", "")
        styles = arm_styles(analysis.arms, analysis.labels, "random")
        sections.saving(page, Figures(analysis, styles))
        assert ("or a bound or the factor at one n" in page.render()) == told


def test_a_model_is_chosen_among_those_that_enough_patients_tested():
    table = example_table(ns=[5, 10], patients=8)
    easy = (table["source"] == "jigsaw") & (table["n"] == 10) & (table["patient"] < "P2")
    table.loc[easy, "dice"] = 0.99
    begun = table[easy | (table["n"] == 5)]
    choice = choose(analyse(begun, resamples=100), begun)
    assert (choice.arm.source, choice.n) == ("jigsaw", 5)
    beside = table[easy | (table["source"] == "random") | (table["n"] == 5)]
    choice = choose(analyse(beside, resamples=100), beside)
    assert (choice.arm.source, choice.n) == ("random", 10)


def test_the_tile_counts_sources_not_arms(good):
    material = gather(good.folder)
    assert material.analysis is not None
    twice = (*material.analysis.arms, material.analysis.arms[-1]._replace(encoder="another"))
    count = len({arm.source for arm in twice})
    analysis = replace(material.analysis, arms=twice)
    assert f"<b>{count}</b>sources compared" in _tiles(replace(material, analysis=analysis))
