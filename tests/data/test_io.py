"""NIfTI, NRRD, MHA and plain images, against nibabel and Pillow; damage and misuse."""

from __future__ import annotations

import gzip
import math
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import pytest
import SimpleITK as sitk
from dicom_files import body
from PIL import Image, TiffImagePlugin

from muscletransfer.data import (
    CTImage,
    PreprocessingSpec,
    read_ct,
    read_image,
    read_mask,
    read_volume,
)
from muscletransfer.errors import DataError, ImageReadError

VOLUME = np.stack([body((20, 30), k) for k in range(3)])


def save_nifti(path: Path, affine: np.ndarray, dtype: type = np.int16) -> Path:
    image = nib.Nifti1Image(VOLUME.transpose(2, 1, 0).astype(dtype), affine)
    nib.save(image, path)
    return path


@pytest.mark.parametrize("ending", ["nii", "nii.gz"])
@pytest.mark.parametrize("signs", [(-1, -1, 1), (1, 1, 1), (1, -1, -1)])
def test_nifti_equals_nibabel_in_values_and_grid(
    tmp_path: Path, ending: str, signs: tuple[int, int, int]
) -> None:
    affine = np.diag([0.75 * signs[0], 0.5 * signs[1], 4.0 * signs[2], 1.0])
    affine[:3, 3] = (10.5, -20.25, 7)
    ct = read_ct(save_nifti(tmp_path / f"a.{ending}", affine))
    loaded = nib.load(tmp_path / f"a.{ending}")
    np.testing.assert_array_equal(ct.hu, np.asarray(loaded.dataobj).transpose(2, 1, 0))
    to_lps = np.diag([-1, -1, 1])
    assert ct.spacing == (4.0, 0.5, 0.75)
    assert ct.origin == pytest.approx(tuple(to_lps @ loaded.affine[:3, 3]))
    cosines = to_lps @ loaded.affine[:3, :3] / np.array(loaded.header.get_zooms())
    np.testing.assert_allclose(np.array(ct.direction).reshape(3, 3), cosines, atol=1e-7)
    # nibabel's world is RAS: a positive sign runs to the right... of LPS, so it is flipped.
    assert ct.flips == (signs[1] > 0, signs[0] > 0)


def test_nifti_slope_and_intercept_are_applied_as_nibabel_does(tmp_path: Path) -> None:
    stored = VOLUME.clip(-1024) + 1024
    image = nib.Nifti1Image(stored.transpose(2, 1, 0).astype(np.uint16), np.eye(4))
    data = bytearray(image.to_bytes())
    data[112:120] = np.array([1.0, -1024.0], "<f4").tobytes()  # scl_slope, scl_inter
    (tmp_path / "a.nii").write_bytes(bytes(data))
    expected = np.asarray(nib.load(tmp_path / "a.nii").dataobj).transpose(2, 1, 0)
    ct = read_ct(tmp_path / "a.nii")
    np.testing.assert_array_equal(ct.hu, expected)
    np.testing.assert_array_equal(ct.hu, VOLUME.clip(-1024))
    assert ct.hu.dtype == np.int16


@pytest.mark.parametrize("ending", ["nii", "nii.gz", "nrrd", "mha"])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_what_is_not_finite_is_so_in_every_format(
    tmp_path: Path, ending: str, dtype: type[np.floating[Any]]
) -> None:
    """ITK's NIfTI reader puts 0 there, which as HU is muscle."""
    values = VOLUME.astype(dtype)
    values[1, 2:5, 3:9], values[2, 0, 0], values[0, 19, 29] = np.nan, np.inf, -np.inf
    sitk.WriteImage(sitk.GetImageFromArray(values), str(tmp_path / f"a.{ending}"))
    ct = read_ct(tmp_path / f"a.{ending}")
    np.testing.assert_array_equal(ct.hu, values)
    with pytest.raises(DataError, match="nan or infinite"):
        PreprocessingSpec(size=16).apply(ct.hu[1], (1.0, 1.0))


@pytest.mark.parametrize("lost", [np.nan, -np.inf])
def test_what_is_not_finite_hides_no_values_that_are_no_hu(tmp_path: Path, lost: float) -> None:
    """Else tissue of the other slices reaches a network 1024 HU away."""
    values = VOLUME.clip(-1024).astype(np.float32) + 1024.5
    values[2, 0, :4] = lost
    sitk.WriteImage(sitk.GetImageFromArray(values), str(tmp_path / "a.nii"))
    for index in (None, 0, 2):
        with pytest.raises(ImageReadError, match=r"run from \d.* HU shifted to start at 0"):
            read_ct(tmp_path / "a.nii", index)
    values[2] = lost  # an empty slice says nothing of the others
    values[:2] -= 1024.5
    sitk.WriteImage(sitk.GetImageFromArray(values), str(tmp_path / "b.nii"))
    assert not np.isfinite(read_ct(tmp_path / "b.nii", 2).hu).any()


@pytest.mark.parametrize("order", "<>")
def test_nifti_values_that_are_not_finite_under_a_rescale(tmp_path: Path, order: str) -> None:
    stored = VOLUME.transpose(2, 1, 0).astype(f"{order}f4")
    stored[4, 5, 1], stored[6, 7, 2] = np.nan, np.inf
    image = nib.Nifti1Image(stored, np.eye(4), nib.Nifti1Header(endianness=order))
    image.header.set_data_dtype(f"{order}f4")
    data = bytearray(image.to_bytes())
    data[112:120] = np.array([-2.0, 100.0], f"{order}f4").tobytes()  # scl_slope, scl_inter
    (tmp_path / "a.nii").write_bytes(bytes(data))
    found = read_volume(tmp_path / "a.nii").array
    np.testing.assert_array_equal(found, (stored * -2.0 + 100).transpose(2, 1, 0))


def test_nifti_values_of_a_file_that_says_they_start_at_0(tmp_path: Path) -> None:
    """ITK then reads from the end of the header on; so do those that are not finite."""
    stored = VOLUME.astype(np.float32)
    stored[1, 2, 3] = np.nan
    data = bytearray(nib.Nifti1Image(stored.transpose(2, 1, 0), np.eye(4)).to_bytes())
    data[108:112] = bytes(4)  # vox_offset
    (tmp_path / "a.nii").write_bytes(data[:348] + data[352:])
    np.testing.assert_array_equal(read_volume(tmp_path / "a.nii").array, stored)


def test_fractions_stay_fractions(tmp_path: Path) -> None:
    image = sitk.GetImageFromArray(VOLUME.astype(np.float64) + 0.25)
    sitk.WriteImage(image, str(tmp_path / "a.nrrd"))
    ct = read_ct(tmp_path / "a.nrrd")
    assert ct.hu.dtype == np.float32
    np.testing.assert_array_equal(ct.hu, VOLUME + np.float32(0.25))


@pytest.mark.parametrize("dtype", [np.int32, np.float32, np.float64])
def test_whole_numbers_become_int16(tmp_path: Path, dtype: type) -> None:
    sitk.WriteImage(sitk.GetImageFromArray(VOLUME.astype(dtype)), str(tmp_path / "a.mha"))
    assert read_ct(tmp_path / "a.mha").hu.dtype == np.int16


def test_two_dimensional_file_is_one_slice_of_unknown_thickness(tmp_path: Path) -> None:
    image = sitk.GetImageFromArray(VOLUME[0])
    image.SetSpacing((0.7, 0.8))
    image.SetOrigin((3.0, 4.0))
    sitk.WriteImage(image, str(tmp_path / "a.nrrd"))
    ct = read_ct(tmp_path / "a.nrrd")
    assert ct.shape == (1, 20, 30)
    assert math.isnan(ct.spacing[0])
    assert (ct.slice_spacing, ct.origin) == ((0.8, 0.7), (3.0, 4.0, 0.0))


def test_more_dimensions_and_vectors_are_refused(tmp_path: Path) -> None:
    four = nib.Nifti1Image(np.full((5, 5, 5, 2), -5, np.int16), np.eye(4))
    nib.save(four, tmp_path / "four.nii")
    with pytest.raises(ImageReadError, match=r"4 dimensions, size \(5, 5, 5, 2\)"):
        read_ct(tmp_path / "four.nii")
    colour = sitk.GetImageFromArray(np.zeros((4, 5, 6, 3), np.uint8), isVector=True)
    sitk.WriteImage(colour, str(tmp_path / "colour.nrrd"))
    with pytest.raises(ImageReadError, match="3 values a voxel"):
        read_ct(tmp_path / "colour.nrrd")


@pytest.mark.parametrize(
    ("values", "looks"),
    [
        (np.arange(256).reshape(16, 16), "0 to 255 .*8-bit grey"),
        (np.eye(16), "0 to 1 .*a mask"),
        (VOLUME[0] - VOLUME.min(), "shifted to start at 0"),
    ],
)
def test_values_that_are_no_hu(tmp_path: Path, values: np.ndarray, looks: str) -> None:
    path = tmp_path / "a.nii"
    sitk.WriteImage(sitk.GetImageFromArray(values[None].astype(np.uint16)), str(path))
    with pytest.raises(ImageReadError, match=f"{looks}.*assume_hu=True"):
        read_ct(path)
    assert read_ct(path, assume_hu=True).shape == (1, *values.shape)
    np.testing.assert_array_equal(read_volume(path).array[0], values)


@pytest.mark.parametrize("ending", ["nii", "nii.gz", "nrrd", "mha"])
@pytest.mark.parametrize("keep", [0.0, 0.02, 0.5, 0.999])
def test_files_cut_short_are_refused_by_name(tmp_path: Path, ending: str, keep: float) -> None:
    """ITK itself fills a short NIfTI with zeros and says nothing."""
    path = tmp_path / f"a.{ending}"
    sitk.WriteImage(sitk.GetImageFromArray(VOLUME), str(path))
    assert read_ct(path).shape == VOLUME.shape
    data = path.read_bytes()
    path.write_bytes(data[: int(len(data) * keep)])
    with pytest.raises(ImageReadError, match=rf"a\.{ending}"):
        read_ct(path)


def test_nifti_of_two_gzip_members_is_whole(tmp_path: Path) -> None:
    """Parallel packers write several members; the length in the last is not the file's."""
    save_nifti(tmp_path / "a.nii", np.eye(4))
    data = (tmp_path / "a.nii").read_bytes()
    packed = gzip.compress(data[:900]) + gzip.compress(data[900:])
    (tmp_path / "b.nii.gz").write_bytes(packed)
    np.testing.assert_array_equal(read_ct(tmp_path / "b.nii.gz").hu, VOLUME)
    (tmp_path / "b.nii.gz").write_bytes(packed[:-200])
    with pytest.raises(ImageReadError, match="cut short or damaged"):
        read_ct(tmp_path / "b.nii.gz")


def test_nifti_with_damaged_middle_is_refused(tmp_path: Path) -> None:
    path = save_nifti(tmp_path / "a.nii.gz", np.eye(4))
    data = bytearray(path.read_bytes())
    data[len(data) // 2 : len(data) // 2 + 40] = b"\xff" * 40
    path.write_bytes(bytes(data))
    with pytest.raises(ImageReadError, match=r"a\.nii\.gz"):
        read_ct(path)


def test_big_endian_nifti_is_understood(tmp_path: Path) -> None:
    path = tmp_path / "big.nii"
    swapped = nib.Nifti1Header().as_byteswapped(">")
    nib.save(nib.Nifti1Image(VOLUME.transpose(2, 1, 0), np.eye(4), header=swapped), path)
    assert path.read_bytes()[:4] == b"\0\0\x01\x5c"
    np.testing.assert_array_equal(read_ct(path).hu, VOLUME)
    raw = path.read_bytes()
    path.write_bytes(raw[:-2])
    with pytest.raises(
        ImageReadError, match=f"{len(raw) - 2} bytes, its header promises {len(raw)}"
    ):
        read_ct(path)


def test_nifti2_is_named_as_what_it_is(tmp_path: Path) -> None:
    nib.save(nib.Nifti2Image(VOLUME.transpose(2, 1, 0), np.eye(4)), tmp_path / "a.nii.gz")
    with pytest.raises(ImageReadError, match=r"NIfTI-2.*nibabel"):
        read_ct(tmp_path / "a.nii.gz")


@pytest.mark.parametrize("index", ["1", 1.0, -1, 3])
def test_slices_that_are_not_there(tmp_path: Path, index: object) -> None:
    path = save_nifti(tmp_path / "a.nii", np.eye(4))
    with pytest.raises(ImageReadError, match=r"whole number|slices 0 to 2"):
        read_ct(path, index)  # type: ignore[arg-type]


def test_missing_file_offers_near_names(tmp_path: Path) -> None:
    save_nifti(tmp_path / "patient_01.nii.gz", np.eye(4))
    with pytest.raises(ImageReadError, match=r"does not exist\. Did you mean patient_01\.nii\.gz"):
        read_ct(tmp_path / "patient_1.nii.gz")


def test_text_named_like_an_image(tmp_path: Path) -> None:
    for name in ("a.nii", "a.nii.gz", "a.nrrd", "a.mha", "a.dcm", "a.txt", "a"):
        (tmp_path / name).write_text("not an image, " * 100)
        with pytest.raises(ImageReadError, match=r"DICOM|NIfTI"):
            read_ct(tmp_path / name)


def test_plain_image_as_ct_says_what_to_set(tmp_path: Path) -> None:
    Image.new("L", (4, 4)).save(tmp_path / "a.png")
    with pytest.raises(ImageReadError, match="hu_window=None"):
        read_ct(tmp_path / "a.png")


def test_sagittal_volume_is_not_axial(tmp_path: Path) -> None:
    image = sitk.DICOMOrient(sitk.GetImageFromArray(VOLUME), "PIR")
    sitk.WriteImage(image, str(tmp_path / "a.nrrd"))
    assert not read_ct(tmp_path / "a.nrrd").is_axial
    tilted = math.radians(20)
    c, s = math.cos(tilted), math.sin(tilted)
    assert CTImage(VOLUME, direction=(1, 0, 0, 0, c, -s, 0, s, c)).is_axial


def test_slices_know_their_place() -> None:
    c, s = math.cos(0.3), math.sin(0.3)
    ct = CTImage(VOLUME, (4.0, 0.8, 0.8), (1, 0, 0, 0, c, -s, 0, s, c), (1.0, 2.0, 3.0))
    image = sitk.GetImageFromArray(VOLUME)
    image.SetSpacing((0.8, 0.8, 4.0))
    image.SetDirection(ct.direction)
    image.SetOrigin(ct.origin)
    for k in range(3):
        assert ct.slice(k).origin == pytest.approx(image.TransformIndexToPhysicalPoint((0, 0, k)))
    assert ct.slice(-1).origin == ct.slice(2).origin
    with pytest.raises(DataError, match="slices 0 to 2; slice 3"):
        ct.slice(3)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"array": VOLUME[0]}, "2 dimensions"),
        ({"array": VOLUME.tolist()}, "array is a list; wanted a numpy array"),
        ({"array": VOLUME, "spacing": (1.0, 1.0)}, "spacing has 2 numbers; wanted 3"),
        ({"array": VOLUME, "spacing": (1.0, 0.0, 1.0)}, "wanted mm above 0"),
        ({"array": VOLUME, "direction": (1.0, 0.0)}, "direction has 2"),
    ],
)
def test_images_made_wrongly(arguments: dict, message: str) -> None:
    with pytest.raises(DataError, match=message):
        CTImage(**arguments)


def test_a_tiff_of_several_pages_is_refused(tmp_path: Path) -> None:
    """All but the first would be ignored, so that one page served every slice."""
    pages = [Image.fromarray(np.full((4, 5), k, np.uint8)) for k in range(3)]
    pages[0].save(tmp_path / "stack.tif", save_all=True, append_images=pages[1:])
    for read in (read_image, read_mask):
        with pytest.raises(DataError, match=r"stack\.tif: has 3 pages; wanted one slice a file"):
            read(tmp_path / "stack.tif")
    pages[2].save(tmp_path / "one.tif")
    assert read_mask(tmp_path / "one.tif").classes == (2,)


def test_a_thumbnail_in_a_tiff_is_no_page(tmp_path: Path) -> None:
    smaller = TiffImagePlugin.ImageFileDirectory_v2()
    smaller[254] = 1  # NewSubfileType: a reduced copy of another page
    with TiffImagePlugin.AppendingTiffWriter(str(tmp_path / "scan.tif"), True) as file:
        Image.fromarray(np.full((64, 48), 7, np.uint8)).save(file, format="TIFF")
        file.newFrame()
        Image.fromarray(np.full((8, 6), 3, np.uint8)).save(file, format="TIFF", tiffinfo=smaller)
        file.newFrame()
    read = read_image(tmp_path / "scan.tif")
    assert read.shape == (64, 48)
    assert (read == 7).all()


def test_a_plain_image_of_absurd_size_is_refused_by_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    Image.new("L", (64, 64)).save(tmp_path / "big.png")
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 1000)
    with pytest.raises(ImageReadError, match=r"big\.png: is too large"):
        read_image(tmp_path / "big.png")


def test_plain_images_keep_their_values(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    grey = rng.integers(0, 256, (5, 7), np.uint8)
    deep = rng.integers(0, 65536, (5, 7), np.uint16)
    colour = rng.integers(0, 256, (5, 7, 3), np.uint8)
    real = rng.normal(size=(5, 7)).astype(np.float32)
    for name, array in {
        "g.png": grey,
        "g.tif": grey,
        "g.bmp": grey,
        "d.png": deep,
        "d.tif": deep,
        "c.png": colour,
        "c.tif": colour,
        "r.tif": real,
    }.items():
        Image.fromarray(array).save(tmp_path / name)
        found = read_image(tmp_path / name)
        np.testing.assert_array_equal(found, array, err_msg=name)
        assert found.dtype == array.dtype, name
    Image.fromarray(np.dstack([colour, grey])).save(tmp_path / "rgba.png")
    np.testing.assert_array_equal(read_image(tmp_path / "rgba.png"), colour)
    Image.fromarray(grey > 99).save(tmp_path / "bits.png")
    np.testing.assert_array_equal(read_image(tmp_path / "bits.png"), (grey > 99) * 255)
    Image.fromarray(colour).save(tmp_path / "c.jpg", quality=95)
    assert read_image(tmp_path / "c.jpg").shape == (5, 7, 3)


@pytest.mark.parametrize("name", ["a.png", "a.jpg", "a.tif"])
@pytest.mark.parametrize("keep", [0.0, 0.3, 0.8])
def test_plain_images_cut_short(tmp_path: Path, name: str, keep: float) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (64, 64), np.uint8)
    Image.fromarray(noise).save(tmp_path / name)
    data = (tmp_path / name).read_bytes()
    (tmp_path / name).write_bytes(data[: int(len(data) * keep)])
    with pytest.raises(ImageReadError, match=name):
        read_image(tmp_path / name)
