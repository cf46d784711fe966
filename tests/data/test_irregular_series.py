"""Series that one origin and one gap do not describe, and files that hold half of an image."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk
from dicom_files import body, write_slice

from muscletransfer.data import Manifest, PreprocessingSpec, SliceCache, read_ct, read_mask
from muscletransfer.data import write_mask as write
from muscletransfer.data.dicom.series_list import image_digest
from muscletransfer.data.files import digest
from muscletransfer.data.io.grids import read_grid
from muscletransfer.errors import GeometryError

SPEC = PreprocessingSpec(size=16)


def masks_of(root: Path, rows: list[str], image: str = "ct") -> SliceCache:
    lines = [f"P,{image},{row}" for row in rows]
    (root / "m.csv").write_text("\n".join(["patient_id,image,mask,slice_index", *lines, ""]))
    manifest = Manifest.read(root / "m.csv", need_masks=True)
    return SliceCache.open_or_build(manifest, SPEC, root / "cache")


def series(folder: Path, places: list[float], angle: float = 0.0) -> None:
    folder.mkdir()
    c, s = round(math.cos(angle), 6), round(math.sin(angle), 6)
    for k, place in enumerate(places):
        where = {"position": (0.0, 0.0, place), "orientation": (1, 0, 0, 0, c, -s)}
        write_slice(folder / f"{k:03d}.dcm", body((16, 16), k), **where)


@pytest.mark.parametrize(("gap", "decimals"), [(0.625, 2), (1.171875, 2), (0.703125, 3)])
def test_rounded_positions_put_no_slice_elsewhere(
    gap: float, decimals: int, tmp_path: Path
) -> None:
    places = [round(k * gap, decimals) for k in range(60)]
    series(tmp_path / "ct", places)
    ct = read_ct(tmp_path / "ct")
    assert ct.spacing[0] == pytest.approx(places[-1] / 59, abs=1e-6)
    assert read_grid(tmp_path / "ct").gap_mm == pytest.approx(places[-1] / 59, abs=1e-6)
    for k in (1, 30, 59):
        assert ct.one_slice(k).origin[2] == pytest.approx(places[k], abs=0.011)


@pytest.mark.parametrize("how", ["missing", "tilted"])
def test_own_mask_of_an_irregular_series_fits_by_whatever_rows(how: str, tmp_path: Path) -> None:
    if how == "missing":
        series(tmp_path / "ct", [0.0, 5.0, 10.0, 20.0, 25.0])
    else:
        series(tmp_path / "ct", [5.0 * k for k in range(5)], angle=0.2)
    with pytest.warns(UserWarning, match="taken as unknown"):
        ct = read_ct(tmp_path / "ct")
    labels = np.zeros(ct.shape, np.uint8)
    for k in range(5):
        labels[k, 4:12, 4 : 8 + k] = 1
    write(labels, tmp_path / "own.nii.gz", ct)
    image = sitk.ReadImage(str(tmp_path / "own.nii.gz"))
    x, y, z = image.GetOrigin()
    image.SetOrigin((x, y, z + 20))
    sitk.WriteImage(image, str(tmp_path / "moved.nii.gz"))
    for slices in ([3], [1, 3]):
        cache = masks_of(tmp_path, [f"own.nii.gz,{k}" for k in slices])
        for row, k in enumerate(slices):
            np.testing.assert_array_equal(cache.native_mask(row), labels[k])
        with pytest.raises(GeometryError, match="differ in origin"):
            masks_of(tmp_path, [f"moved.nii.gz,{k}" for k in slices])


def test_a_mask_that_simpleitk_writes_for_one_slice_fits_it(tmp_path: Path) -> None:
    """SimpleITK gives a lone slice a gap of 1 mm, and its header a thickness of another."""
    write_slice(tmp_path / "ct.dcm", body((16, 16)), position=(0, 0, 12.5))
    image = sitk.ReadImage(str(tmp_path / "ct.dcm"))
    mask = sitk.Cast(image > 0, sitk.sitkUInt8)
    sitk.WriteImage(mask, str(tmp_path / "m.nii.gz"))
    ct = read_ct(tmp_path / "ct.dcm")
    assert ct.spacing[0] != image.GetSpacing()[2]
    wanted = sitk.GetArrayFromImage(mask)
    np.testing.assert_array_equal(read_mask(tmp_path / "m.nii.gz", reference=ct).labels, wanted)
    np.testing.assert_array_equal(
        masks_of(tmp_path, ["m.nii.gz,"], "ct.dcm").native_mask(0), wanted[0]
    )


@pytest.mark.parametrize("ending", ["mhd", "nhdr"])
def test_a_mask_of_two_files_is_read_again_when_its_voxels_change(
    ending: str, tmp_path: Path
) -> None:
    write_slice(tmp_path / "ct.dcm", body((16, 16)))
    ct = read_ct(tmp_path / "ct.dcm")
    hashes = []
    for side in (4, 7):
        labels = np.zeros((1, 16, 16), np.uint8)
        labels[:, 3 : 3 + side, 3 : 3 + side] = 1
        image = sitk.GetImageFromArray(labels)
        image.SetSpacing(ct.spacing[::-1])
        image.SetOrigin(ct.origin)
        sitk.WriteImage(image, str(tmp_path / f"m.{ending}"))
        header = (tmp_path / f"m.{ending}").read_bytes()
        assert len(header) < 1000  # and the voxels lie in a file beside it
        cache = masks_of(tmp_path, [f"m.{ending},"], "ct.dcm")
        assert int(cache.native_mask(0).sum()) == side**2
        hashes.append(Manifest.read(tmp_path / "m.csv").content_hash())
    assert hashes[0] != hashes[1]


@pytest.mark.parametrize(
    ("name", "header"),
    [
        ("m.nrrd", "NRRD0004\ntype: uint8\ndimension: 3\nsizes: 2 2 1\nencoding: raw\n{}\n"),
        ("m.mha", "NDims = 3\nDimSize = 2 2 1\nElementType = MET_UCHAR\n{}"),
    ],
    ids=["nrrd", "mha"],
)
def test_voxels_in_a_file_beside_the_header_count_whatever_its_ending(
    name: str, header: str, tmp_path: Path
) -> None:
    image, beside = tmp_path / name, tmp_path / "voxels.raw"
    line = "data file: {}\n" if name.endswith("nrrd") else "ElementDataFile = {}\n"
    image.write_text(header.format(line.format(beside.name)))
    hashes = set()
    for value in (1, 2):
        beside.write_bytes(bytes([value] * 4))
        assert sitk.GetArrayFromImage(sitk.ReadImage(str(image))).tolist() == [[[value] * 2] * 2]
        hashes.add(image_digest(image))
    assert len(hashes) == 2
    # voxels in the same file are not read as a header
    within = header.format("" if name.endswith("nrrd") else line.format("LOCAL"))
    image.write_bytes(within.encode() + b"\n" + line.format(beside.name).encode())
    assert image_digest(image) == digest(image)
