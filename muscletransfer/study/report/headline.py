"""The answers of a study in plain sentences, with no more certainty than there is."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

from muscletransfer.agreement.checks import percent
from muscletransfer.observers.scores import score_of
from muscletransfer.study.report.material import Material
from muscletransfer.study.statistics import LabelSaving, StudyAnalysis
from muscletransfer.study.statistics.label_saving import NO_SAVING
from muscletransfer.study.statistics.usefulness import NOT_USEFUL
from muscletransfer.study.statistics.wording import at_the_same_number

__all__ = ["Answer", "answers", "human_answer", "saving_answer", "what_is_missing"]


@dataclass(frozen=True)
class Answer:
    """One answer.

    Args:
        question: What is answered.
        lead: The answer in a sentence.
        more: Sentences behind it.
        tone: ``"good"``, ``"bad"`` or empty where it cannot be told.
    """

    question: str
    lead: str
    more: tuple[str, ...] = ()
    tone: str = ""

    def html(self) -> str:
        """Return the answer as HTML."""
        items = "".join(f"<li>{escape(words)}</li>" for words in self.more)
        more = f"<details><summary>Source by source</summary><ul>{items}</ul></details>"
        if len(self.more) == 1:
            more = f"<p>{escape(self.more[0])}</p>"
        return (
            f'<section class="answer {self.tone}"><h2>{escape(self.question)}</h2>'
            f'<p class="lead">{escape(self.lead)}</p>' + (more if self.more else "") + "</section>"
        )


def answers(material: Material) -> list[Answer]:
    """Answer the two questions of a study, and say what it cannot show.

    Args:
        material: The study.
    """
    analysis = material.analysis
    if analysis is None:
        done = "No run is finished yet, so there is nothing to tell."
        return [Answer("Which source saves labels?", done)]
    return [saving_answer(analysis), human_answer(analysis)]


def saving_answer(analysis: StudyAnalysis) -> Answer:
    """Which source saves labels."""
    question = "Which source saves labels?"
    begun = tuple(note for note in analysis.notes if NO_SAVING in note)
    if begun and not analysis.saving:
        why = "too few patients were tested both with a source and from scratch"
        return Answer(question, f"It cannot be told yet: {why}.", begun)
    if not analysis.saving:
        return Answer(
            question,
            f"It cannot be told: no finished run starts from scratch ({analysis.reference!r}) with "
            "an encoder and decoder that another source has too.",
        )
    saved = [s for s in analysis.saving if s.headline.low > 1]
    cost = [s for s in analysis.saving if s.headline.high < 1]
    rest = [s for s in analysis.saving if s not in saved]
    more = tuple(s.sentence for s in [*saved, *rest])
    if saved:
        return _saved(question, analysis, saved, more)
    better, worse = (
        [_name(analysis, s) for s in rest if at_the_same_number(s.headline) == how]
        for how in ("better", "worse")
    )
    lead = "None is shown to save labels."
    if better:
        lead = (
            f"How many labels are saved cannot be told: {_list(better)} did better than training "
            "from scratch with the same number, and how many scratch needs for that was not "
            "measured."
        )
    if worse:
        lead += f" {_list(worse)} did worse than from scratch with the same number."
    if cost:
        lead += f" {_list([_name(analysis, s) for s in cost])} cost labels instead."
    return Answer(question, lead, more, "bad" if cost else "")


def _saved(
    question: str, analysis: StudyAnalysis, saved: Sequence[LabelSaving], more: tuple[str, ...]
) -> Answer:
    """Name what saves labels; one is said to save the most only where no other may save more."""
    best = max(saved, key=lambda s: s.headline.low)
    most = all(s.headline.high < best.headline.low for s in analysis.saving if s is not best)
    if most or len(saved) == 1:
        verb = "saves the most" if most and len(analysis.saving) > 1 else "saves labels"
        lead = f"{_name(analysis, best)} {verb}: from scratch it takes {_times(best)}."
        others = [f"{_name(analysis, s)} ({_short(s)})" for s in saved if s is not best]
        lead += f" Labels are saved by {_list(others)} too." if others else ""
        lead += "".join(f" Yet {note}." for note in _poor(best))
        return Answer(question, lead, more, "" if _poor(best) else "good")
    each = [f"{_name(analysis, s)} ({_short(s)}, {_interval(s)})" for s in saved]
    lead = (
        f"Labels are saved by {_list(each)}: so many times the labelled patients it takes from "
        "scratch for the same Dice. Which of them saves the most is not tested, and nothing is "
        "adjusted for their number."
    )
    poor = [f"with {_name(analysis, s)} {note}" for s in saved for note in _poor(s)]
    lead += f" Yet {'; '.join(poor)}." if poor else ""
    return Answer(question, lead, more, "" if all(_poor(s) for s in saved) else "good")


def human_answer(analysis: StudyAnalysis) -> Answer:
    """With how many labels a model is as good as a person."""
    question = "With how many labels is a model as good as a person?"
    human = analysis.human
    if human is None:
        return Answer(
            question,
            "It cannot be told: there are no observers' outlines to compare with.",
            ("Give data.observers, a manifest of outlines by two observers or more.",),
        )
    score = score_of(human.metric)
    within = f"within {human.margin:g}{score.unit} of {score.name} of another observer"
    passing = sorted((n, analysis.labels[a]) for a, n in human.smallest_n.items() if n is not None)
    if human.structure:
        within = f"{human.structure}, {within}"
    more = tuple(human.sentences.values())
    if passing:
        fewest = passing[0][0]
        names = _list([name for n, name in passing if n == fewest])
        lead = f"{fewest} labelled patients, with {names} ({within})."
        if len(human.smallest_n) > 1:
            lead += (
                f" That is the best of {len(human.smallest_n)} sources, each tested by itself; "
                "nothing is adjusted for the choice."
            )
        return Answer(question, lead, more, "good")
    largest = max(verdict.n for verdict in human.verdicts)
    at_most = [v.outcome for v in human.verdicts if v.n == largest]
    if all(outcome == "worse" for outcome in at_most):
        lead = f"None is, up to {largest} labelled patients ({within})."
        return Answer(question, lead, more, "bad")
    lead = f"It cannot be told: up to {largest} labelled patients no model is shown to be {within}."
    return Answer(question, lead, more)


def what_is_missing(material: Material) -> list[str]:
    """What a reader has to know before believing the answers, in sentences."""
    found = []
    if material.is_synthetic:
        found.append(
            "The data are synthetic: a computer-drawn phantom and simulated observers. Nothing "
            "here is a finding about patients."
        )
    total = len(material.current.ids("run"))
    done = len(material.results.runs)
    if done < total:
        found.append(
            f"The study is not finished: {done} of {total} runs are in this report, so every "
            "number may still change."
        )
    analysis = material.analysis
    if analysis is not None:
        if analysis.dta_unit == "px":
            found.append("The pixel spacing is not known: distances are in pixels.")
        if material.results.table["sma_reference_cm2"].isna().all():
            found.append("Without HU and millimetres there are no muscle area and density.")
    found += [f"{note.rstrip('.')}." for note in material.current.config.get("notes", ())]
    return [*found, *material.notes]


def _name(analysis: StudyAnalysis, saving: LabelSaving) -> str:
    return analysis.labels[saving.arm]


def _poor(saving: LabelSaving) -> list[str]:
    return [note for note in saving.notes if NOT_USEFUL in note]


def _times(saving: LabelSaving) -> str:
    at_least = "at least " if saving.headline.bound == "at_least" else ""
    return (
        f"{at_least}{saving.headline.value:.3g} times as many labelled patients for the same Dice "
        f"({_interval(saving)})"
    )


def _interval(saving: LabelSaving) -> str:
    factor = saving.headline
    reach = (
        f"{factor.low:.3g} or more" if factor.high == float("inf")
        else f"{factor.low:.3g} to {factor.high:.3g}"
    )  # fmt: skip
    return f"{percent(factor.confidence)} interval {reach}"


def _short(saving: LabelSaving) -> str:
    sign = "\u2265\u00a0" if saving.headline.bound == "at_least" else ""
    return f"{sign}{saving.headline.value:.3g}\u00d7"


def _list(names: Sequence[str]) -> str:
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"
