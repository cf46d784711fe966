"""The two labelled sets: slices of one CT patient in two blocks, and cardiac MR of many."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

import muscletransfer as mt
from muscletransfer.data import Augmentation, Manifest, ManifestRow, PreprocessingSpec
from muscletransfer.metrics import dice, distance_to_agreement
from real_ct_parts.settings import Settings

CT_IMAGE = "ct_totalsegmentator_example/ct_upper30.nii.gz"
CT_MASK = "ct_totalsegmentator_example/skeletal_muscle_upper30.nii.gz"
CT_OFFSET = 82
"""Index of the first labelled slice in the whole volume."""

MR_CLASSES = ["right ventricle", "myocardium", "left ventricle"]
BLOCKS = ("lower", "upper")


@dataclass(frozen=True)
class Blocks:
    """The labelled slices of the CT volume, by block.

    Args:
        manifest: One row a slice; the column ``block`` says where it belongs.
        spacing_mm: Distance of neighbouring slices.
        gap: Slices left out between the blocks.
        vertebrae: First and last slice of each vertebra, in the whole volume.
    """

    manifest: Manifest
    spacing_mm: float
    gap: int
    vertebrae: dict[str, list[int]]

    def described(self) -> dict[str, Any]:
        """Return the design in numbers, slices counted in the whole volume."""
        ranges: dict[str, list[int]] = {}
        levels: dict[str, list[str]] = {}
        for block in BLOCKS:
            index = [r.slice_index + CT_OFFSET for r in self.manifest.where(block=block).rows]
            ranges[block] = [min(index), max(index)]
            levels[block] = [
                name
                for name, (first, last) in self.vertebrae.items()
                if first <= max(index) and last >= min(index)
            ]
        distance = self.spacing_mm * (ranges["upper"][0] - ranges["lower"][1])
        return {
            "ranges": ranges,
            "levels": levels,
            "labelled": len(self.manifest) + self.gap,
            "gap": self.gap,
            "gap_mm": distance,
            "step_mm": self.spacing_mm,
        }


def ct_blocks(source: Path, settings: Settings, folder: Path) -> Blocks:
    """Deal the labelled slices into two blocks with a gap between them.

    All are of one patient. Splits go by ``patient_id``, and reading a manifest refuses one volume
    under several ids, rightly: they would not be several people. Here the design is within one
    patient, and says so: the rows are made in memory, their ids are slices, and the library's folds
    come from the column ``block``, so that no slice is trained on within the gap of a test slice.

    Args:
        source: The folder of real images.
        settings: Sizes of the run.
        folder: Where the rows are written down, for the record.
    """
    image, mask = source.resolve() / CT_IMAGE, source.resolve() / CT_MASK
    ct = mt.read_ct(image)
    side = (ct.num_slices - settings.ct_gap) // 2
    chosen = {
        "lower": range(side),
        "upper": range(ct.num_slices - side, ct.num_slices),
    }
    rows = [
        ManifestRow(
            f"slice-{k + CT_OFFSET:03d}", image, mask, slice_index=k, extra={"block": block}
        )
        for block, indices in chosen.items()
        for k in indices
    ]
    path = folder / "ct_slices_of_one_patient.csv"
    manifest = Manifest(tuple(rows), path)
    manifest.write(path)
    gap = ct.num_slices - 2 * side
    labels = json.loads((image.parent / "labels.json").read_text())
    return Blocks(manifest, float(ct.spacing[0]), gap, labels["vertebra_slice_ranges"])


def ct_data(
    blocks: Blocks,
    settings: Settings,
    folder: Path,
    *,
    test: str,
    slices: int,
    repeat: int,
    steps: int,
) -> mt.LowDataModule:
    """Return the data of one run: so many slices of one block train, all of the other test.

    Args:
        blocks: The labelled slices.
        settings: Sizes of the run.
        folder: The run's folder.
        test: The block that tests.
        slices: Training slices.
        repeat: Which draw of them.
        steps: Optimisation steps of the run, one epoch.
    """
    return mt.LowDataModule(
        blocks.manifest,
        train_patients=slices,
        fold=BLOCKS.index(test),
        fold_column="block",
        val_patients=0,
        repeat=repeat,
        seed=0,
        preprocessing=PreprocessingSpec(size=settings.size),
        batch_size=settings.finetune_batch,
        steps_per_epoch=steps,
        cache_dir=folder / "cache",
    )


def mr_data(
    source: Path, settings: Settings, folder: Path, *, patients: int, repeat: int
) -> mt.LowDataModule:
    """Return the data of one run on cardiac MR: repeat k tests on fold k.

    Args:
        source: The folder of real images.
        settings: Sizes of the run.
        folder: The run's folder.
        patients: Training patients, one slice each.
        repeat: Which fold tests.
    """
    return mt.LowDataModule(
        source / "mr_cardiac_acdc" / "manifest.csv",
        where={"role": "primary"},
        train_patients=patients,
        fold=repeat,
        num_folds=settings.mr_folds,
        val_patients=0,
        seed=0,
        num_classes=1 + len(MR_CLASSES),
        # percentiles of each image: MR intensities have no unit
        preprocessing=PreprocessingSpec(
            size=settings.size, hu_window=None, percentiles=(1.0, 99.0)
        ),
        batch_size=settings.finetune_batch,
        # a heart is no mirror image of itself: the default flip would move the right ventricle
        augmentation=Augmentation(flip=0.0),
        steps_per_epoch=settings.mr_steps,
        cache_dir=folder / "cache",
    )


def copied_slices(data: mt.LowDataModule) -> list[dict[str, Any]]:
    """Score the mask of the nearest training slice, copied: what no network has to learn.

    Args:
        data: The data of a run on the CT blocks.

    Returns:
        Rows as `SegmentationFineTuner.case_table` has them.
    """
    data.setup("test")
    assert data.split is not None
    rows = {row.patient_id: (case, row) for case, row in enumerate(data.manifest.rows)}
    _, first = next(iter(rows.values()))
    ct = mt.read_ct(first.image)
    masks = mt.read_mask(first.mask, ct).labels
    spacing = ct.slice_spacing
    assert spacing is not None
    known = [rows[name][1].slice_index for name in data.split.train]
    table = []
    for name in data.split.test:
        case, row = rows[name]
        nearest = min(known, key=lambda k: abs(k - row.slice_index))
        guess, truth, hu = masks[nearest], masks[row.slice_index], ct.hu[row.slice_index]
        found = mt.muscle_measures(hu, guess, spacing)
        wanted = mt.muscle_measures(hu, truth, spacing)
        table.append(
            {
                "case": case,
                "dice": dice(guess, truth),
                "dta_rms_mm": distance_to_agreement(guess, truth, spacing),
                "failed": not np.any(guess),
                "area_cm2": found["sma_outline_cm2"],
                "reference_area_cm2": wanted["sma_outline_cm2"],
                "sma_cm2": found["sma_cm2"],
                "reference_sma_cm2": wanted["sma_cm2"],
                "smd_hu": found["smd_hu"],
                "reference_smd_hu": wanted["smd_hu"],
            }
        )
    return table
