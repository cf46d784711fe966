"""Input as it should not be: read right or left out by name, one kind a test."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import SimpleITK as sitk
from ct_exports import body, enhanced, reason_for, save, slice_of, uid, write_series
from pydicom.uid import (
    DeflatedExplicitVRLittleEndian,
    RLELossless,
    SecondaryCaptureImageStorage,
)

from muscletransfer.data import Manifest, read_ct
from muscletransfer.data.indexing import ImageIndex, index_images
from muscletransfer.errors import DataError, ImageReadError


def index(folder: Path, **options: Any) -> ImageIndex:
    return index_images(folder / "in", folder / "manifest.csv", workers=0, **options)


def left_out(folder: Path, name: str, **options: Any) -> str:
    """Index a folder of which nothing can be used, and return why that file cannot."""
    with pytest.raises(DataError, match="no axial CT series"):
        index(folder, **options)
    return reason_for(folder / "problems.csv", name)


def only_row(found: ImageIndex) -> Any:
    (row,) = Manifest.read(found.manifest).rows
    return row


ALONE: list[tuple[dict[str, Any], str]] = [
    ({"RescaleSlope": None, "RescaleIntercept": None}, "no rescale slope and intercept"),
    ({"RescaleIntercept": None}, "no rescale slope and intercept"),
    ({"RescaleSlope": 0}, "rescale slope 0"),
    ({"RescaleSlope": -1}, "rescale slope -1"),
    ({"RescaleType": "Z_EFF"}, "type 'Z_EFF'"),
    ({"PixelSpacing": None}, "no pixel spacing"),
    ({"PixelSpacing": [0, 0]}, "no pixel spacing"),
    ({"PixelSpacing": [70, 80]}, "which no CT has"),
    ({"PixelSpacing": [0.1, 4]}, "which no CT has"),
    ({"ImagePositionPatient": None}, "no position or orientation"),
    ({"ImageOrientationPatient": None}, "no position or orientation"),
    ({"ImageOrientationPatient": [1, 0, 0, 0, 0, -1]}, "is coronal"),
    ({"ImageOrientationPatient": [0, 1, 0, 0, 0, -1]}, "is sagittal"),
    ({"ImageOrientationPatient": [0, 1, 0, -1, 0, 0]}, "turned by a quarter"),
    ({"ImageOrientationPatient": [1, 0, 0, 0, 0.3, 0]}, "which is none"),
    ({"Modality": "PT"}, "its modality is PT"),
    ({"Modality": None}, "its modality is not given"),
    ({"SOPClassUID": SecondaryCaptureImageStorage}, "a secondary capture"),
    ({"SOPClassUID": "1.2.840.10008.5.1.4.1.1.4"}, "SOP class 1.2.840.10008.5.1.4.1.1.4"),
    ({"ImageType": ["ORIGINAL", "PRIMARY", "LOCALIZER"]}, "is a localiser"),
    ({"ImageType": ["DERIVED", "SECONDARY", "SCREEN SAVE"]}, "picture of a screen"),
    ({"BurnedInAnnotation": "YES"}, "burned into its pixels"),
    ({"Rows": 25}, "damaged DICOM file: it holds 1344 bytes of pixels"),
    ({"BitsStored": 17}, "17 bits stored of 16"),
    ({"BitsAllocated": 12}, "bits stored of 12"),
    ({"NumberOfFrames": 3}, "3 frames of 24 x 28"),
    ({"PixelData": None}, "DICOM object without CT pixels|holds no pixels"),
]


@pytest.mark.parametrize(("tags", "reason"), ALONE, ids=[str(t) for t, _ in ALONE])
def test_slices_that_cannot_be_used(tags: dict[str, Any], reason: str, tmp_path: Path) -> None:
    save(slice_of(body(), **tags), tmp_path / "in" / "f")
    found = left_out(tmp_path, "f")
    assert found.startswith("left out: ")
    assert any(part in found for part in reason.split("|")), found


@pytest.mark.parametrize("intercept", [0, 8192, -2048, 1024])
def test_wrong_rescale_is_seen_in_the_pixels(intercept: int, tmp_path: Path) -> None:
    for k in range(3):
        ds = slice_of(body(k), 5.0 * k)
        ds.RescaleIntercept = intercept  # the stored values are for -1024
        save(ds, tmp_path / "in" / str(k))
    assert "-> Export it with the right rescale" in left_out(tmp_path, "0")


def test_eight_bit_captures_and_colour(tmp_path: Path) -> None:
    grey = slice_of(body(), BitsAllocated=8, BitsStored=8, HighBit=7, PixelRepresentation=0)
    grey.PixelData = (body().clip(-160, 94) + 160).astype(np.uint8).tobytes()
    save(grey, tmp_path / "in" / "grey")
    colour = slice_of(body(), 5.0, BitsAllocated=8, BitsStored=8, HighBit=7, PixelRepresentation=0)
    colour.SamplesPerPixel, colour.PhotometricInterpretation = 3, "RGB"
    colour.PlanarConfiguration = 0
    colour.PixelData = bytes(24 * 28 * 3)
    save(colour, tmp_path / "in" / "colour")
    assert "holds colour (RGB)" in left_out(tmp_path, "colour")
    assert "8-bit grey" in reason_for(tmp_path / "problems.csv", "grey")


def test_monochrome1_keeps_its_hu(tmp_path: Path) -> None:
    """It says how to show values, not what they mean: nothing is to be turned round."""
    hu = write_series(tmp_path / "in", 3, PhotometricInterpretation="MONOCHROME1")
    np.testing.assert_array_equal(read_ct(only_row(index(tmp_path)).image).hu, hu)


def test_table_instead_of_slope(tmp_path: Path) -> None:
    from pydicom.dataset import Dataset
    from pydicom.sequence import Sequence

    table = Dataset()
    table.LUTDescriptor, table.ModalityLUTType, table.LUTData = [4, 0, 16], "HU", bytes(8)
    save(slice_of(body(), ModalityLUTSequence=Sequence([table])), tmp_path / "in" / "f")
    assert "modality LUT" in left_out(tmp_path, "f")
    with pytest.raises(ImageReadError, match="modality LUT"):
        read_ct(tmp_path / "in" / "f")


@pytest.mark.parametrize(
    ("damage", "reason"),
    [
        (lambda b: b"", "has 0 bytes"),
        (lambda b: b[: len(b) // 2], "cut short"),
        (lambda b: b[:-1], "cut short"),
        (lambda b: b[:200], "cut short"),
        (lambda b: b"\0" * len(b), "is no medical image"),
        (lambda b: b"%PDF-1.4" + b, "is no medical image"),
        (lambda b: b[:300] + b"\xff" * 40 + b[340:], "damaged DICOM file"),
    ],
    ids=["empty", "half", "one byte", "header", "zeros", "pdf", "overwritten"],
)
def test_damaged_files_leave_the_others(
    damage: Callable[[bytes], bytes], reason: str, tmp_path: Path
) -> None:
    hu = write_series(tmp_path / "in", 4)
    file = tmp_path / "in" / "A001"  # the highest slice, so that no gap opens
    file.write_bytes(damage(file.read_bytes()))
    found = index(tmp_path)
    assert reason in reason_for(found.problems_csv, "A001")
    np.testing.assert_array_equal(read_ct(only_row(found).image).hu, hu[:3])


def test_missing_slices_and_uneven_gaps_are_told(tmp_path: Path) -> None:
    write_series(tmp_path / "in", 6)
    (tmp_path / "in" / "A003").unlink()
    row = only_row(found := index(tmp_path))
    assert row.extra["notes"] == "1 slice seems to be missing (gaps from 5 to 10 mm)"
    assert row.extra["gap_mm"] == ""
    assert "check: 1 slice seems" in reason_for(found.problems_csv, "A006")
    with pytest.warns(UserWarning, match=r"5\.000 to 10\.000 mm"):
        assert np.isnan(read_ct(row.image).spacing[0])
    save(slice_of(body(9), 22.0), tmp_path / "in" / "odd")
    assert only_row(index(tmp_path)).extra["notes"].startswith("uneven gaps between slices (2 to")


def test_tilted_gantry_is_told_and_slices_stay_right(tmp_path: Path) -> None:
    """The bed moves along z while the planes lean by 15 degrees: slices are shifted in plane."""
    lean = np.radians(15)
    plane = [1, 0, 0, 0, float(np.cos(lean)), float(-np.sin(lean))]
    hu = [body(k) for k in range(4)]
    for k in range(4):
        ds = slice_of(hu[k], 5.0 * k, ImageOrientationPatient=plane, GantryDetectorTilt=15)
        save(ds, tmp_path / "in" / str(k))
    row = only_row(found := index(tmp_path))
    assert "gantry tilted by 15.0 degrees" in row.extra["notes"]
    assert "check" in reason_for(found.problems_csv, "0")
    with pytest.warns(UserWarning, match=r"tilted by 15\.0 degrees"):
        volume = read_ct(row.image)
    np.testing.assert_array_equal(volume.hu, hu)
    assert np.isnan(volume.spacing[0])
    assert volume.is_axial
    assert read_ct(row.image, 2).origin == (-100, -90, 10)


@pytest.mark.parametrize(("lean", "jitter"), [(15.0, 0.0), (7.3, 0.0), (0.0, 5e-5)])
@pytest.mark.filterwarnings("ignore:.*a gantry tilted by:UserWarning")
def test_series_far_from_the_origin_are_read_where_they_were_listed(
    lean: float, jitter: float, tmp_path: Path
) -> None:
    """At z = -900 mm the fifth decimal of an orientation is worth hundredths of a millimetre."""
    hu = [body(k) for k in range(6)]
    for k in range(6):
        angle = np.radians(lean) + jitter * k
        plane = [1, 0, 0, 0, round(float(np.cos(angle)), 6), round(float(-np.sin(angle)), 6)]
        where = {
            "ImageOrientationPatient": plane,
            "ImagePositionPatient": [-170, -170, 5 * k - 900],
        }
        save(slice_of(hu[k], 5.0 * k, **where), tmp_path / "in" / str(k))
    image = only_row(index(tmp_path)).image
    np.testing.assert_array_equal(read_ct(image).hu, hu)
    for k in range(6):
        np.testing.assert_array_equal(read_ct(image, k).hu[0], hu[k])


def test_planes_that_name_no_order_are_left_out(tmp_path: Path) -> None:
    for k in range(4):
        lean = 0.002 * (k % 2)
        plane = [1, 0, 0, 0, float(np.cos(lean)), float(-np.sin(lean))]
        where = {"ImageOrientationPatient": plane, "ImagePositionPatient": [0, -400, 0.5 * k]}
        save(slice_of(body(k), 0.5 * k, **where), tmp_path / "in" / str(k))
    assert "orientations so far apart" in left_out(tmp_path, "0")


def test_feet_first_is_sorted_along_its_own_normal(tmp_path: Path) -> None:
    hu = np.stack([body(k) for k in range(3)])
    for k in range(3):
        ds = slice_of(hu[k], 5.0 * k, PatientPosition="FFS")
        ds.ImageOrientationPatient = [-1, 0, 0, 0, 1, 0]  # its normal points to the feet
        save(ds, tmp_path / "in" / str(k))
    volume = read_ct(only_row(index(tmp_path)).image)
    np.testing.assert_array_equal(volume.hu, hu[::-1])
    assert volume.direction == (-1, 0, 0, 0, 1, 0, 0, 0, -1)
    assert volume.origin == (-100, -90, 10)
    assert volume.flips == (False, True)


@pytest.mark.parametrize(
    ("tags", "what"),
    [
        ({"PixelSpacing": [0.8, 0.9]}, "pixel spacing (0.8, 0.9) and not (0.8, 0.7)"),
        ({"RescaleIntercept": -24}, "rescale intercept -24.0 and not -1024.0"),
        ({"RescaleSlope": 2}, "rescale slope 2.0 and not 1.0"),
        ({"PixelRepresentation": 0}, "signed False and not True"),
        ({"BitsStored": 12, "HighBit": 11}, "bits stored 12 and not 16"),
        ({"ImageOrientationPatient": [1, 0, 0, 0, 0.995, 0.0998]}, "orientation"),
    ],
)
def test_slice_unlike_the_others_of_its_series(
    tags: dict[str, Any], what: str, tmp_path: Path
) -> None:
    hu = write_series(tmp_path / "in", 4)
    ds = slice_of(body(99), 20.0)
    for name, value in tags.items():
        setattr(ds, name, value)
    save(ds, tmp_path / "in" / "odd")
    found = index(tmp_path)
    assert what in reason_for(found.problems_csv, "odd")
    np.testing.assert_array_equal(read_ct(only_row(found).image).hu, hu)


def test_two_slices_that_contradict_each_other_are_both_left_out(tmp_path: Path) -> None:
    save(slice_of(body(0)), tmp_path / "in" / "a")
    save(slice_of(body(1), 5.0, PixelSpacing=[0.8, 0.9]), tmp_path / "in" / "b")
    assert "contradict each other: pixel spacing" in left_out(tmp_path, "a")
    save(slice_of(body(1), 5.0, intercept=-1000), tmp_path / "in" / "b")
    assert "differs from other files" in left_out(tmp_path, "a")


def test_rescale_of_its_own_in_every_slice_is_no_damage(tmp_path: Path) -> None:
    hu = [body(k) for k in range(4)]
    for k in range(4):
        save(slice_of(hu[k], 5.0 * k, intercept=-1000 - k), tmp_path / "in" / str(k))
    np.testing.assert_array_equal(read_ct(only_row(index(tmp_path)).image).hu, hu)


@pytest.mark.parametrize("how", ["acquisition", "kernel", "nothing"])
def test_two_reconstructions_under_one_series_uid(how: str, tmp_path: Path) -> None:
    for half in range(2):
        tags = {"acquisition": {"AcquisitionNumber": half + 1}}.get(how, {})
        if how == "kernel":
            tags = {"ConvolutionKernel": f"B{half}0f"}
        for k in range(3):
            ds = slice_of(body(10 * half + k), 5.0 * k, **tags)
            ds.SOPInstanceUID = uid(half, k)
            save(ds, tmp_path / "in" / f"{half}{k}")
    if how == "nothing":
        assert "3 pairs of its slices lie at one place" in left_out(tmp_path, "00")
        return
    rows = Manifest.read(index(tmp_path).manifest).rows
    assert [read_ct(row.image).num_slices for row in rows] == [3, 3]
    assert {row.patient_id[-5:] for row in rows} == {"-0001"}


@pytest.mark.parametrize("how", ["plain", "compressed", "deflated"])
def test_copies_with_other_headers_or_trailers_are_copies(how: str, tmp_path: Path) -> None:
    hu = [body(k) for k in range(3)]
    for k in range(3):
        ds = slice_of(hu[k], 5.0 * k)
        if how == "compressed":
            ds.compress(RLELossless, generate_instance_uid=False)
        elif how == "deflated":
            ds.file_meta.TransferSyntaxUID = DeflatedExplicitVRLittleEndian
        save(ds, tmp_path / "in" / str(k))
    ds.StudyDescription = "sent again"
    ds.add_new(0xFFFCFFFC, "OB", bytes(64))  # data set trailing padding
    save(ds, tmp_path / "in" / "again")
    found = index(tmp_path)
    np.testing.assert_array_equal(read_ct(only_row(found).image).hu, hu)
    assert reason_for(found.problems_csv, "again").startswith("duplicate: holds the same slice as")


def test_acquisitions_that_count_slices_are_no_series(tmp_path: Path) -> None:
    for half in range(2):
        for k in range(6):
            ds = slice_of(body(10 * half + k), 5.0 * k, AcquisitionNumber=6 * half + k + 1,
                          ConvolutionKernel=f"B{half}0f")  # fmt: skip
            save(ds, tmp_path / "in" / f"{half}{k}")
    found = index(tmp_path)
    assert [r.extra["slices"] for r in Manifest.read(found.manifest).rows] == ["6", "6"]
    assert found.problems == ()


def test_series_that_one_twin_shatters_are_told(tmp_path: Path) -> None:
    for k in range(6):
        save(slice_of(body(k), 5.0 * k, AcquisitionNumber=k + 1), tmp_path / "in" / str(k))
    save(slice_of(body(9), 5.0, AcquisitionNumber=9), tmp_path / "in" / "twin")
    found = index(tmp_path)
    assert found.rows == 7
    told = reason_for(found.problems_csv, "0")
    assert told.startswith("check: up to 2 of its slices lie at one place")
    assert "makes 7 series of it" in told


def test_copies_and_their_contradictions(tmp_path: Path) -> None:
    hu = write_series(tmp_path / "in", 4)
    shutil.copy(tmp_path / "in" / "A001", tmp_path / "in" / "B")
    resent = slice_of(hu[3], 15.0, StudyDescription="sent again")
    resent.SOPInstanceUID = uid("another")
    save(resent, tmp_path / "in" / "C")
    found = index(tmp_path)
    np.testing.assert_array_equal(read_ct(only_row(found).image).hu, hu)
    for name in ("B", "C"):
        assert reason_for(found.problems_csv, name).startswith("duplicate: holds the same slice as")
    changed = slice_of(hu[3], 15.0)
    changed.PixelData = changed.PixelData[:-2] + b"\1\1"
    save(changed, tmp_path / "in" / "D")
    found = index(tmp_path)
    assert "and other content" in reason_for(found.problems_csv, "A001")
    # The copy under another UID is as it was, and takes the place.
    np.testing.assert_array_equal(read_ct(only_row(found).image).hu, hu)


def test_enhanced_multi_frame(tmp_path: Path) -> None:
    hu = np.stack([body(k) for k in range(4)])
    rescales = [(1.0, -1024.0), (2.0, -1000.0), (1.0, 0.0), (1.0, -1000.0)]
    hu[1] = hu[1] // 2 * 2
    order = [2, 0, 3, 1]
    ds = enhanced(hu[order], [5.0 * k for k in order], rescales=[rescales[k] for k in order])
    save(ds, tmp_path / "in" / "f")
    row = only_row(index(tmp_path))
    assert (row.image.name, row.extra["slices"], row.extra["gap_mm"]) == ("f", "4", "5")
    np.testing.assert_array_equal(read_ct(row.image).hu, hu)
    np.testing.assert_array_equal(read_ct(row.image, 3).hu[0], hu[3])
    assert read_ct(row.image, 3).origin == (-100, -90, 15)
    save(enhanced(hu, [0.0, 5.0, 5.0, 10.0]), tmp_path / "in" / "f")
    assert "1 pairs of its frames lie at one place" in left_out(tmp_path, "f")
    missing = enhanced(hu, [0.0, 5.0, 10.0, 15.0])
    missing.NumberOfFrames = 5
    save(missing, tmp_path / "in" / "f")
    assert "promises 5 frames and describes 4" in left_out(tmp_path, "f")


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (lambda a: a - a.min(), "HU shifted to start at 0"),
        (lambda a: (a > 0).astype(np.uint8), "looks like a mask"),
        (lambda a: np.where(a > 0, np.nan, a.astype(np.float32)), "nan or infinite"),
        (lambda a: a * 60, "beyond any tissue"),
        (lambda a: a - 1024, "slope or intercept is wrong"),
    ],
    ids=["shifted", "mask", "nan", "scaled", "twice"],
)
def test_volumes_that_hold_no_hu(
    change: Callable[[np.ndarray], np.ndarray], reason: str, tmp_path: Path
) -> None:
    (tmp_path / "in").mkdir()
    array = change(np.stack([body(k).astype(np.int32) for k in range(3)]))
    sitk.WriteImage(sitk.GetImageFromArray(array), str(tmp_path / "in" / "v.nrrd"))
    assert reason in left_out(tmp_path, "v.nrrd")


def test_volumes_of_other_shapes(tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    image = sitk.GetImageFromArray(np.stack([body(k) for k in range(3)]))
    sitk.WriteImage(image, str(tmp_path / "in" / "unit.mha"))
    image.SetSpacing((0.8, 0.8, 3))
    sitk.WriteImage(sitk.DICOMOrient(image, "PIR"), str(tmp_path / "in" / "sagittal.mha"))
    four = sitk.JoinSeries([image, image])
    sitk.WriteImage(four, str(tmp_path / "in" / "four.nrrd"))
    whole = tmp_path / "in" / "cut.nii.gz"
    sitk.WriteImage(image, str(whole))
    whole.write_bytes(whole.read_bytes()[:500])
    found = index(tmp_path)
    csv = found.problems_csv
    assert "check: every spacing is exactly 1 mm" in reason_for(csv, "unit.mha")
    assert "not stored as axial" in reason_for(csv, "sagittal.mha")
    assert "4 dimensions" in reason_for(csv, "four.nrrd")
    assert "cut short" in reason_for(csv, "cut.nii.gz")
    assert found.rows == 1
