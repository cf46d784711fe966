"""Rescales, padding and file names that are odd and yet right: nothing is lost to them."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk
from ct_exports import body, enhanced, problems_of, save, slice_of, write_series
from pydicom.uid import RLELossless

from muscletransfer.data import Manifest, read_ct
from muscletransfer.data.dicom import pixels
from muscletransfer.data.indexing import index_images
from muscletransfer.data.indexing.pixels import PixelReport, check_pixels_of
from muscletransfer.data.io.volume import read_file
from muscletransfer.errors import ImageReadError


def hu_of(folder: Path) -> np.ndarray:
    """HU of the one series that an index of the folder lists, of which nothing was left out."""
    found = index_images(folder / "in", folder / "out" / "manifest.csv", workers=0)
    assert problems_of(found.problems_csv) == []
    (row,) = Manifest.read(found.manifest).rows
    return read_ct(row.image).hu


@pytest.mark.parametrize("frames", [False, True])
def test_equal_rescales_among_rescales_of_their_own_are_chance(
    frames: bool, tmp_path: Path
) -> None:
    hu = np.stack([body(k) for k in range(12)])
    intercepts = [-1000 - max(k, 1) for k in range(12)]  # the first two are equal
    if frames:
        rescales = [(1.0, float(b)) for b in intercepts]
        save(enhanced(hu, [5.0 * k for k in range(12)], rescales=rescales), tmp_path / "in" / "f")
    else:
        for k in range(12):
            save(slice_of(hu[k], 5.0 * k, intercept=intercepts[k]), tmp_path / "in" / str(k))
    np.testing.assert_array_equal(hu_of(tmp_path), hu)


@pytest.mark.parametrize("padding", [-2000, -8192, -32768])
def test_padding_that_the_header_declares_is_no_value(padding: int, tmp_path: Path) -> None:
    y, x = np.indices((24, 28))
    outside = np.hypot((y - 11.5) / 12, (x - 13.5) / 14) > 0.95
    assert outside.mean() > 0.2
    stored = []
    for k in range(3):
        ds = slice_of(body(k), 5.0 * k, PixelPaddingValue=padding)
        pixels = np.frombuffer(ds.PixelData, "<i2").reshape(24, 28).copy()
        pixels[outside] = padding
        ds.PixelData = pixels.tobytes()
        save(ds, tmp_path / "in" / str(k))
        stored.append(pixels.astype(int) - 1024)
    np.testing.assert_array_equal(hu_of(tmp_path), stored)


def test_every_frame_of_a_compressed_file_is_checked_by_one_decoding(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ds = enhanced(np.stack([body(k) for k in range(6)]), [5.0 * k for k in range(6)])
    ds.compress(RLELossless, generate_instance_uid=False)
    file = str(save(ds, tmp_path / "f"))
    decoded = []

    def counting(path: Path, reader: str) -> sitk.Image:
        decoded.append(path)
        return read_file(path, reader)

    monkeypatch.setattr(pixels, "read_file", counting)
    assert check_pixels_of(([file], True)) == PixelReport()
    assert len(decoded) == 1


def test_a_name_that_is_no_utf8_is_told_and_stops_nothing(tmp_path: Path) -> None:
    write_series(tmp_path / "in", 3)
    folder = os.fsencode(tmp_path / "in")
    try:
        with open(folder + b"/M\xfcller.txt", "wb") as file:
            file.write(b"a note")
    except OSError:
        pytest.skip("this file system takes names in UTF-8 alone")
    found = index_images(tmp_path / "in", tmp_path / "out" / "manifest.csv", workers=0)
    assert found.rows == 1
    (row,) = problems_of(found.problems_csv)
    assert row["file"].endswith("M\\xfcller.txt")
    assert row["reason"] == "has a name that is no UTF-8"


def test_a_root_that_is_no_utf8_is_refused_before_anything_is_written(tmp_path: Path) -> None:
    root = Path(os.fsdecode(os.fsencode(tmp_path) + b"/caf\xe9"))
    try:
        write_series(root, 3)
    except OSError:
        pytest.skip("this file system takes names in UTF-8 alone")
    with pytest.raises(ImageReadError, match=r"caf\\xe9: a name that is no UTF-8"):
        index_images(root, tmp_path / "out" / "manifest.csv", workers=0)
    assert not (tmp_path / "out").exists()
