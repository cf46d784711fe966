"""Pixels of every transfer syntax, against the numbers that were written and against pydicom."""

from __future__ import annotations

import io
import sys
import tempfile
from pathlib import Path

import numpy as np
import pydicom
import pytest
import SimpleITK as sitk
from PIL import Image
from pydicom.dataset import Dataset
from pydicom.encaps import encapsulate, generate_frames
from pydicom.uid import (
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    ImplicitVRLittleEndian,
    JPEG2000Lossless,
    JPEGLosslessSV1,
    JPEGLSLossless,
    RLELossless,
)

from muscletransfer.data import read_ct
from muscletransfer.data.dicom.facts import read_facts
from muscletransfer.errors import GeometryError, ImageReadError

sys.path.insert(0, str(Path(__file__).parent / "indexing"))
from ct_exports import body, enhanced, save, slice_of

HU = body(3, (40, 33)).clip(-1024)


def jpeg_lossless(stored: np.ndarray) -> bytes:
    """One JPEG process 14 frame, encoded by GDCM through SimpleITK."""
    with tempfile.TemporaryDirectory() as folder:
        writer = sitk.ImageFileWriter()
        writer.SetImageIO("GDCMImageIO")
        writer.UseCompressionOn()
        writer.SetCompressor("JPEG")
        writer.SetFileName(f"{folder}/f.dcm")
        writer.Execute(sitk.GetImageFromArray(stored))
        ds = pydicom.dcmread(f"{folder}/f.dcm")
        return next(generate_frames(ds.PixelData, number_of_frames=1))


def compressed(ds: Dataset, syntax: str) -> Dataset:
    """The data set with its pixels under another transfer syntax."""
    shape = (-1, ds.Rows, ds.Columns)
    kind = "<i2" if ds.PixelRepresentation else "<u2"
    frames = np.frombuffer(ds.PixelData, kind).reshape(shape)
    if syntax in (RLELossless, JPEGLSLossless):
        ds.compress(syntax, generate_instance_uid=False)
        return ds
    encoded = []
    for frame in frames:
        if syntax == JPEG2000Lossless:
            packed = io.BytesIO()
            Image.fromarray(frame.astype(np.uint16)).save(
                packed, "JPEG2000", irreversible=False, no_jp2=True
            )
            encoded.append(packed.getvalue())
        else:
            encoded.append(jpeg_lossless(frame))
    ds.PixelData = encapsulate(encoded)
    ds["PixelData"].VR = "OB"
    ds.file_meta.TransferSyntaxUID = syntax
    return ds


def unsigned(ds: Dataset) -> Dataset:
    """Stored as 12 bits without sign, as most scanners do."""
    stored = np.frombuffer(ds.PixelData, "<i2").clip(0, 4095)
    ds.PixelRepresentation, ds.BitsStored, ds.HighBit = 0, 12, 11
    ds.PixelData = stored.astype("<u2").tobytes()
    return ds


LOSSLESS = [RLELossless, JPEGLSLossless, JPEG2000Lossless, JPEGLosslessSV1]


@pytest.mark.parametrize("photometric", ["MONOCHROME2", "MONOCHROME1"])
@pytest.mark.parametrize("syntax", LOSSLESS, ids=[s.name[:22] for s in LOSSLESS])
def test_compressed_pixels_give_the_hu_that_went_in(
    syntax: str, photometric: str, tmp_path: Path
) -> None:
    ds = unsigned(slice_of(HU, PhotometricInterpretation=photometric))
    file = save(compressed(ds, syntax), tmp_path / "f.dcm")
    ct = read_ct(file)
    np.testing.assert_array_equal(ct.hu[0], HU)
    assert (ct.hu.dtype, ct.spacing) == (np.int16, (5.0, 0.8, 0.7))


@pytest.mark.parametrize("syntax", [RLELossless, JPEGLSLossless], ids=["RLE", "JPEG-LS"])
@pytest.mark.parametrize("photometric", ["MONOCHROME2", "MONOCHROME1"])
def test_signed_compressed_pixels(syntax: str, photometric: str, tmp_path: Path) -> None:
    ds = slice_of(HU, PhotometricInterpretation=photometric, RescaleSlope=2)
    ds.PixelData = ((HU.astype(int) // 2 + 512).astype("<i2")).tobytes()
    file = save(compressed(ds, syntax), tmp_path / "f.dcm")
    np.testing.assert_array_equal(read_ct(file).hu[0], HU // 2 * 2)


@pytest.mark.parametrize("syntax", [*LOSSLESS[:3], None], ids=["RLE", "JPEG-LS", "J2K", "plain"])
def test_enhanced_frames_are_sorted_and_rescaled(syntax: str | None, tmp_path: Path) -> None:
    hu = np.stack([body(k, (40, 33)) for k in range(3)]).clip(-1024)
    ds = unsigned(enhanced(hu[[1, 2, 0]], [5.0, 10.0, 0.0]))
    if syntax:
        ds = compressed(ds, syntax)
    ct = read_ct(save(ds, tmp_path / "f.dcm"))
    np.testing.assert_array_equal(ct.hu, hu)
    assert ct.spacing == pytest.approx((5.0, 0.8, 0.7))
    assert ct.origin == (-100, -90, 0)


def test_compressed_frames_with_a_rescale_each_are_refused(tmp_path: Path) -> None:
    hu = np.stack([body(k, (40, 33)) for k in range(2)])
    ds = enhanced(hu, [0.0, 5.0], rescales=[(1.0, -1024.0), (1.0, -1000.0)])
    file = save(ds, tmp_path / "f.dcm")
    np.testing.assert_array_equal(read_ct(file).hu, hu)
    ds.compress(RLELossless, generate_instance_uid=False)
    with pytest.raises(ImageReadError, match=r"compressed.*2 different rescales"):
        read_ct(save(ds, tmp_path / "f.dcm"))


def test_enhanced_frames_at_one_place_are_refused(tmp_path: Path) -> None:
    hu = np.stack([body(k) for k in range(2)])
    with pytest.raises(GeometryError, match="frame 1 and frame 2 lie at the same place"):
        read_ct(save(enhanced(hu, [5.0, 5.0]), tmp_path / "f.dcm"))


@pytest.mark.parametrize(
    ("allocated", "stored", "high", "signed"),
    [(16, 16, 15, 1), (16, 12, 11, 0), (16, 12, 11, 1), (16, 13, 14, 1), (32, 24, 23, 1)],
)
@pytest.mark.parametrize("rescale", [(1.0, -1024.0), (2.0, -1000.0), (0.5, -0.25), (1.0, 0.0)])
def test_bits_and_rescale_equal_pydicom(
    allocated: int,
    stored: int,
    high: int,
    signed: int,
    rescale: tuple[float, float],
    tmp_path: Path,
) -> None:
    rng = np.random.default_rng(0)
    low, top = (-(2 ** (stored - 1)), 2 ** (stored - 1)) if signed else (0, 2**stored)
    values = rng.integers(max(low, -30000), min(top, 30000), (8, 9))
    ds = slice_of(
        np.zeros((8, 9), np.int16),
        BitsAllocated=allocated,
        BitsStored=stored,
        HighBit=high,
        PixelRepresentation=signed,
        RescaleSlope=rescale[0],
        RescaleIntercept=rescale[1],
    )
    raw = (values & (2**stored - 1)) << (high + 1 - stored)
    if high < allocated - 1:  # an overlay in the bit above the pixel, which is no part of it
        raw |= rng.integers(0, 2, raw.shape) << (allocated - 1)
    ds.PixelData = raw.astype(f"<u{allocated // 8}").tobytes()
    got = read_ct(save(ds, tmp_path / "f.dcm"), assume_hu=True).hu[0]
    np.testing.assert_allclose(got, values * rescale[0] + rescale[1], rtol=1e-6)


@pytest.mark.parametrize(
    "syntax", [ImplicitVRLittleEndian, ExplicitVRBigEndian, DeflatedExplicitVRLittleEndian]
)
def test_plain_encodings(syntax: str, tmp_path: Path) -> None:
    ds = slice_of(HU)
    ds.file_meta.TransferSyntaxUID = syntax
    ds["PixelData"].VR = "OW"
    if syntax == ExplicitVRBigEndian:
        ds.PixelData = np.frombuffer(ds.PixelData, "<i2").astype(">i2").tobytes()
    file = tmp_path / "f.dcm"
    pydicom.dcmwrite(
        file,
        ds,
        implicit_vr=syntax == ImplicitVRLittleEndian,
        little_endian=syntax != ExplicitVRBigEndian,
        enforce_file_format=True,
    )
    expected = pydicom.dcmread(file)
    ct = read_ct(file)
    np.testing.assert_array_equal(ct.hu[0], expected.pixel_array - 1024)
    np.testing.assert_array_equal(ct.hu[0], HU)
    assert ct.spacing == (5.0, 0.8, 0.7)
    assert read_facts(file).person.patient_id == "HOSP-1234"


@pytest.mark.parametrize("implicit", [True, False])
def test_file_without_preamble_or_ending(implicit: bool, tmp_path: Path) -> None:
    ds = slice_of(HU)
    ds["PixelData"].VR = "OW"
    del ds.file_meta
    pydicom.dcmwrite(tmp_path / "IM1", ds, implicit_vr=implicit, little_endian=True)
    assert (tmp_path / "IM1").read_bytes()[128:132] != b"DICM"
    np.testing.assert_array_equal(read_ct(tmp_path / "IM1").hu[0], HU)


def test_deflated_damage_is_named(tmp_path: Path) -> None:
    ds = slice_of(HU)
    ds.file_meta.TransferSyntaxUID = DeflatedExplicitVRLittleEndian
    file = save(ds, tmp_path / "f.dcm")
    data = file.read_bytes()
    file.write_bytes(data[:-200])
    with pytest.raises(ImageReadError, match="deflated data set is"):
        read_ct(file)
    middle = len(data) // 2
    file.write_bytes(data[:middle] + b"\xff" * 30 + data[middle + 30 :])
    with pytest.raises(ImageReadError, match=r"f\.dcm"):
        read_ct(file)


@pytest.mark.parametrize("syntax", LOSSLESS, ids=[s.name[:22] for s in LOSSLESS])
def test_compressed_pixels_cut_short_are_named(syntax: str, tmp_path: Path) -> None:
    file = save(compressed(unsigned(slice_of(HU)), syntax), tmp_path / "f.dcm")
    data = file.read_bytes()
    for keep in (len(data) - 1, len(data) - 60, len(data) - 300):
        file.write_bytes(data[:keep])
        with pytest.raises(ImageReadError, match=r"f\.dcm.*cut short"):
            read_ct(file)


def test_missing_spacing_is_unknown_and_never_one_millimetre(tmp_path: Path) -> None:
    ct = read_ct(save(slice_of(HU, PixelSpacing=None), tmp_path / "f.dcm"))
    assert ct.slice_spacing is None
    assert ct.spacing[0] == 5.0
