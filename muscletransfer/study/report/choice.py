"""Which model the page shows in detail, and why that one."""

from __future__ import annotations

from dataclasses import dataclass

import pandas as pd

from muscletransfer.study.results import Arm
from muscletransfer.study.statistics import StudyAnalysis
from muscletransfer.study.statistics.values import LEAST_SHARE

__all__ = ["Choice", "choose", "scratch_of"]


@dataclass(frozen=True)
class Choice:
    """The model that pictures and agreement are of.

    Args:
        arm: Its arm.
        n: Its labelled patients.
        repeat: Which draw of the training patients; one, since a user has one model.
        scratch: The arm from scratch to show beside it, if it was measured at this n and repeat.
        why: Why it was chosen, in words.
    """

    arm: Arm
    n: int
    repeat: int
    scratch: Arm | None
    why: str


def choose(analysis: StudyAnalysis, table: pd.DataFrame) -> Choice:
    """Take the model of the fewest labels that is as good as a person, or else the best one.

    Args:
        analysis: Of the study.
        table: The tidy table it is of.
    """
    dice = analysis.summary[analysis.summary["metric"] == "dice"]
    means = {
        (Arm(*(str(row[name]) for name in Arm._fields)), int(row["n"])): float(row["mean"])
        for row in dice.to_dict("records")
    }
    human = {} if analysis.human is None else analysis.human.smallest_n
    passing = [(n, -means[arm, n], arm) for arm, n in human.items() if n is not None]
    if passing:
        n, _, arm = min(passing, key=lambda one: one[:2])
        why = "the fewest labelled patients with which a model is as good as an observer"
    else:
        # Of a study under way: a mean over a few patients says which of them were easy.
        tested = dict(zip(means, dice["n_patients"], strict=True))
        least = LEAST_SHARE * analysis.n_patients
        enough = [cell for cell in means if tested[cell] >= least] or list(means)
        n = max(count for _, count in enough)
        arm = max((a for a, count in enough if count == n), key=lambda a: means[a, n])
        why = "the highest mean Dice with the most labelled patients"
    scratch = scratch_of(analysis, arm)
    same = (table[list(Arm._fields)] == list(arm)).all(axis=1) & (table["n"] == n)
    repeat = int(table.loc[same, "repeat"].min())  # of a study under way some may be missing
    if scratch is not None:
        there = (table[list(Arm._fields)] == list(scratch)).all(axis=1) & (table["n"] == n)
        scratch = scratch if (there & (table["repeat"] == repeat)).any() else None
    return Choice(arm, n, repeat, scratch, why)


def scratch_of(analysis: StudyAnalysis, arm: Arm) -> Arm | None:
    """The arm from scratch with the same encoder and decoder, unless it is that itself."""
    if arm.source == analysis.reference:
        return None
    same = [a for a in analysis.arms if a.source == analysis.reference and a[1:3] == arm[1:3]]
    return same[0] if same else None
