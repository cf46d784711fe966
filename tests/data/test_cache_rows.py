"""Rows that a cache refuses, or warns of: named, all at once, nothing left behind."""

from __future__ import annotations

import shutil
import warnings
from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk
from cached_slices import SHAPES, SPEC, folders, make_root, manifest_of, save, write
from dicom_files import body
from PIL import Image

from muscletransfer.data import Manifest, PreprocessingSpec, PretextDataModule, SliceCache
from muscletransfer.errors import (
    DataError,
    EmptyMaskError,
    GeometryError,
    ImageReadError,
    ManifestError,
)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return make_root(tmp_path)


EMPTY = np.zeros((1, *SHAPES[0]), np.uint8)


@pytest.mark.parametrize(
    ("row", "error", "message"),
    [
        ("P0,ct0.nii.gz,empty.nrrd,", EmptyMaskError, r"empty\.nrrd has no foreground.*\[0\]"),
        ("P0,ct0.nii.gz,ignored.nrrd,", EmptyMaskError, r"no foreground \(values \[0, 255\]\)"),
        ("P0,ct0.nii.gz,m1.nii.gz,", GeometryError, r"differ in shape"),
        ("P0,ct0.nii.gz,moved.nrrd,", GeometryError, r"differ in origin"),
        ("P0,ct0.nii.gz,many.nrrd,", DataError, r"values up to 300; wanted class indices 0 to"),
        ("P0,ct0.nii.gz,m3.nrrd,", GeometryError, r"4 slices, its image one"),
        ("P3,ct3.nrrd,m3.nrrd,", ManifestError, r"has 4 slices and slice_index is empty.*0 to 3"),
        ("P3,ct3.nrrd,m3.nrrd,4", ImageReadError, r"slices 0 to 3; slice 4"),
        ("P0,plain.png,plain.png,", ImageReadError, "plain image.*hu_window=None"),
        ("P0,short.nii.gz,m0.nii.gz,", ImageReadError, r"short\.nii\.gz"),
        ("P0,mr.nii.gz,m0.nii.gz,", ImageReadError, r"0 to 200.*wanted HU"),
        ("P3,sagittal.nrrd,m3.nrrd,1", GeometryError, r"not stored as axial.*DICOMOrient"),
        ("P3,ct3.nrrd,fractions.nrrd,1", DataError, r"holds 0\.5"),
    ],
)
def test_bad_rows_are_named_and_leave_nothing(
    root: Path, row: str, error: type, message: str
) -> None:
    save(root / "empty.nrrd", EMPTY)
    save(root / "ignored.nrrd", np.where(np.indices(EMPTY.shape)[2] > 9, 255, EMPTY))
    moved = sitk.ReadImage(str(root / "m0.nii.gz"))
    moved.SetOrigin((3, 0, 0))
    sitk.WriteImage(moved, str(root / "moved.nrrd"))
    save(root / "many.nrrd", EMPTY.astype(np.uint16) + 300)
    Image.new("L", (5, 5)).save(root / "plain.png")
    (root / "short.nii.gz").write_bytes((root / "ct0.nii.gz").read_bytes()[:900])
    save(root / "mr.nii.gz", (np.indices(EMPTY.shape)[2] % 3 * 100).astype(np.int16))
    sagittal = sitk.DICOMOrient(sitk.ReadImage(str(root / "ct3.nrrd")), "PIR")
    sitk.WriteImage(sagittal, str(root / "sagittal.nrrd"))
    save(root / "fractions.nrrd", np.full((4, 30, 36), 0.5, np.float32))
    write(root, "P9,ct1.nii.gz,m1.nii.gz,", row)
    with pytest.raises(error, match=rf"m\.csv row 3: .*{message}"):
        SliceCache.open_or_build(manifest_of(root), SPEC, root / "cache")
    assert folders(root) == []


@pytest.mark.parametrize("workers", [0, 2])
def test_all_bad_rows_are_told_at_once(root: Path, workers: int) -> None:
    for k in range(14):
        hu = body((20, 20), k)
        save(root / f"x{k}.nrrd", hu[None])
        save(root / f"e{k}.nrrd", np.zeros((1, 20, 20), np.uint8))
    rows = [f"Q{k},x{k}.nrrd,e{k}.nrrd," for k in range(14)]
    write(root, "P0,ct0.nii.gz,m0.nii.gz,", *rows)
    with pytest.raises(EmptyMaskError) as caught:
        SliceCache.open_or_build(manifest_of(root), SPEC, root / "cache", workers=workers)
    text = str(caught.value)
    assert "14 of 15 rows cannot be used, so nothing was cached" in text
    assert "m.csv row 3: " in text
    assert "m.csv row 12: " in text
    assert "m.csv row 13: " not in text
    assert "and 4 more" in text
    write(root, *rows[:2], "P3,ct3.nrrd,m3.nrrd,", "P0,ct0.nii.gz,m0.nii.gz,")
    with pytest.raises(DataError) as mixed:
        SliceCache.open_or_build(manifest_of(root), SPEC, root / "cache")
    assert type(mixed.value) is DataError
    assert folders(root) == []
    options = {"allow_empty_masks": True}
    write(root, *rows)
    assert len(SliceCache.open_or_build(manifest_of(root), SPEC, root / "c2", **options)) == 14


def test_outline_lost_or_cut_by_the_network_grid(root: Path) -> None:
    edge = np.zeros((1, 40, 50), np.uint8)
    edge[:, :3, :3] = 1
    save(root / "edge.nii.gz", edge)
    write(root, "P0,ct0.nii.gz,edge.nii.gz,")
    tight = PreprocessingSpec(spacing=0.8, size=16)
    with pytest.raises(EmptyMaskError, match=r"9 foreground pixels, none.*16 x 16.*100%"):
        SliceCache.open_or_build(manifest_of(root), tight, root / "cache")
    write(root, "P0,ct0.nii.gz,m0.nii.gz,", "P1,ct1.nii.gz,m1.nii.gz,")
    with pytest.warns(UserWarning, match=r"2 of 2 masks reach outside the 16 x 16.*row 3: \d+"):
        SliceCache.open_or_build(manifest_of(root), tight, root / "cache")


def test_copied_image_under_another_patient_is_reported(root: Path) -> None:
    shutil.copy(root / "ct0.nii.gz", root / "copy.nii.gz")
    write(root, "P0,ct0.nii.gz,m0.nii.gz,", "P7,copy.nii.gz,m0.nii.gz,")
    copied = r"row 3: its image is the same, byte for byte, as that of .*m\.csv row 2, .*remove one"
    with pytest.warns(UserWarning, match=copied):
        SliceCache.open_or_build(manifest_of(root), SPEC, root / "cache")


def test_copies_among_photographs_of_a_folder_are_no_patients(tmp_path: Path) -> None:
    for number in range(3):
        Image.new("L", (20, 20), number).save(tmp_path / f"{number}.png")
    shutil.copy(tmp_path / "0.png", tmp_path / "copy.png")
    data = PretextDataModule(tmp_path, size=32, cache_dir=tmp_path / "cache", val_fraction=0)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        data.setup("fit")


def test_spacing_columns_fill_in_and_must_not_contradict(root: Path) -> None:
    header = "patient_id,image,mask,slice_index,spacing_x_mm,spacing_y_mm"
    write(root, "P0,ct0.nii.gz,m0.nii.gz,,0.8,0.8", header=header)
    SliceCache.open_or_build(manifest_of(root), SPEC, root / "cache")
    write(root, "P0,ct0.nii.gz,m0.nii.gz,,0.8,1.0", header=header)
    with pytest.raises(ManifestError, match=r"row 2: spacing_y_mm, spacing_x_mm are \(1.0, 0.8\)"):
        SliceCache.open_or_build(manifest_of(root), SPEC, root / "cache")


def test_mask_of_one_slice_for_a_slice_of_a_volume(root: Path) -> None:
    one = sitk.ReadImage(str(root / "m3.nrrd"))[:, :, 2:3]
    sitk.WriteImage(one, str(root / "one.nrrd"))
    write(root, "P3,ct3.nrrd,one.nrrd,2", "P3,ct3.nrrd,m3.nrrd,1")
    cache = SliceCache.open_or_build(manifest_of(root), SPEC, root / "cache")
    np.testing.assert_array_equal(cache.native_mask(0) > 0, cache.native_image(0) > -20)
    write(root, "P3,ct3.nrrd,one.nrrd,1")
    with pytest.raises(GeometryError, match="differ in origin"):
        SliceCache.open_or_build(manifest_of(root), SPEC, root / "cache")


def test_empty_manifest(root: Path) -> None:
    with pytest.raises(DataError, match="no rows to cache"):
        SliceCache.open_or_build(Manifest((), root / "m.csv"), SPEC, root / "cache")
