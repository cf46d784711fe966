"""Measures and an observer study on a real CT, in a folder that the environment names."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk

from muscletransfer.data import Manifest, ManifestRow, read_ct, read_mask
from muscletransfer.data.synthetic import OBSERVERS, simulate_observer
from muscletransfer.measures import measure_manifest
from muscletransfer.observers import human_level, measure_spread, observer_study

VARIABLE = "MUSCLETRANSFER_REAL_DATA"
FOLDER = Path(os.environ.get(VARIABLE, "")) / "ct_totalsegmentator_example"

pytestmark = pytest.mark.skipif(
    not os.environ.get(VARIABLE) or not FOLDER.exists(),
    reason=f"{VARIABLE} names no folder with ct_totalsegmentator_example",
)
IMAGE, MASK = "ct_upper30.nii.gz", "skeletal_muscle_upper30.nii.gz"


def test_every_slice_equals_simpleitk():
    rows = [ManifestRow("R1", FOLDER / IMAGE, FOLDER / MASK, slice_index=k) for k in range(30)]
    table = measure_manifest(Manifest(tuple(rows)))
    assert (table["problem"] == "").all()
    hu, mask = sitk.ReadImage(str(FOLDER / IMAGE)), sitk.ReadImage(str(FOLDER / MASK))
    hu = sitk.Cast(hu, sitk.sitkFloat64)
    muscle = sitk.Cast(mask == 1, sitk.sitkUInt8) & sitk.BinaryThreshold(hu, -29, 150, 1, 0)
    pixel = np.prod(hu.GetSpacing()[:2]) / 100
    statistics = sitk.LabelStatisticsImageFilter()
    for k, row in enumerate(table.to_dict("records")):
        statistics.Execute(hu[:, :, k], muscle[:, :, k])
        assert row["sma_cm2"] == pytest.approx(statistics.GetCount(1) * pixel, rel=1e-6)
        assert row["smd_hu"] == pytest.approx(statistics.GetMean(1), rel=1e-6)
    assert table["sma_cm2"].between(40, 250).all()
    assert (table["sma_cm2"] <= table["sma_outline_cm2"]).all()


def test_a_study_of_one_patients_slices_cannot_tell():
    image, labels = read_ct(FOLDER / IMAGE), read_mask(FOLDER / MASK)
    spacing = image.slice_spacing
    masks, model, hu = {}, {}, {}
    for k in (0, 4, 8, 12):
        own = labels.labels[k] == 1
        drawn = [simulate_observer(own, spacing, who, seed=k) for who in OBSERVERS[:4]]
        masks[f"s{k}"] = dict(zip("ABC", drawn[1:], strict=True))
        model[f"s{k}"], hu[f"s{k}"] = drawn[0], image.hu[k]
    study = observer_study(
        masks,
        dict.fromkeys(masks, spacing),
        model=model,
        hu=hu,
        patients=dict.fromkeys(masks, "R1"),
    )
    found = human_level(study, 0.02)
    assert (found.outcome, found.difference.n_patients) == ("cannot_tell", 1)
    assert 0.8 < found.observer_observer < 1
    spread = measure_spread(study)
    assert (spread["smd_sd_hu"] < 10).all()
    assert (spread["sma_sd_cm2"] > 0).all()
