"""Masks: values, geometry against the image, writing to the bit, nothing half-written."""

from __future__ import annotations

import dataclasses
import math
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
import SimpleITK as sitk
from dicom_files import body, write_slice
from PIL import Image

from muscletransfer.data import CTImage, MaskImage, read_ct, read_mask, write_mask
from muscletransfer.errors import DataError, GeometryError, ImageReadError

C, S = math.cos(0.2), math.sin(0.2)
CT = CTImage(
    np.stack([body((8, 10), k) for k in range(3)]),
    (4.1, 0.7, 1 / 3),
    (1, 0, 0, 0, C, -S, 0, S, C),
    (-12.345678901234, 5 / 7, 900.1),
)
LABELS = np.random.default_rng(0).integers(0, 4, CT.shape, np.uint8)


@pytest.mark.parametrize("ending", ["nrrd", "mha", "nii", "nii.gz"])
def test_written_mask_has_the_grid_of_its_image(tmp_path: Path, ending: str) -> None:
    path = write_mask(LABELS, tmp_path / "new" / f"m.{ending}", CT)
    back = read_mask(path, reference=CT)
    np.testing.assert_array_equal(back.labels, LABELS)
    assert back.labels.dtype == np.uint8
    assert back.classes == (0, 1, 2, 3)
    if not ending.startswith("nii"):
        assert (back.spacing, back.origin) == (CT.spacing, CT.origin)
        np.testing.assert_allclose(back.direction, CT.direction, atol=1e-15)
    assert [p.name for p in path.parent.iterdir()] == [path.name]


@pytest.mark.parametrize("ending", ["nii.gz", "nii"])
def test_nifti_mask_of_a_nifti_image_is_on_its_grid_to_the_bit(tmp_path: Path, ending: str) -> None:
    affine = np.array([[0.7, 0.1, 0, 3.3], [-0.1, 0.7, 0, 1 / 3], [0, 0, 5.1, 9], [0, 0, 0, 1]])
    nib.save(nib.Nifti1Image(CT.hu.transpose(2, 1, 0), affine), tmp_path / "ct.nii.gz")
    ct = read_ct(tmp_path / "ct.nii.gz")
    back = read_mask(write_mask(LABELS, tmp_path / f"m.{ending}", ct))
    assert (back.spacing, back.origin) == (ct.spacing, ct.origin)
    np.testing.assert_allclose(back.direction, ct.direction, atol=1e-7)
    ours, theirs = (nib.load(tmp_path / n).affine for n in (f"m.{ending}", "ct.nii.gz"))
    np.testing.assert_allclose(ours, theirs, atol=1e-6)


def test_slice_of_a_dicom_series(tmp_path: Path) -> None:
    folder = tmp_path / "s"
    folder.mkdir()
    for k in range(3):
        write_slice(folder / f"{k}.dcm", body((8, 10), k), position=(0, 0, 5 * k))
    volume, one = read_ct(folder), read_ct(folder, slice_index=1)
    mask = LABELS[1]
    whole = read_mask(write_mask(mask, tmp_path / "v.nii.gz", volume, slice_index=1), volume)
    np.testing.assert_array_equal(whole.labels[1], mask)
    assert not whole.labels[[0, 2]].any()
    single = read_mask(write_mask(mask, tmp_path / "s.nrrd", one), one)
    np.testing.assert_array_equal(single.labels[0], mask)
    assert single.origin == (0, 0, 5)
    with pytest.raises(GeometryError, match=r"differ in origin.*\(0, 0, 5\).*\(0, 0, 0\)"):
        read_mask(tmp_path / "s.nrrd", volume.slice(0))


def test_unknown_slice_spacing_is_not_compared(tmp_path: Path) -> None:
    ct = read_ct(write_slice(tmp_path / "a.dcm", body((8, 10)), thickness=None))
    assert math.isnan(ct.spacing[0])
    assert read_mask(write_mask(LABELS[0], tmp_path / "m.nii.gz", ct), ct).spacing[0] == 1.0


@pytest.mark.parametrize(
    ("change", "what"),
    [
        ({"array": LABELS[:2]}, "shape"),
        ({"array": LABELS.transpose(0, 2, 1)}, "shape"),
        ({"spacing": (4.1, 0.71, 1 / 3)}, "spacing"),
        ({"origin": (-12.3, 5 / 7, 900.1)}, "origin"),
        ({"direction": (1, 0, 0, 0, 1, 0, 0, 0, 1)}, "direction"),
        ({"spacing": (4.1, 0.9, 0.9), "origin": (0, 0, 0)}, "spacing and origin"),
    ],
)
def test_mask_of_another_grid_is_refused_with_both(tmp_path: Path, change: dict, what: str) -> None:
    other = dataclasses.replace(MaskImage(LABELS, CT.spacing, CT.direction, CT.origin), **change)
    path = write_mask(other, tmp_path / "m.nrrd", other)
    with pytest.raises(GeometryError, match=rf"m\.nrrd.*differ in {what}: the mask has shape"):
        read_mask(path, CT)


def test_small_differences_of_writing_are_accepted(tmp_path: Path) -> None:
    near = dataclasses.replace(CT, origin=tuple(o + 0.01 for o in CT.origin))
    read_mask(write_mask(LABELS, tmp_path / "m.nii.gz", near), CT)


def test_float_masks_of_whole_numbers_are_masks_and_others_not(tmp_path: Path) -> None:
    path = tmp_path / "m.nii.gz"
    sitk.WriteImage(sitk.GetImageFromArray(LABELS.astype(np.float32)), str(path))
    np.testing.assert_array_equal(read_mask(path).labels, LABELS)
    sitk.WriteImage(sitk.GetImageFromArray(LABELS.astype(np.float32) * 0.5), str(path))
    with pytest.raises(DataError, match=r"m\.nii\.gz: holds [01]\.5; wanted class indices"):
        read_mask(path)


def test_values_outside_those_wanted_are_listed(tmp_path: Path) -> None:
    path = write_mask(LABELS, tmp_path / "m.nrrd", CT)
    assert read_mask(path, values=range(4)).classes == (0, 1, 2, 3)
    with pytest.raises(DataError, match=r"holds the values 2, 3; wanted only \[0, 1\]"):
        read_mask(path, values=(0, 1))
    sitk.WriteImage(sitk.GetImageFromArray(LABELS.astype(np.int16) - 1), str(path))
    with pytest.raises(DataError, match="from -1 to 2"):
        read_mask(path)


def test_many_classes_keep_their_numbers(tmp_path: Path) -> None:
    wide = np.full((1, 3, 3), 300)
    reference = CTImage(wide - 1000)
    back = read_mask(write_mask(wide, tmp_path / "m.nii.gz", reference))
    assert back.labels.dtype == np.uint16
    assert back.classes == (300,)


def test_plain_masks(tmp_path: Path) -> None:
    path = write_mask(LABELS[0], tmp_path / "m.png")
    np.testing.assert_array_equal(read_mask(path).labels, LABELS[:1])
    one = CT.slice(0)
    assert read_mask(path, one).spacing == one.spacing
    with pytest.raises(GeometryError, match=r"\(8, 10\).*\(3, 8, 10\)"):
        read_mask(path, CT)
    palette = Image.fromarray(LABELS[0]).convert("P")
    palette.putdata(LABELS[0].ravel().tolist())
    palette.putpalette([9, 9, 9, 200, 0, 0, 0, 200, 0, 0, 0, 200])
    palette.save(tmp_path / "p.png")
    np.testing.assert_array_equal(read_mask(tmp_path / "p.png").labels, LABELS[:1])
    drawing = np.where(LABELS[0] > 1, 255, 0).astype(np.uint8)
    Image.fromarray(drawing).save(tmp_path / "d.png")
    np.testing.assert_array_equal(read_mask(tmp_path / "d.png").labels[0], LABELS[0] > 1)
    Image.fromarray(drawing > 0).save(tmp_path / "b.png")
    np.testing.assert_array_equal(read_mask(tmp_path / "b.png").labels[0], LABELS[0] > 1)
    grey_as_colour = np.repeat(LABELS[0][..., None], 3, 2)
    Image.fromarray(grey_as_colour).save(tmp_path / "g.png")
    np.testing.assert_array_equal(read_mask(tmp_path / "g.png").labels, LABELS[:1])
    ignore = np.array([[0, 1, 255]], np.uint8)
    Image.fromarray(ignore).save(tmp_path / "i.png")
    assert read_mask(tmp_path / "i.png").classes == (0, 1, 255)


def test_a_mask_of_another_grid_is_not_written_as_if_it_lay_on_it(tmp_path: Path) -> None:
    """A flipped mask would come out mirrored."""
    flipped = np.array(CT.direction).reshape(3, 3) * (-1, 1, 1)
    step = np.array(CT.direction).reshape(3, 3)[:, 0] * CT.spacing[2] * (CT.shape[2] - 1)
    origin = tuple(float(v) for v in np.array(CT.origin) + step)
    turned = MaskImage(LABELS[..., ::-1].copy(), CT.spacing, tuple(flipped.ravel()), origin)
    path = tmp_path / "m.nrrd"
    with pytest.raises(GeometryError, match=r"direction and origin.*Leave reference out"):
        write_mask(turned, path, CT)
    assert not path.exists()
    back = read_mask(write_mask(turned, path))
    np.testing.assert_array_equal(back.labels, turned.labels)
    assert (back.spacing, back.origin) == (turned.spacing, turned.origin)
    np.testing.assert_allclose(back.direction, turned.direction, atol=1e-15)
    np.testing.assert_array_equal(
        read_mask(write_mask(turned.labels, path, CT)).labels, LABELS[..., ::-1]
    )
    same = MaskImage(LABELS, CT.spacing, CT.direction, CT.origin)
    np.testing.assert_array_equal(read_mask(write_mask(same, path, CT), CT).labels, LABELS)
    second = read_mask(write_mask(same.one_slice(1), path, CT, slice_index=1), CT)
    np.testing.assert_array_equal(second.labels[1], LABELS[1])
    with pytest.raises(GeometryError, match="differ in origin"):
        write_mask(same.one_slice(1), path, CT, slice_index=2)


def test_a_mask_that_does_not_know_its_place_is_not_written_at_zero(tmp_path: Path) -> None:
    """A slice of a series with uneven gaps, and a volume without the gap between its slices."""
    uneven = MaskImage(LABELS, (math.nan, *CT.spacing[1:]), CT.direction, CT.origin)
    path = tmp_path / "m.nrrd"
    for mask in (uneven, uneven.slice(2)):
        with pytest.raises(DataError, match="pass the image as reference"):
            write_mask(mask, path)
        assert not path.exists()
    whole = read_mask(write_mask(uneven.slice(2), path, CT, slice_index=2), CT)
    np.testing.assert_array_equal(whole.labels[2], LABELS[2])
    assert read_mask(write_mask(uneven, path, CT), CT).spacing == CT.spacing
    assert read_mask(write_mask(uneven.slice(0), path)).origin == CT.origin


def test_a_mask_of_a_plain_image_takes_the_grid_of_its_reference(tmp_path: Path) -> None:
    plain = read_mask(write_mask(LABELS[0], tmp_path / "m.png"))
    back = read_mask(write_mask(plain, tmp_path / "m.nrrd", CT, slice_index=2), CT)
    np.testing.assert_array_equal(back.labels[2], LABELS[0])
    with pytest.raises(DataError, match="pass the image as reference"):
        write_mask(plain, tmp_path / "n.nrrd")


def test_not_annotated_alone_is_no_drawing(tmp_path: Path) -> None:
    """Read back it would be class 1."""
    mask = np.array([[0, 255], [0, 0]])
    with pytest.raises(DataError, match="read as a drawing, in which 255 is class 1"):
        write_mask(mask, tmp_path / "m.png")
    assert list(tmp_path.iterdir()) == []
    for other in (mask * 0, mask * 0 + 255, np.array([[0, 255], [0, 1]])):
        back = read_mask(write_mask(other, tmp_path / "m.png"))
        np.testing.assert_array_equal(back.labels[0], other)


def test_plain_masks_that_cannot_be(tmp_path: Path) -> None:
    Image.fromarray(LABELS[0]).save(tmp_path / "m.jpg")
    with pytest.raises(DataError, match="JPEG, whose compression changes"):
        read_mask(tmp_path / "m.jpg")
    colour = np.zeros((4, 4, 3), np.uint8)
    colour[..., 0] = 200
    Image.fromarray(colour).save(tmp_path / "c.png")
    with pytest.raises(DataError, match="colour image"):
        read_mask(tmp_path / "c.png")
    (tmp_path / "z.png").touch()
    with pytest.raises(ImageReadError, match="0 bytes"):
        read_mask(tmp_path / "z.png")


@pytest.mark.parametrize(
    ("mask", "arguments", "error", "message"),
    [
        (LABELS[:2], {}, GeometryError, r"\(2, 8, 10\), the reference  \(3, 8, 10\)"),
        (LABELS[0], {}, GeometryError, "Pass slice_index"),
        (LABELS[0, :4], {"slice_index": 1}, GeometryError, r"\(1, 4, 10\), a slice"),
        (LABELS[0], {"slice_index": 3}, GeometryError, "slices 0 to 2"),
        (LABELS * 0.3, {}, DataError, "whole numbers"),
        (LABELS.astype(int) - 1, {}, DataError, "from -1"),
        (np.full(CT.shape, np.nan), {}, DataError, "holds nan"),
        (LABELS, {"name": "m.png"}, DataError, "cannot hold a grid"),
        (LABELS, {"reference": "ct.nii.gz"}, DataError, r"reference is a str; wanted.*read_ct"),
        (LABELS[:0], {}, DataError, r"is empty, shape \(0, 8, 10\)"),
        (LABELS, {"name": "m.jpg"}, DataError, "cannot hold a grid"),
        (LABELS, {"name": "m.nii.gz", "reference": None}, DataError, "pass the image as ref"),
        (LABELS, {"name": "m.png", "reference": None}, DataError, r"wanted \(H, W\)"),
    ],
)
def test_masks_that_cannot_be_written_leave_nothing(
    tmp_path: Path, mask: np.ndarray, arguments: dict, error: type, message: str
) -> None:
    arguments = {"reference": CT, "name": "m.nii.gz", **arguments}
    path = tmp_path / arguments.pop("name")
    path.write_text("what was there before")
    with pytest.raises(error, match=message):
        write_mask(mask, path, **arguments)
    assert path.read_text() == "what was there before"
    assert list(tmp_path.iterdir()) == [path]


def test_failed_rename_leaves_no_temporary_file(tmp_path: Path) -> None:
    target = tmp_path / "m.nii.gz"
    target.mkdir()
    with pytest.raises(OSError, match="directory"):
        write_mask(LABELS, target, CT)
    assert list(tmp_path.iterdir()) == [target]
