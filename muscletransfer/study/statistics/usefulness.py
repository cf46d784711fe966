"""Whether any outlines of a study are good enough for its label saving to matter."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from muscletransfer.study.results.columns import Arm
from muscletransfer.study.statistics.values import PatientValues

__all__ = ["NOT_USEFUL", "USEFUL_DICE", "poor_outlines"]

NOT_USEFUL = "reaches a useful Dice"
"""Words by which a note of these is known."""

USEFUL_DICE = 0.7
"""Median Dice over patients from which the outlines of an arm may be of use.

At Dice 0.7 three tenths of each of two outlines of one size lie outside the other, so that areas
and densities are in good part those of other tissue; published L3 models reach 0.96 and more. Above
it an arm is not good yet, but below it no saving of labels makes it so.
"""


def poor_outlines(values: PatientValues, arms: Iterable[Arm]) -> str | None:
    """Say that none of some arms reaches `USEFUL_DICE` with the most labels it was trained on.

    Args:
        values: Values of the patients.
        arms: Which arms.

    Returns:
        Which is the best and how good it is, as the middle of a sentence; ``None`` where the median
        of one arm reaches the level.

    Example:
        >>> from muscletransfer.study.results import example_table
        >>> from muscletransfer.study.statistics import patient_values
        >>> values = patient_values(example_table(start={"random": 0.2, "jigsaw": 0.3}))
        >>> print(poor_outlines(values, values.arms))
        the best median Dice over patients at the largest n is 0.47 (jigsaw, timm/resnet18, unet,
        encoder, n = 10), below 0.70
        >>> values = patient_values(example_table(start={"random": 0.2, "jigsaw": 0.6}))
        >>> poor_outlines(values, values.arms) is None
        True
    """
    found = [
        (float(np.nanmedian(values.of(arm, values.ns_of(arm)[-1]))), arm, values.ns_of(arm)[-1])
        for arm in arms
    ]
    median, arm, n = max(found, key=lambda one: one[0])
    if median >= USEFUL_DICE:
        return None
    return (
        f"the best median Dice over patients at the largest n is {median:.2f} ({arm}, n = {n}), "
        f"below {USEFUL_DICE:.2f}"
    )
