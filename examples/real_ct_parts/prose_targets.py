"""The words about the two labelled sets; numbers come in from the run."""

from __future__ import annotations

from typing import Any

from muscletransfer.measures import HU_WINDOWS
from real_ct_parts.prose import count, last_gap, listed
from real_ct_parts.settings import ARMS, COPY, RANDOM, Settings
from real_ct_parts.summary import BOOTSTRAPS, chosen, over_runs

_LOW, _HIGH = HU_WINDOWS["muscle"]

CT_COLUMNS = (
    "Each run is first reduced to its median over the test slices; cells give the median over runs "
    "and, in brackets, the lowest and the highest run. Distances are RMS, pooled over both "
    "directions, in mm on the native grid. Muscle area is outline AND "
    f"{_LOW:.0f} to {_HIGH:.0f} HU; its error, the outline's and that of the mean muscle HU (SMD) "
    "are absolute. Clipping to the muscle window flatters areas, so look at the outline's as well. "
    "*Missed* counts empty predictions (Dice 0, no distance); a median that falls on one says "
    '"missed". The last column compares each run with '
    "the random one on the same slices and seed."
)


MR_DOTS = (
    "Each dot is one run, tested on another fold; the bar is the median over runs, the dashed line "
    "that of random weights."
)


def ct_design(results: dict[str, Any], settings: Settings) -> str:
    """Say how one patient was divided."""
    blocks = results["blocks"]
    seen = {level for block in blocks["levels"].values() for level in block}
    without = "" if "L3" in seen else ", none of them at L3"
    return (
        "**One patient, labels from a model (TotalSegmentator), not from a person.** Skeletal "
        f"muscle is labelled on {blocks['labelled']} slices{without}. Neighbours are "
        f"{blocks['step_mm']:.0f} mm apart and much alike, so the slices are dealt into two "
        f"blocks, {_block(blocks, 'lower')} and {_block(blocks, 'upper')}, with {blocks['gap']} "
        "slices left out between them: the nearest training and test slices are "
        f"{blocks['gap_mm']:.0f} mm apart. A run trains on n slices of one block and is "
        "tested on all slices of the other; there are no patient folds, "
        "and the ids by which the library splits are slices here. "
        f"{count(settings.ct_repeats, 'run')} for each of "
        f"{count(len(settings.ct_tests), 'test block')}, each with another draw of slices and "
        "another seed. The blocks lie at different levels, so "
        "this also asks a model to go from one level to another. The row *"
        f"{COPY}* copies the mask of the training slice that lies nearest: what needs no network."
    )


def _block(blocks: dict[str, Any], name: str) -> str:
    first, last = blocks["ranges"][name]
    return f"{first} to {last} ({', '.join(blocks['levels'][name])})"


def ct_dots(settings: Settings) -> str:
    """Explain the figure of runs."""
    return (
        "Each dot is one run; the bar is the median over runs, the dashed line that of random "
        f"weights. Runs of one block share the test slices ({settings.ct_repeats} each)."
    )


def longer(results: dict[str, Any], settings: Settings) -> str:
    """Say what more steps do to the gap between an arm and random weights."""
    run = results["longer"][0]
    return (
        "**Does the gap last?** Few steps favour weights that are already in order, so two arms "
        f"were also trained for {run['steps']} steps, at n = {run['n']} and with the first draw. "
        f"{last_gap(results, settings)}"
    )


def overlay(run: dict[str, Any]) -> str:
    """Explain the overlays."""
    return (
        f"The middle slice of the {run['test']} block, chosen by place and not by score, from the "
        f"runs with n = {run['n']} and the first draw. CT and reference: TotalSegmentator example, "
        "Apache-2.0."
    )


def mr_design(results: dict[str, Any], settings: Settings) -> str:
    """Say how the patients were divided."""
    runs = chosen(results["mr"], RANDOM, settings.mr_patients[0])
    tested = sum(len(run["cases"]) for run in runs)
    return (
        "One mid slice a patient, right ventricle, myocardium and left ventricle outlined by hand. "
        f"Patients are dealt into {settings.mr_folds} folds; repeat k tests on fold k, trains on n "
        "patients of the others (the smaller n within the larger) and has a seed of its own: "
        f"{count(len(runs), 'repeat')}, {tested} patients tested, each once an arm. "
        "The path is that of plain images with several classes: percentiles instead of a HU "
        "window, and no millimetres, since the pixel size is not known. "
        "Source and target differ in modality and "
        "preprocessing here; the library warns of that in every such run, and the run was meant."
    )


def mr_columns(results: dict[str, Any], settings: Settings) -> str:
    """Explain the table on MR, and say where more labels seem to hurt."""
    few, many = min(settings.mr_patients), max(settings.mr_patients)
    fallen = [
        arm.name
        for arm in ARMS
        if over_runs(chosen(results["mr"], arm.name, many), "dice")[0]
        < over_runs(chosen(results["mr"], arm.name, few), "dice")[0]
    ]
    noise = ""
    if fallen:
        noise = (
            f" From n = {few} to n = {many} the median falls for {listed(fallen)}: where more "
            "labels seem to hurt, that is the size of the noise."
        )
    return (
        "Dice and distance of a case are means over the three structures; a run is its median over "
        "the test patients, cells give the median over runs and the lowest and highest. Distances "
        "are in **pixels** of images of many sizes: compare them within a column only. *Missed* "
        "counts patients with a structure that was not found. The last column is the mean over "
        "patients of the difference to random weights on the same patient, subset and seed, with "
        f"an interval from {BOOTSTRAPS} bootstrap draws of patients. The interval does not hold "
        f"the spread over training subsets, which the few repeats cannot measure.{noise}"
    )
