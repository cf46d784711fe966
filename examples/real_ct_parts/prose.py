"""The words of the page; numbers come in from the run."""

from __future__ import annotations

import math
from typing import Any

from real_ct_parts.machine import told
from real_ct_parts.pretraining import CAMVID_IGNORE
from real_ct_parts.settings import ARMS, COPY, LONGER, RANDOM, Settings
from real_ct_parts.summary import (
    against_random,
    chosen,
    gaps,
    over_runs,
    patients_against_random,
    verdict,
)

QUICK = (
    "**This is the quick form: each run takes a few steps, so the scores only show that the page "
    "can be made.**"
)

INTRODUCTION = (
    "Four source tasks on real images, then fine-tuning on few real labels: muscle on the CT of "
    "one patient, and, since one patient cannot answer the question, the heart on MR of many. "
    "This page is written by the run itself; no number in it was typed by hand."
)


IMAGES = """\
None of the images is part of this project.

- Muscle on CT: the reference example of
  [TotalSegmentator](https://github.com/wasserth/TotalSegmentator) (Apache-2.0; Wasserthal et al.,
  Radiol Artif Intell 2023;5(5):e230024). The outlines in the figure are drawn on it.
- CT without labels: The Cancer Imaging Archive, CPTAC-PDA, CMB-CRC and LIDC-IDRI (CC BY), and a
  series of QIICR/dcmqi (BSD style).
- Street scenes: CamVid (CC BY-NC 4.0; Brostow et al. 2009). Photographs: a sample of ImageNet
  (ImageNet terms, research use; Deng et al. 2009). No picture of either is shown.
- Heart on MR: ACDC (Bernard et al., IEEE Trans Med Imaging 2018;37(11):2514), by way of
  HiLab-git/WSL4MIS; treated as CC BY-NC-SA, and not shown."""

_PARTS = ("pretext", "ct", "longer", "mr")
_TRANSFERRED = [arm.name for arm in ARMS if arm.source is not None]


def in_short(results: dict[str, Any], settings: Settings) -> str:
    """Say what came out, by rule: an arm differs where the interval excludes zero."""
    found = verdict(
        _TRANSFERRED,
        settings.mr_patients,
        lambda arm, n: patients_against_random(results["mr"], arm, n),
    )
    total = sum(map(len, found.values()))
    parts = [
        "- **Heart on MR, by patient.** Dice against random weights, judged by the 95 % interval "
        f"over patients: higher for {listed(found['better'])}; lower for "
        f"{listed(found['worse'])}; not clear for {len(found['unclear'])} of {total} comparisons. "
        f"Nothing was corrected for their number: by chance alone {0.05 * total:.1f} of {total} "
        f"would be clear. The frozen random encoder is {_control(results, settings)}."
    ]
    unlearnt = {f["task"] for f in results["pretext"] if not _learnt(f["task"], f["scores"])}
    idle: set[str] = set()
    for n in settings.ct_slices:
        runs = len(chosen(results["ct"], RANDOM, n))
        always, never = [], []
        for arm in _TRANSFERRED:
            better = against_random(results["ct"], arm, n)["better"]
            if better == runs:
                always.append(arm)
            elif better == 0:
                never.append(arm)
        idle |= {arm.name for arm in ARMS if arm.name in always and arm.source in unlearnt}
        copied = over_runs(chosen(results["ct"], COPY, n), "dice")[0]
        best = max([arm.name for arm in ARMS], key=lambda a: _middle(results, a, n))
        parts.append(
            f"- **Muscle on CT, one patient, n = {n} slices.** Median Dice "
            f"{_middle(results, RANDOM, n):.3f} from random weights, "
            f"{_middle(results, best, n):.3f} for the best arm ({best}), {copied:.3f} for copying "
            f"the nearest labelled slice. Above random in {_all(runs)}: {listed(always)}"
            + f"; in none of them: {listed(never)}" * bool(never)
            + "."
        )
    parts.append(f"- **More steps.** {last_gap(results, settings)}")
    if idle:
        parts.append(
            f"- **A caution.** Among the arms above random is {listed(sorted(idle))}, whose "
            "source task beat no answer without learning. So being above random on this CT does "
            "not show that a source task taught anything about images: weights that have "
            "been trained at all may be enough of a head start in so few steps."
        )
    parts.append(
        "- The best arm of a table is picked after the fact and looks better than it is; the "
        "differences beside it are the evidence."
    )
    return "\n".join(parts)


def _control(results: dict[str, Any], settings: Settings) -> str:
    name = next(arm.name for arm in ARMS if arm.frozen)
    found = verdict(
        [name], settings.mr_patients, lambda arm, n: patients_against_random(results["mr"], arm, n)
    )
    words = (("better", "higher"), ("worse", "lower"), ("unclear", "not clearly different"))
    return ", ".join(
        f"{word} at {' and '.join(text.split('(')[1].rstrip(')') for text in found[key])}"
        for key, word in words
        if found[key]
    )


def last_gap(results: dict[str, Any], settings: Settings) -> str:
    """Say how the gap to random weights changes with the number of steps."""
    other = next(name for name in LONGER if name != RANDOM)
    found = {
        key: ", ".join(f"{gap:+.3f} ({test})" for test, gap in values)
        for key, values in gaps(results, settings).items()
    }
    return (
        f"On CT the gap in Dice between {other} and random weights is {found['before']} after "
        f"{settings.ct_steps} steps and {found['after']} after {results['longer'][0]['steps']}, by "
        "the block that tests."
    )


def _middle(results: dict[str, Any], arm: str, n: int) -> float:
    return over_runs(chosen(results["ct"], arm, n), "dice")[0]


def _all(runs: int) -> str:
    return "the one run" if runs == 1 else f"all {runs} runs"


def count(number: int, what: str) -> str:
    """Return "1 run" or "2 runs"."""
    return f"{number} {what}" + "s" * (number != 1)


def listed(names: list[str]) -> str:
    """Return names in a row, or "none"."""
    return ", ".join(names) if names else "none"


def made(results: dict[str, Any], settings: Settings) -> str:
    """Say on what, with what and how long."""
    stages = [stage for part in _PARTS for stage in results[part]]
    seconds = sum(stage["seconds"] for stage in stages)
    runs = sum(len(results[part]) for part in _PARTS[1:])
    return (
        f"{told(stages, results['machine'])} "
        f"The stages took {seconds / 60:.0f} minutes of wall time when added up "
        f"({len(results['pretext'])} source tasks, {runs} runs on labelled images). "
        f"{results['kept']} of the {results['total']} were kept from earlier calls of the same "
        "command, with or without `--part`, by which stages run side by side.\n\n"
        f"U-Net on `{settings.encoder}` cut to {settings.depth} halvings, {settings.size} x "
        f"{settings.size} pixels, one channel, AdamW at {settings.lr:g} (jigsaw: half of it) with "
        f"warm-up and cosine. {settings.pretext_steps} steps a source task, "
        f"{settings.pretext_batch} images each ({settings.pretext_batch // 2} where a decoder is "
        f"trained); {settings.ct_steps} steps of {settings.finetune_batch} images on CT, "
        f"{settings.mr_steps} on MR. No label was spent on choosing a checkpoint: the last "
        "weights are scored, once. Settings were not searched; those of the MR part (its steps, no "
        "mirroring) were changed once, after a first trial too short for most arms, the random one "
        "among them, to find the right ventricle. The random arm, and the random "
        "encoder that stays frozen (a control), get the same steps."
    )


def source_tasks(results: dict[str, Any], settings: Settings, window: tuple[float, float]) -> str:
    """Say how the source tasks were scored."""
    by_name = {found["task"]: found for found in results["pretext"]}
    jigsaw = by_name["jigsaw"]
    learnt = [name for name, found in by_name.items() if _learnt(name, found["scores"])]
    return (
        f"CT: {jigsaw['train_images']} slices of {jigsaw['train_groups']} patients train, "
        f"{jigsaw['val_images']} slices of others are held out and cut into puzzles (or masked) "
        f"{settings.puzzle_draws} times. CamVid keeps its own training and validation frames, "
        f"value {CAMVID_IGNORE} ignored. Errors in HU are within the window "
        f"{window[0]:.0f} to {window[1]:.0f}. Held-out slices of so few patients give a sign of "
        "life, not a measurement; and a jigsaw solved well can have been solved by a shortcut.\n\n"
        f"Better than an answer without learning: {listed(learnt)}. Not better: "
        f"{listed([name for name in by_name if name not in learnt])}; an arm that starts from "
        "such weights shows what transfer does without a source task that was learnt."
    )


def _learnt(task: str, scores: dict[str, float]) -> bool:
    """Say whether every score beats the best answer that needs no learning."""
    if task == "jigsaw":
        return scores["accuracy"] > scores["chance"]
    if task == "reconstruction":
        guess = min(scores["hidden_error_constant"], scores["hidden_error_local"])
        return scores["hidden_error"] < guess and scores["psnr"] > scores["psnr_input"]
    if task == "segmentation":
        return scores["iou"] > scores["constant_iou"]
    return (
        scores["accuracy"] > scores["constant_accuracy"]
        and scores["macro_accuracy"] > scores["constant_macro_accuracy"]
    )


def not_shown(results: dict[str, Any], settings: Settings) -> str:
    """List what no reader should conclude."""
    most = max(found["train_images"] for found in results["pretext"])
    steps = math.ceil(settings.finetune_batch * settings.ct_steps / max(settings.ct_slices))
    return (
        "- **Nothing about L3 muscle in other people.** The CT is one patient; its runs are not "
        "independent, and no interval over patients can be given.\n"
        "- **Nothing about agreement with a person on CT.** The labels there are a model's, on "
        f"{results['blocks']['step_mm']:.0f} mm voxels, smoother than hand "
        "outlines; a high Dice is agreement with that model.\n"
        "- **Nothing about human level.** No second observer outlined any of these images.\n"
        "- **MR is not CT, and a heart is not muscle at L3.** The MR part asks whether transfer "
        "saves labels on real images drawn by people; its answer need not carry over.\n"
        "- **Not the paper's comparison.** A small encoder, at most "
        f"{settings.pretext_steps} steps and {most} source images a task, on a CPU, "
        "against large networks trained on whole data sets. "
        f"Fine-tuning is short too (each CT slice is seen about {steps} times at the larger n); "
        "with more steps arms may draw level or change places.\n"
        f"- **Few repeats** ({settings.ct_repeats} a CT block, {settings.mr_repeats} on MR) and "
        "**one pre-training run a source task**, so luck in pre-training is not measured.\n"
        "- **The source tasks saw different images**: natural images for segmentation and "
        "classification, few CT slices for jigsaw and reconstruction. A difference between arms "
        "can be the images' and not the task's.\n"
        "- **No claim from the best row.** Arms are many, and none was chosen beforehand."
    )
