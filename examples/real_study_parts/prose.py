"""The words of a study's part of the page; numbers come in from the study."""

from __future__ import annotations

import json
from pathlib import Path

from muscletransfer.study import StudyConfig
from muscletransfer.study.statistics import StudyAnalysis
from real_study_parts.tables import pairs_with_random

TITLES = {
    "phantom": "The paper's protocol on a synthetic cohort",
    "cardiac_mr": "Cardiac MR outlined by people: does a source task save labels?",
}

QUICK = (
    "**This is the quick form: each run takes a few steps, so the scores only show that the page "
    "can be made.**"
)

INTRODUCTIONS = {
    "phantom": "McSweeney et al. (Med Phys 2022, doi 10.1002/mp.15533) compared source tasks by "
    "the labels they save in muscle segmentation at L3, beside ten radiographers. Here the same "
    "protocol runs on **synthetic** images: it shows what the study does and whether it can tell "
    "sources apart, and nothing about real CT.",
    "cardiac_mr": "The one set of real images at hand with many patients and outlines by people: "
    "cardiac MR, one mid slice of each patient, with right ventricle, myocardium and left "
    "ventricle outlined by hand and checked by two experts (ACDC).",
}

LEARNED = (
    "Scores on images held out from the source task. Where a task shows patients of the study it "
    "is trained once a fold, without those who test; the outlines of the study are never handed to "
    "it."
)
LITTLE = 0.03
"""Gain in Dice by more labels below which a study has little to say on saving them."""
NO_ROOM = (
    " That is little: image size and training steps limit these models more than labels do, so "
    "differences between starts are small whatever their factor, and a factor of this study says "
    "little about labels."
)
HARDLY = 0.25
"""Accuracy of a jigsaw below which it was hardly learned; guessing gets 1 of its permutations."""
NO_SAVING = "No start has a learning curve to compare with that of random weights."
SAVING = (
    "The factor says how many times as many labelled patients random weights need for the same "
    "mean Dice, as a geometric mean over the Dice that both curves reach; 1 saves nothing, below 1 "
    "costs labels. Intervals are over patients, and over repeats where there are several."
)
HUMAN = (
    "Means over patients. A model is *as good* where the whole interval of (model with observers) "
    "minus (observers among themselves) lies above minus the margin, *worse* where it lies below."
)


def in_short(analysis: StudyAnalysis) -> str:
    """Say what came out, by rule: a factor counts whose interval excludes 1, a test Holm upholds.

    Args:
        analysis: The statistics.
    """
    parts = []
    saved = [one for one in analysis.saving if one.headline.low > 1]
    cost = [one for one in analysis.saving if one.headline.high < 1]
    open_ = [one for one in analysis.saving if one not in saved and one not in cost]
    for words, ones in (
        ("Saves labels", saved),
        ("Costs labels", cost),
        ("Not shown to save labels", open_),
    ):
        names = [f"{analysis.labels[one.arm]} ({one.headline})" for one in ones]
        parts.append(f"- **{words}:** {'; '.join(names) or 'none'}.")
    table = pairs_with_random(analysis)
    for words, side in (("better", "first"), ("worse", "second")):
        found = table[table["better"] == side]
        names = [f"{row.first} (n = {row.n})" for row in found.itertuples()]
        parts.append(
            f"- **{words.capitalize()} than random weights at the same n** (paired Wilcoxon test "
            f"over patients, Holm over all pairs and n): {len(found)} of {len(table)} comparisons"
            + (f": {', '.join(names)}." if names else ".")
        )
    gain = _gain_from_labels(analysis)
    parts.append(
        f"- **Room for saving:** from {analysis.ns[0]} to {analysis.ns[-1]} labelled patients "
        f"random weights gain {gain:+.3f} mean Dice." + (NO_ROOM if gain < LITTLE else "")
    )
    if analysis.human is not None:
        parts.append(f"- **Beside {len(analysis.human.observers)} observers.** {_human(analysis)}")
    return "\n".join(parts)


def _gain_from_labels(analysis: StudyAnalysis) -> float:
    """Mean Dice of random weights with the most labels minus that with the fewest."""
    table = analysis.summary
    mine = table[(table["metric"] == "dice") & (table["source"] == analysis.reference)]
    means = mine.set_index("n")["mean"]
    return float(means[analysis.ns[-1]] - means[analysis.ns[0]])


def _human(analysis: StudyAnalysis) -> str:
    """Group the starts by the fewest labels whose model is as good as an observer."""
    assert analysis.human is not None
    by_n: dict[int | None, list[str]] = {}
    for arm, n in analysis.human.smallest_n.items():
        by_n.setdefault(n, []).append(analysis.labels[arm])
    words = [
        f"from n = {n} labelled patients on: {', '.join(by_n[n])}"
        for n in sorted(n for n in by_n if n is not None)
    ]
    if None in by_n:
        words.append(f"with none that was tried: {', '.join(by_n[None])}")
    margin = f"within the chosen margin of {analysis.human.margin:g} Dice"
    return f"As good as an observer, {margin}, " + "; ".join(words) + "."


def learned(rows: list[dict[str, str]]) -> str:
    """Say what the scores of the source tasks mean, and which task was hardly learned."""
    scores = [float(row["held out"]) for row in rows if row["source task"] == "jigsaw"]
    if scores and max(scores) < HARDLY:
        return (
            f"{LEARNED} **The jigsaw was hardly learned** in so few steps on these images "
            f"(accuracy {min(scores):.3f} to {max(scores):.3f}): its row below says what such "
            "weights do, and nothing about solving jigsaws."
        )
    return LEARNED


def made(config: StudyConfig, folder: Path, analysis: StudyAnalysis) -> str:
    """Describe machine, settings and time.

    Args:
        config: The study.
        folder: Its folder.
        analysis: The statistics.
    """
    results = [
        json.loads(path.read_text(encoding="utf-8"))
        for kind in ("pretexts", "runs")
        for path in sorted((folder / kind).glob("*/result.json"))
    ]
    hours = sum(r["seconds"] for r in results) / 3600
    versions = sorted({", ".join(f"{n} {v}" for n, v in r["versions"].items()) for r in results})
    encoder = config.encoders[0]
    devices, precisions, threads = (
        ", ".join(sorted({str(r[key]) for r in results}))
        for key in ("device", "precision", "threads")
    )
    pretexts = len(list((folder / "pretexts").glob("*/result.json")))
    return (
        f"{pretexts} pre-trainings and {analysis.n_runs} runs, {hours:.1f} hours of one worker "
        f"({devices}, {precisions}, {threads} thread(s); processor and load were not recorded). "
        f"U-Net on `{encoder.name}` cut to {encoder.depth} halvings, "
        f"{config.data.preprocessing.size} pixels a side, one channel; "
        f"{config.finetune.steps} steps of {config.finetune.batch_size} images for every n, AdamW "
        f"at {config.finetune.lr:g} with warm-up and cosine; {config.data.num_folds} folds, "
        f"{config.repeats} draw(s) of the nested subsets in each. The last weights are tested, so "
        "no label was spent on choosing a checkpoint, and no setting was searched. "
        + "; ".join(versions)
        + "."
    )


def columns(analysis: StudyAnalysis) -> str:
    """Explain the columns of the table."""
    unit = {
        "px": " Distances are in **pixels** of images of many sizes, since their spacing is not "
        "known: compare them within a column only.",
        "mm": " Distances are RMS, pooled over both directions, in mm on the native grid.",
    }[analysis.dta_unit]
    return (
        f"Every figure is over {analysis.n_patients} patients, each tested in one fold; a "
        "patient's value is the mean over repeats and structures. *Missed* counts empty "
        "predictions (Dice 0, no distance) among all results. The last column is the mean paired "
        "difference with its bootstrap interval over patients; p is Wilcoxon's after Holm." + unit
    )


def not_shown(name: str, config: StudyConfig, analysis: StudyAnalysis) -> str:
    """Say plainly what the study cannot show."""
    both = [
        f"**Not the paper's networks.** A small encoder, {config.finetune.steps} steps of "
        f"fine-tuning and {max(s.pretext.steps for s in config.sources if s.pretext)} of "
        "pre-training, on a CPU. With longer training the starts may draw level or change places.",
        "**One pre-training a source task and fold**: the luck of pre-training is in no interval.",
        "**The source tasks saw different images.** A difference can be the images' and not the "
        "task's.",
        "**ImageNet and COCO weights are not compared**: they have to be fetched, and the machine "
        "had no network.",
    ]
    own = {
        "phantom": [
            "**Nothing about real CT.** Patients, observers and scanners are drawn by a computer; "
            "a phantom is easier and more alike than people are.",
            "**No word on radiographers.** The observers are simulated with a bias and a spread "
            "each, chosen and not measured.",
            f"**{config.repeats} draw of training patients a fold**, so the spread over draws is "
            "only seen between folds.",
        ],
        "cardiac_mr": [
            "**No CT, no skeletal muscle, no millimetres.** It can show whether transfer saves "
            "labels on real images outlined by people; its answer need not carry over to L3.",
            "**Nothing about human level**: one outline an image.",
            f"**{analysis.n_patients} patients**: small differences cannot be told from none.",
        ],
    }[name]
    return "\n".join(f"- {words}" for words in [*own, *both])
