"""Real exports and volumes, in a folder that the environment names; skipped without it."""

from __future__ import annotations

import os
from pathlib import Path

import nibabel as nib
import numpy as np
import pydicom
import pytest
from ct_exports import problems_of

from muscletransfer.data import Manifest, PreprocessingSpec, SliceCache, read_ct
from muscletransfer.data.dicom.series_list import read_list
from muscletransfer.data.indexing import index_images
from muscletransfer.data.manifest.slices import expand_slices

VARIABLE = "MUSCLETRANSFER_REAL_DATA"
ROOT = Path(os.environ.get(VARIABLE, ""))

pytestmark = pytest.mark.skipif(
    not os.environ.get(VARIABLE), reason=f"{VARIABLE} names no folder of real images"
)


def test_both_dicom_series_and_all_nifti(tmp_path: Path) -> None:
    sources = [ROOT / n for n in ("ct_dicom", "ct_unlabelled", "ct_totalsegmentator_example")]
    found = index_images(
        sources,
        tmp_path / "manifest.csv",
        pixels="all",
        workers=2,
        patient="(cmb_crc|lidc_idri|ct_totalsegmentator)",
    )
    assert (found.rows, found.patients) == (6, 5)
    manifest = Manifest.read(found.manifest)
    seen = set()
    for row in manifest:
        volume = read_ct(row.image)
        assert volume.num_slices == int(row.extra["slices"])
        if row.image.suffix == ".json":
            files = read_list(row.image).files
            datasets = [pydicom.dcmread(file) for file in files]
            expected = np.stack(
                [
                    d.pixel_array * float(d.RescaleSlope) + float(d.RescaleIntercept)
                    for d in datasets
                ]
            )
            places = [float(d.ImagePositionPatient[2]) for d in datasets]
            assert places == sorted(places)
            name = files[0].parent.name
            assert name.encode() not in found.manifest.read_bytes()
        else:
            expected = np.asarray(nib.load(row.image).dataobj).transpose(2, 1, 0)
            name = row.image.name
        np.testing.assert_allclose(volume.hu, expected, atol=1e-3)
        seen.add(name)
    assert len(seen) == 6
    left = {
        Path(r["file"]).name for r in problems_of(found.problems_csv) if r["outcome"] != "check"
    }
    assert left == {
        "labels.json",
        "skeletal_muscle_upper30.nii.gz",
        "subcutaneous_fat_upper30.nii.gz",
        "torso_fat_upper30.nii.gz",
        "total_multilabel.nii.gz",
        "vertebrae_multilabel.nii.gz",
    }
    cache = SliceCache.open_or_build(
        expand_slices(manifest, 10), PreprocessingSpec(size=64), tmp_path / "c", need_masks=False
    )
    assert len(cache) > 15
