"""L3 on a real CT, in a folder that the environment names; skipped, saying so, without it."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest
import SimpleITK as sitk

from muscletransfer.data.levels import find_level
from muscletransfer.data.outlines import label_names
from muscletransfer.data.outlines.names import TOTALSEGMENTATOR

VARIABLE = "MUSCLETRANSFER_REAL_DATA"
ROOT = Path(os.environ.get(VARIABLE, "")) / "ct_totalsegmentator_example"

pytestmark = pytest.mark.skipif(
    not os.environ.get(VARIABLE) or not ROOT.is_dir(),
    reason=f"{VARIABLE} names no folder with ct_totalsegmentator_example",
)


def test_middle_of_l3_of_a_real_patient(tmp_path: Path) -> None:
    known = json.loads((ROOT / "labels.json").read_text())
    low, high = known["vertebra_slice_ranges"]["L3"]
    labels = ROOT / "vertebrae_multilabel.nii.gz"
    level = find_level(ROOT / "ct.nii.gz", labels=labels, neighbours=2)
    assert low + 4 < level.slice_index < high - 2  # inside, and above the spinous process
    assert level.warnings == ()
    flipped = tmp_path / "flipped.mha"
    sitk.WriteImage(sitk.DICOMOrient(sitk.ReadImage(str(ROOT / "ct.nii.gz")), "RAI"), str(flipped))
    turned = find_level(flipped, labels=labels, neighbours=2)
    assert turned.height_mm == pytest.approx(level.height_mm, abs=1e-3)
    order = [
        find_level(ROOT / "ct.nii.gz", labels=labels, vertebra=f"vertebrae_L{k}").height_mm
        for k in (5, 4, 3, 2, 1)
    ]
    assert order == sorted(order)


def test_the_names_of_a_real_label_map_are_those_of_the_table() -> None:
    assert label_names(ROOT / "total_multilabel.nii.gz") == TOTALSEGMENTATOR
