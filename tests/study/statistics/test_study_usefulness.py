"""A factor is told with how good the outlines are that it compares."""

import pandas as pd
import pytest
from synthetic_table import NS, arm, make_table

from muscletransfer.study.results import example_table
from muscletransfer.study.statistics import analyse, patient_values
from muscletransfer.study.statistics.usefulness import USEFUL_DICE, poor_outlines


def with_median(table: pd.DataFrame, medians: dict[str, float]) -> pd.DataFrame:
    """Move each source, so that its median over patients at the largest n is a given one."""
    moved = table.copy()
    for source, wanted in medians.items():
        mine = table["source"] == source
        last = table[mine & (table["n"] == NS[-1])]
        now = last.groupby("patient")["dice"].mean().median()
        moved.loc[mine, "dice"] = table.loc[mine, "dice"] + wanted - now
    assert moved["dice"].between(0, 1).all()
    return moved


@pytest.fixture(scope="module")
def table() -> pd.DataFrame:
    return make_table(patients=9, seed=2)


def test_a_study_without_a_useful_outline_says_so(table: pd.DataFrame) -> None:
    medians = {"random": 0.55, "classification": 0.58, "jigsaw": 0.66}
    found = analyse(with_median(table, medians), resamples=200)
    (note,) = [n for n in found.notes if "useful Dice" in n]
    assert note.startswith("no source reaches a useful Dice")
    assert f"is 0.66 ({arm('jigsaw')}, n = {NS[-1]}), below 0.70" in note
    best = {s.arm.source: [n for n in s.notes if "useful Dice" in n] for s in found.saving}
    assert [len(notes) for notes in best.values()] == [1, 1]
    assert "is 0.58 (classification" in best["classification"][0]
    assert "is 0.66 (jigsaw" in best["jigsaw"][0]


def test_one_good_arm_is_enough_and_the_others_are_told(table: pd.DataFrame) -> None:
    medians = {"random": 0.55, "classification": 0.58, "jigsaw": 0.75}
    found = analyse(with_median(table, medians), resamples=200)
    assert not [n for n in found.notes if "useful Dice" in n]
    told = {s.arm.source: any("neither arm" in n for n in s.notes) for s in found.saving}
    assert told == {"classification": True, "jigsaw": False}


def test_the_level_itself_is_useful_and_the_largest_n_counts() -> None:
    at = example_table(ns=[5], patients=1, start={"random": USEFUL_DICE - 0.05})
    assert poor_outlines(patient_values(at), [arm("random")]) is None
    below = at.assign(dice=USEFUL_DICE - 1e-6)
    assert poor_outlines(patient_values(below), [arm("random")]) is not None
    fell = pd.concat([at.assign(dice=0.9), below.assign(n=10, run_id="more")])
    assert "n = 10" in str(poor_outlines(patient_values(fell), [arm("random")]))
