"""Results of a study in sentences."""

from __future__ import annotations

from typing import Literal

from muscletransfer.study.statistics.saving import Factor

__all__ = ["at_the_same_number", "saving_sentence"]


def saving_sentence(
    name: str,
    factor: Factor,
    dice_range: tuple[float, float] | None,
    n: tuple[float, float],
    n_scratch: tuple[float, float],
) -> str:
    """Say what a source saves, without more certainty than there is.

    Args:
        name: Of the source.
        factor: Its headline.
        dice_range: The Dice that both curves reach, or ``None``.
        n: Fewest and most labels that were measured with the source.
        n_scratch: The same from scratch.

    Returns:
        One or two sentences.

    Example:
        >>> factor = Factor(2.0, "exact", 1.4, 3.1, 0.95)
        >>> print(saving_sentence("jigsaw", factor, (0.6, 0.8), (5, 50), (5, 50)))
        jigsaw: for the same Dice training from scratch needs 2 (95% interval 1.4 to 3.1) times the
        labelled patients, on average over Dice 0.600 to 0.800. Labels are saved.
    """
    if factor.bound == "unknown":
        why = "Dice does not rise with the number of labels where both were measured"
        if n_scratch[0] == n_scratch[1]:
            why = (
                f"training from scratch was measured at one n only, {n_scratch[0]:g}, and what the "
                "source needs for the same Dice is not known"
            )
        return f"{name}: how many labels it saves cannot be told, since {why}."
    if factor.bound == "at_least" and dice_range is None:
        text = (
            f"{name}: with {n[0]:g} labelled patients it is better than training from scratch with "
            f"{n_scratch[1]:g}, so scratch needs {factor} times the labels"
        )
    elif factor.bound == "at_most" and dice_range is None:
        text = (
            f"{name}: with {n[1]:g} labelled patients it is worse than training from scratch with "
            f"{n_scratch[0]:g}, so scratch needs {factor} times the labels"
        )
    else:
        text = f"{name}: for the same Dice training from scratch needs {factor} times the labelled "
        text += "patients"
        if dice_range is not None:
            text += f", on average over Dice {dice_range[0]:.3f} to {dice_range[1]:.3f}"
    if factor.few_patients:
        return f"{text}. Without an interval no saving is shown."
    if factor.low > 1:
        return f"{text}. Labels are saved."
    if factor.high < 1:
        return f"{text}. It costs labels instead of saving them."
    if at_the_same_number(factor) == "better":
        return f"{text}. How many labels that saves cannot be told from what was measured."
    if at_the_same_number(factor) == "worse":
        return f"{text}. How many labels that costs cannot be told from what was measured."
    return f"{text}. The interval holds 1, so no saving is shown."


def at_the_same_number(factor: Factor) -> Literal["better", "worse", ""]:
    """Whether a source is shown to be better or worse with one number of labels, and no more.

    Args:
        factor: Its headline.

    Example:
        >>> at_the_same_number(Factor(1.0, "at_least", 1.0, float("inf"), 0.95))
        'better'
    """
    if factor.bound == "at_least" and factor.value == factor.low == 1:
        return "better"
    return "worse" if factor.bound == "at_most" and factor.value == factor.high == 1 else ""
