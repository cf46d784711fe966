"""All stages in order: source tasks, fine-tuning on CT blocks, fine-tuning on cardiac MR."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

import muscletransfer as mt
from real_ct_parts.machine import describe_machine
from real_ct_parts.pretraining import pre_train
from real_ct_parts.settings import ARMS, COPY, LONGER, Settings
from real_ct_parts.stages import Result, Stages
from real_ct_parts.targets import (
    CT_OFFSET,
    MR_CLASSES,
    Blocks,
    copied_slices,
    ct_blocks,
    ct_data,
    mr_data,
)
from real_ct_parts.training import fine_tune, quiet

SOURCES = ("jigsaw", "reconstruction", "segmentation", "classification")
PARTS = ("all", "pretext", "ct", "mr")


def run_all(source: Path, folder: Path, settings: Settings, part: str = "all") -> Result:
    """Do every stage of a part that is not done yet, and return the results of all that are.

    Args:
        source: The folder of real images.
        folder: Weights, cache and the results of the stages go here.
        settings: Sizes of the run.
        part: ``pretext``, ``ct``, ``mr`` or ``all``.
    """
    ct_plan, mr_plan = list(_ct_plan(settings)), list(_mr_plan(settings))
    total = len(SOURCES) + len(ct_plan) * (part in ("all", "ct"))
    total += len(mr_plan) * (part in ("all", "mr"))
    longer = list(_longer_plan(settings))
    total += len(longer) * (part in ("all", "ct"))
    stages = Stages(folder / "stages", settings, total)
    results: dict[str, Any] = {"settings": settings.to_dict(), "ct": [], "mr": [], "longer": []}
    blocks = ct_blocks(source, settings, folder)
    with quiet():
        results["pretext"] = [
            stages.run(f"pretext {name}", lambda n=name: pre_train(n, source, settings, folder))
            for name in SOURCES
        ]
        if part in ("all", "ct"):
            for plan in ct_plan:
                results["ct"].append(_ct_stage(stages, blocks, settings, folder, plan))
            for plan in longer:
                results["longer"].append(_ct_stage(stages, blocks, settings, folder, plan))
        if part in ("all", "mr"):
            for plan in mr_plan:
                results["mr"].append(_mr_stage(stages, source, settings, folder, plan))
    results |= {"kept": stages.kept, "total": total}
    results |= {"blocks": blocks.described(), "machine": describe_machine()}
    return results


def _ct_plan(settings: Settings) -> Iterator[dict[str, Any]]:
    # repeats outermost: a run that is stopped has every arm, with fewer repeats
    for repeat in range(settings.ct_repeats):
        for test in settings.ct_tests:
            for count in settings.ct_slices:
                for arm in (COPY, *ARMS):
                    yield {"repeat": repeat, "test": test, "n": count, "arm": arm}


def _longer_plan(settings: Settings) -> Iterator[dict[str, Any]]:
    n, steps = max(settings.ct_slices), settings.ct_longer * settings.ct_steps
    for test in settings.ct_tests:
        for arm in ARMS:
            if arm.name in LONGER:
                yield {"repeat": 0, "test": test, "n": n, "arm": arm, "steps": steps}


def _mr_plan(settings: Settings) -> Iterator[dict[str, Any]]:
    for repeat in range(settings.mr_repeats):
        for count in settings.mr_patients:
            for arm in ARMS:
                yield {"repeat": repeat, "n": count, "arm": arm}


def _ct_stage(
    stages: Stages, blocks: Blocks, settings: Settings, folder: Path, plan: dict[str, Any]
) -> Result:
    arm, n, repeat, test = plan["arm"], plan["n"], plan["repeat"], plan["test"]
    name = arm if arm == COPY else arm.name
    steps = plan.get("steps", settings.ct_steps)
    extra = f" steps={steps}" if "steps" in plan else ""
    label = f"ct {name} n={n} test={test} repeat={repeat}{extra}"

    def work() -> Result:
        data = ct_data(blocks, settings, folder, test=test, slices=n, repeat=repeat, steps=steps)
        if arm == COPY:
            return _result(plan, name, copied_slices(data))
        shown = repeat == 0 and test == settings.ct_tests[-1] and n == max(settings.ct_slices)
        shown = shown and "steps" not in plan
        rows, masks = fine_tune(arm, data, settings, folder, steps=steps, seed=repeat, masks=shown)
        if masks:
            overlay_file(folder, name).parent.mkdir(parents=True, exist_ok=True)
            np.savez_compressed(
                overlay_file(folder, name), **{str(case): mask for case, mask in masks.items()}
            )
        return _result(plan, name, rows)

    return stages.run(label, work)


def _mr_stage(
    stages: Stages, source: Path, settings: Settings, folder: Path, plan: dict[str, Any]
) -> Result:
    arm, n, repeat = plan["arm"], plan["n"], plan["repeat"]

    def work() -> Result:
        data = mr_data(source, settings, folder, patients=n, repeat=repeat)
        rows, _ = fine_tune(
            arm,
            data,
            settings,
            folder,
            steps=settings.mr_steps,
            seed=repeat,
            num_classes=1 + len(MR_CLASSES),
            class_names=MR_CLASSES,
        )
        return _result(plan, arm.name, rows)

    return stages.run(f"mr {arm.name} n={n} repeat={repeat}", work)


def _result(plan: dict[str, Any], name: str, rows: list[dict[str, Any]]) -> Result:
    dice = float(np.median([row["dice"] for row in rows]))
    kept = {key: plan[key] for key in ("repeat", "test", "n", "steps") if key in plan}
    return {**kept, "arm": name, "cases": rows, "scores": {"median_dice": dice}}


def overlay_file(folder: Path, arm: str) -> Path:
    """Return where the predicted masks of an arm are kept for the figure."""
    return folder / "masks" / f"{arm.replace(' ', '_').replace(',', '')}.npz"


def read_overlay(source: Path, folder: Path, arm: str, case: int, settings: Settings) -> Any:
    """Return HU, reference and prediction of a case in the radiological view, and its slice.

    Args:
        source: The folder of real images.
        folder: The run's folder.
        arm: The arm.
        case: Row number of the blocks' manifest.
        settings: Sizes of the run.
    """
    row = ct_blocks(source, settings, folder).manifest.rows[case]
    ct = mt.read_ct(row.image)
    with np.load(overlay_file(folder, arm)) as masks:
        prediction = masks[str(case)]
    reference = mt.read_mask(row.mask, ct).labels[row.slice_index]
    # the file's rows may run either way; show the view radiologists know
    axes = [axis for axis, flip in enumerate(ct.flips) if flip]
    views = (np.flip(a, axes) for a in (ct.hu[row.slice_index], reference, prediction))
    return (*views, row.slice_index + CT_OFFSET)
