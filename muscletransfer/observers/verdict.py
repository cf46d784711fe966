"""From an interval and a margin to an outcome and one plain sentence."""

from __future__ import annotations

import math
from typing import Literal

from muscletransfer.agreement import Estimate
from muscletransfer.agreement.checks import percent
from muscletransfer.observers.scores import Score

__all__ = ["Outcome", "decide", "interval_words", "sentence"]

Outcome = Literal["as_good", "worse", "cannot_tell"]


def decide(difference: Estimate, margin: float, score: Score, varied: bool) -> Outcome:
    """Where the interval of a difference lies beside the margin.

    Args:
        difference: Model-observer minus observer-observer.
        margin: How much worse is still good enough, above 0.
        score: Which way is better.
        varied: Whether the observers differ at all; if not, human variation is not known.

    Returns:
        ``"as_good"``, ``"worse"`` or ``"cannot_tell"``.

    Example:
        >>> from muscletransfer.observers.scores import score_of
        >>> found = Estimate(-0.002, (-0.006, 0.001), 25, 25, 0.95, 10000, 0)
        >>> [decide(found, margin, score_of("dice"), True) for margin in (0.01, 0.003)]
        ['as_good', 'cannot_tell']
    """
    low, high = difference.ci
    if not score.higher_is_better:
        low, high = -high, -low
    if not varied:
        return "cannot_tell"
    if low > -margin:
        return "as_good"
    return "worse" if high < -margin else "cannot_tell"


def interval_words(difference: Estimate) -> str:
    """The interval of a difference over patients, or that there are too few of them for one.

    Example:
        >>> interval_words(Estimate(0.1, (-math.inf, math.inf), 3, 3, 0.95, 10000, 0))
        '3 patients are too few for an interval'
    """
    low, high = difference.ci
    one = difference.n_patients == 1
    patients = f"{difference.n_patients} patient{'' if one else 's'}"
    if low == -math.inf and high == math.inf:
        return f"{patients} {'is' if one else 'are'} too few for an interval"
    return f"{percent(difference.confidence)} interval {low:+.3g} to {high:+.3g} over {patients}"


def sentence(
    outcome: Outcome,
    score: Score,
    margin: float,
    means: tuple[float, float],
    difference: Estimate,
    varied: bool,
) -> str:
    """The verdict in one sentence, with the numbers behind it.

    Args:
        outcome: What :func:`decide` said.
        score: What was compared.
        margin: The margin that was chosen.
        means: Mean agreement of model and observer, and of two observers.
        difference: Their difference with its interval.
        varied: Whether the observers differ at all.

    Returns:
        One sentence.
    """
    sign = -1 if score.higher_is_better else 1
    edge = f"{sign * margin:+.4g}{score.unit}"
    chosen = f"{margin:.4g}{score.unit}"
    opening = {
        "as_good": f"As good as a human within the chosen margin of {chosen}",
        "worse": f"Not as good as a human by the chosen margin of {chosen}",
        "cannot_tell": "Cannot tell whether the model is as good as a human",
    }[outcome]
    numbers = (
        f"the mean {score.name} of the model with an observer is {means[0]:.4g}{score.unit}, of "
        f"two observers {means[1]:.4g}{score.unit}"
    )
    if not varied:
        return (
            f"{opening}: {numbers}, so all observers drew the same masks and how far humans differ "
            "is not known."
        )
    low, high = difference.ci
    reach = interval_words(difference)
    if low == -math.inf and high == math.inf:
        return f"{opening}: {numbers}, and {reach} (chosen margin {chosen})."
    interval = f"the difference is {difference.mean:+.3g}, {reach}"
    end = {
        "as_good": f"all of it better than {edge}",
        "worse": f"all of it worse than {edge}",
        "cannot_tell": f"on both sides of {edge}, the margin that was chosen",
    }[outcome]
    if outcome == "as_good" and low * high > 0:
        better = (low > 0) == score.higher_is_better
        end += ", and even than 0" if better else ", though worse than 0"
    return f"{opening}: {numbers}; {interval}, {end}."
