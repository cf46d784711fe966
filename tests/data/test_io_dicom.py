"""DICOM reading, against pydicom."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pydicom
import pytest
from dicom_files import body, write_slice
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import ExplicitVRLittleEndian, RTStructureSetStorage, generate_uid

from muscletransfer.data import read_ct, read_volume
from muscletransfer.errors import GeometryError, ImageReadError


@pytest.fixture
def series_folder(tmp_path: Path) -> Path:
    """Four slices, 5 mm apart, whose names are not in the order of their places."""
    folder = tmp_path / "series"
    folder.mkdir()
    for k, name in enumerate(["c", "a", "d", "b"]):
        write_slice(
            folder / f"{name}.dcm", body((20, 30), k), position=(-11.5, 22.25, -40.0 + 5 * k)
        )
    return folder


def stack_with_pydicom(folder: Path) -> np.ndarray:
    files = [pydicom.dcmread(p) for p in folder.glob("*.dcm")]
    files.sort(key=lambda ds: float(ds.ImagePositionPatient[2]))
    return np.stack(
        [ds.pixel_array * float(ds.RescaleSlope) + float(ds.RescaleIntercept) for ds in files]
    )


def test_series_is_sorted_by_place_and_equals_pydicom(series_folder: Path) -> None:
    ct = read_ct(series_folder)
    np.testing.assert_array_equal(ct.hu, stack_with_pydicom(series_folder))
    assert ct.hu.dtype == np.int16
    assert ct.spacing == pytest.approx((5.0, 0.8, 0.7), abs=1e-9)
    assert ct.origin == pytest.approx((-11.5, 22.25, -40.0))
    assert ct.direction == (1, 0, 0, 0, 1, 0, 0, 0, 1)


def test_one_slice_of_a_series_is_the_slice_of_the_volume(series_folder: Path) -> None:
    whole, one = read_ct(series_folder).slice(2), read_ct(series_folder, slice_index=2)
    np.testing.assert_array_equal(one.hu, whole.hu)
    assert (one.origin, one.spacing) == (whole.origin, whole.spacing)
    with pytest.raises(ImageReadError, match="slices 0 to 3; slice 4 was asked"):
        read_ct(series_folder, slice_index=4)


def test_slope_and_intercept_of_each_file_are_applied(tmp_path: Path) -> None:
    for k, slope in enumerate((1.0, 2.0, 0.5)):
        hu = body((12, 14), k) // 2 * 2
        write_slice(tmp_path / f"{k}.dcm", hu, position=(0, 0, k), slope=slope, intercept=-1000)
    np.testing.assert_array_equal(read_ct(tmp_path).hu, stack_with_pydicom(tmp_path))


def test_prone_series_is_sorted_along_its_own_normal(tmp_path: Path) -> None:
    """Rows and columns turned by half a turn keep z; one turned over reverses the order."""
    flat = (1, 0, 0, 0, -1, 0)  # its normal points to the feet
    for k in range(3):
        write_slice(tmp_path / f"{k}.dcm", body((9, 9), k), position=(0, 0, k), orientation=flat)
    ct = read_ct(tmp_path)
    np.testing.assert_array_equal(ct.hu[0], body((9, 9), 2))
    assert ct.origin == (0, 0, 2)
    assert ct.direction == (1, 0, 0, 0, -1, 0, 0, 0, -1)
    assert (ct.flips, ct.is_axial) == ((True, False), True)


def test_lone_file_takes_thickness_and_never_one_millimetre(tmp_path: Path) -> None:
    file = write_slice(tmp_path / "a.dcm", body((9, 9)), thickness=3.75)
    assert read_ct(file).spacing == (3.75, 0.8, 0.7)
    assert read_ct(tmp_path).spacing == (3.75, 0.8, 0.7)
    bare = write_slice(tmp_path / "b.dcm", body((9, 9)), thickness=None)
    sz, sy, sx = read_ct(bare).spacing
    assert math.isnan(sz)
    assert (sy, sx) == (0.8, 0.7)


def test_file_without_an_ending_is_known_by_its_content(tmp_path: Path) -> None:
    file = write_slice(tmp_path / "IM0001", body((9, 9)))
    np.testing.assert_array_equal(read_ct(file).hu[0], body((9, 9)))
    np.testing.assert_array_equal(read_ct(tmp_path).hu[0], body((9, 9)))


def test_mixed_series_are_listed_and_one_can_be_chosen(series_folder: Path) -> None:
    write_slice(series_folder / "z.dcm", body((9, 9)), series="1.9", description="lung")
    with pytest.raises(ImageReadError) as caught:
        read_ct(series_folder)
    for text in ("2 series", "'1.2.3' (CT, abdomen, 4 files)", "'1.9' (CT, lung, 1 files)"):
        assert text in str(caught.value)
    assert "series=UID" in str(caught.value)
    assert read_ct(series_folder, series="1.2.3").shape == (4, 20, 30)
    assert read_ct(series_folder, series="1.9").shape == (1, 9, 9)
    with pytest.raises(ImageReadError, match=r"no series '7'; found '1\.2\.3'"):
        read_ct(series_folder, series="7")


def test_missing_slice_warns_and_leaves_the_gap_unknown(series_folder: Path) -> None:
    (series_folder / "a.dcm").unlink()
    with pytest.warns(UserWarning, match=r"5\.000 to 10\.000 mm"):
        ct = read_ct(series_folder)
    assert ct.num_slices == 3
    assert math.isnan(ct.spacing[0])
    assert math.isnan(ct.slice(1).origin[2])


def test_two_slices_at_one_place_are_named(series_folder: Path) -> None:
    write_slice(series_folder / "again.dcm", body((20, 30)), position=(-11.5, 22.25, -40.0))
    with pytest.raises(GeometryError, match=r"(again|c)\.dcm and (again|c)\.dcm lie at the same"):
        read_ct(series_folder)


@pytest.mark.parametrize(
    "change",
    [
        {"orientation": (0, 1, 0, 0, 0, -1)},
        {"spacing": (0.9, 0.9)},
        {"hu": body((5, 5))},
    ],
)
def test_files_of_one_series_that_do_not_stack(series_folder: Path, change: dict) -> None:
    hu = change.pop("hu", body((20, 30)))
    write_slice(series_folder / "scout.dcm", hu, position=(0, 0, 99), **change)
    with pytest.raises(GeometryError, match=r"scout\.dcm.*do not stack"):
        read_ct(series_folder)


def test_ct_without_rescale_is_refused_unless_told(tmp_path: Path) -> None:
    file = write_slice(tmp_path / "a.dcm", body((9, 9)), slope=None)
    for path in (file, tmp_path):
        with pytest.raises(ImageReadError, match=r"no rescale slope.*assume_hu=True"):
            read_ct(path)
        np.testing.assert_array_equal(read_ct(path, assume_hu=True).hu[0], body((9, 9)))


def test_one_file_without_rescale_in_a_series_is_named(series_folder: Path) -> None:
    write_slice(series_folder / "odd.dcm", body((20, 30)), position=(-11.5, 22.25, 60), slope=None)
    with (
        pytest.warns(UserWarning, match="gaps"),
        pytest.raises(ImageReadError, match=r"odd\.dcm: has no rescale"),
    ):
        read_ct(series_folder)


@pytest.mark.parametrize(
    ("tag", "value", "said"),
    [
        ("RescaleSlope", -1, "rescale slope -1"),
        ("RescaleType", "Z_EFF", "type 'Z_EFF'"),
        ("Modality", "MR", "modality is 'MR'"),
    ],
)
def test_one_file_of_a_series_that_is_no_ct_in_hu_is_named(
    series_folder: Path, tag: str, value: object, said: str
) -> None:
    path = sorted(series_folder.iterdir())[1]
    odd = pydicom.dcmread(path)
    setattr(odd, tag, value)
    odd.save_as(path)
    with pytest.raises(ImageReadError, match=f"{path.name}: .*{said}"):
        read_ct(series_folder)
    assert read_volume(series_folder).shape == (4, 20, 30)


def test_other_modality_is_refused_as_ct_and_read_as_volume(tmp_path: Path) -> None:
    file = write_slice(tmp_path / "a.dcm", body((9, 9)), modality="MR")
    with pytest.raises(ImageReadError, match="modality is 'MR'; wanted CT"):
        read_ct(file)
    np.testing.assert_array_equal(read_volume(file).array[0], body((9, 9)))


def test_objects_without_pixels_and_other_files_are_passed_over(series_folder: Path) -> None:
    ds = Dataset()
    ds.file_meta = FileMetaDataset()
    ds.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    ds.file_meta.MediaStorageSOPClassUID = RTStructureSetStorage
    ds.file_meta.MediaStorageSOPInstanceUID = generate_uid()
    ds.SOPClassUID, ds.SOPInstanceUID = RTStructureSetStorage, generate_uid()
    ds.Modality, ds.SeriesInstanceUID = "RTSTRUCT", "1.5"
    pydicom.dcmwrite(series_folder / "outline.dcm", ds, enforce_file_format=True)
    (series_folder / "notes.txt").write_text("hello")
    assert read_ct(series_folder).num_slices == 4
    with pytest.raises(ImageReadError, match=r"outline\.dcm: cannot be read as a DICOM image"):
        read_ct(series_folder / "outline.dcm")


@pytest.mark.parametrize("keep", [0.0, 0.3, 0.95])
def test_damaged_file_of_a_series_is_never_left_out(
    series_folder: Path, keep: float, capfd: pytest.CaptureFixture[str]
) -> None:
    file = series_folder / "d.dcm"
    data = file.read_bytes()
    file.write_bytes(data[: int(len(data) * keep)])
    for path in (file, series_folder):
        with pytest.raises(ImageReadError, match=r"d\.dcm"):
            read_ct(path)
    assert capfd.readouterr().err == ""


def test_folder_without_images_says_what_it_holds(series_folder: Path, tmp_path: Path) -> None:
    with pytest.raises(ImageReadError, match="its folders do: series"):
        read_ct(tmp_path)
    empty = tmp_path / "empty"
    empty.mkdir()
    with pytest.raises(ImageReadError, match="no files"):
        read_ct(empty)
    (empty / "report.pdf").write_text("x")
    with pytest.raises(ImageReadError, match=r"report\.pdf"):
        read_ct(empty)


def test_reading_prints_nothing(series_folder: Path, capfd: pytest.CaptureFixture[str]) -> None:
    read_ct(series_folder)
    captured = capfd.readouterr()
    assert (captured.out, captured.err) == ("", "")
