"""Real scanners' files, in a folder that the environment names; skipped, saying so, without it."""

from __future__ import annotations

import os
from pathlib import Path

import nibabel as nib
import numpy as np
import pydicom
import pytest

from muscletransfer.data import (
    Manifest,
    ManifestRow,
    PreprocessingSpec,
    SliceCache,
    read_ct,
    read_image,
    read_mask,
    read_volume,
    write_mask,
)
from muscletransfer.errors import GeometryError

VARIABLE = "MUSCLETRANSFER_REAL_DATA"
ROOT = Path(os.environ.get(VARIABLE, ""))

pytestmark = pytest.mark.skipif(
    not os.environ.get(VARIABLE), reason=f"{VARIABLE} names no folder of real images"
)


def need(name: str) -> Path:
    path = ROOT / name
    if not path.exists():
        pytest.skip(f"{VARIABLE} has no {name}")
    return path


@pytest.mark.parametrize(
    ("name", "gap"), [("ct_dicom/C3L-00189", 5.0), ("ct_dicom/dcmqi_3slice", 1.0)]
)
def test_dicom_series_equals_pydicom(name: str, gap: float) -> None:
    folder = need(name)
    ct = read_ct(folder)
    files = sorted(
        (pydicom.dcmread(p) for p in folder.glob("*.dcm")),
        key=lambda ds: float(ds.ImagePositionPatient[2]),
    )
    expected = np.stack(
        [ds.pixel_array * float(ds.RescaleSlope) + float(ds.RescaleIntercept) for ds in files]
    )
    np.testing.assert_array_equal(ct.hu, expected)
    assert ct.spacing == pytest.approx((gap, *map(float, files[0].PixelSpacing)), rel=1e-6)
    assert ct.origin == pytest.approx([float(v) for v in files[0].ImagePositionPatient])
    one = read_ct(sorted(folder.glob("*.dcm"))[0])
    assert one.spacing[0] == float(files[0].SliceThickness)
    assert (ct.is_axial, ct.flips) == (True, (False, False))


@pytest.mark.parametrize(
    "name",
    [
        "ct_totalsegmentator_example/ct.nii.gz",
        "ct_totalsegmentator_example/ct_upper30.nii.gz",
        "ct_unlabelled/cmb_crc_MSB-01068.nii.gz",
        "ct_unlabelled/lidc_idri_0314.nii.gz",
    ],
)
def test_nifti_equals_nibabel(name: str) -> None:
    path = need(name)
    ct, loaded = read_ct(path), nib.load(path)
    np.testing.assert_allclose(ct.hu, np.asarray(loaded.dataobj).transpose(2, 1, 0), atol=1e-3)
    assert ct.spacing == pytest.approx([float(z) for z in loaded.header.get_zooms()][::-1])
    assert ct.hu.dtype == np.int16


def test_labels_fit_their_volume_and_only_theirs(tmp_path: Path) -> None:
    folder = need("ct_totalsegmentator_example")
    upper = read_ct(folder / "ct_upper30.nii.gz")
    muscle = read_mask(folder / "skeletal_muscle_upper30.nii.gz", upper, values=(0, 1))
    whole = read_ct(folder / "ct.nii.gz")
    with pytest.raises(GeometryError, match="differ in shape"):
        read_mask(folder / "skeletal_muscle_upper30.nii.gz", whole)
    back = read_mask(write_mask(muscle, tmp_path / "m.nii.gz", upper), upper)
    assert (back.spacing, back.origin, back.direction) == (
        muscle.spacing,
        muscle.origin,
        muscle.direction,
    )
    # Muscle is muscle: its median lies in the window of skeletal muscle.
    assert -29 <= np.median(upper.hu[muscle.labels == 1]) <= 150


def test_every_patient_reaches_the_network_the_same_way_up(tmp_path: Path) -> None:
    """One file is stored the other way round on both axes; the spine must end up below in both."""
    rows = [
        ManifestRow("A", need("ct_dicom/C3L-00189"), slice_index=10),
        ManifestRow("B", need("ct_totalsegmentator_example") / "ct_upper30.nii.gz", slice_index=0),
    ]
    cache = SliceCache.open_or_build(
        Manifest(tuple(rows)), PreprocessingSpec(size=128), tmp_path, need_masks=False
    )
    assert [cache.geometry(i).flip for i in range(2)] == [(False, False), (True, True)]
    for i in range(2):
        bone = np.argwhere(cache.image(i) > 250)
        body = np.argwhere(cache.image(i) > -200)
        assert bone[:, 0].mean() > body[:, 0].mean()


def test_cardiac_manifest_and_masks(tmp_path: Path) -> None:
    manifest = Manifest.read(need("mr_cardiac_acdc/manifest.csv"), need_masks=True)
    primary = manifest.where(role="primary")
    assert len(primary) == len(primary.patients) == 79
    spec = PreprocessingSpec(size=64, hu_window=None, percentiles=(1, 99))
    cache = SliceCache.open_or_build(primary, spec, tmp_path)
    assert cache.classes == (0, 1, 2, 3)
    assert cache.geometry(0).spacing is None


def test_photographs_are_colour() -> None:
    folder = need("natural_imagenet_sample/images")
    shapes = [read_image(p).shape for p in sorted(folder.iterdir())[:20]]
    assert all(min(s[:2]) == 160 for s in shapes)
    assert read_volume(need("ct_unlabelled/lidc_idri_0314.nii.gz"), 3).shape == (1, 512, 512)
