"""The walker over DICOM elements, against pydicom and against damage."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pydicom
import pytest
from pydicom.dataset import Dataset
from pydicom.sequence import Sequence
from pydicom.uid import ImplicitVRLittleEndian

from muscletransfer.data.dicom.elements import DicomDamage, NotDicom, read_elements
from muscletransfer.data.dicom.facts import read_facts

sys.path.insert(0, str(Path(__file__).parent / "indexing"))
from ct_exports import body, save, slice_of

TAGS = frozenset({0x00080018, 0x00100020, 0x00280010, 0x00200032, 0x00281052})


def nested(undefined: bool, depth: int = 3) -> Sequence:
    """A private-like sequence in sequences, of known or unknown length."""
    item = Dataset()
    item.PatientID, item.Rows = "NOT-THIS", 7  # tags that are wanted at the top, and not here
    if depth:
        item.ReferencedStudySequence = nested(undefined, depth - 1)
        item["ReferencedStudySequence"].is_undefined_length = undefined
    item.is_undefined_length_sequence_item = undefined
    return Sequence([item, Dataset()])


@pytest.mark.parametrize("undefined", [True, False])
@pytest.mark.parametrize("implicit", [True, False])
def test_sequences_are_passed_over_whatever_their_length(
    undefined: bool, implicit: bool, tmp_path: Path
) -> None:
    ds = slice_of(body())
    ds.ReferencedImageSequence = nested(undefined)
    ds["ReferencedImageSequence"].is_undefined_length = undefined
    block = ds.private_block(0x0031, "OTHER", create=True)
    block.add_new(0x02, "SQ", nested(undefined))
    block.add_new(0x03, "OB", bytes(70_000))  # longer than the first read
    block.add_new(0x04, "UN", b"abcd")
    if implicit:
        ds.file_meta.TransferSyntaxUID = ImplicitVRLittleEndian
        ds["PixelData"].VR = "OW"
    file = save(ds, tmp_path / "f")
    raw = read_elements(file, TAGS)
    again = pydicom.dcmread(file)
    assert raw.values[0x00100020].strip(b" \0") == again.PatientID.encode()
    assert raw.values[0x00280010] == (24).to_bytes(2, "little")
    assert raw.values[0x00080018].strip(b"\0").decode() == again.SOPInstanceUID
    data = file.read_bytes()
    assert data[raw.pixel_at : raw.pixel_at + raw.pixel_length] == again.PixelData


def test_every_field_equals_pydicom(tmp_path: Path) -> None:
    ds = slice_of(body(), GantryDetectorTilt="-3.5", FrameOfReferenceUID="1.2.9")
    ds.SpacingBetweenSlices, ds.AcquisitionNumber = 2.5, 7
    ds.BurnedInAnnotation, ds.PatientPosition, ds.RescaleType = "NO", "HFS", "HU"
    file = save(ds, tmp_path / "f")
    facts, again = read_facts(file), pydicom.dcmread(file)
    (frame,) = facts.frames
    assert (facts.sop_uid, facts.study, facts.series) == (
        again.SOPInstanceUID,
        again.StudyInstanceUID,
        again.SeriesInstanceUID,
    )
    assert facts.person.name == str(again.PatientName)
    assert (facts.person.birth_date, facts.person.sex) == ("18151210", "F")
    assert facts.image_type == tuple(again.ImageType)
    assert (facts.rows, facts.columns) == (again.Rows, again.Columns)
    assert frame.position == tuple(map(float, again.ImagePositionPatient))
    assert frame.orientation == tuple(map(float, again.ImageOrientationPatient))
    assert frame.spacing == tuple(map(float, again.PixelSpacing))
    assert (frame.slope, frame.intercept) == (1.0, -1024.0)
    assert (facts.tilt, facts.gap, facts.kvp) == (-3.5, 2.5, 120.0)
    assert (facts.height, facts.weight) == (1.62, 58.0)
    assert (facts.kernel, facts.patient_position, facts.burned_in) == ("B30f", "HFS", "NO")
    assert (facts.bits_allocated, facts.bits_stored, facts.high_bit) == (16, 16, 15)
    assert facts.signed
    assert frame.kind[0] == "7"


@pytest.mark.parametrize(
    ("charset", "name"), [("ISO_IR 192", "Müller^Jürgen"), ("ISO_IR 100", "Müller^Jürgen")]
)
def test_names_in_their_character_set(charset: str, name: str, tmp_path: Path) -> None:
    ds = slice_of(body(), SpecificCharacterSet=charset, PatientName=name)
    assert read_facts(save(ds, tmp_path / "f")).person.name == name


def test_every_way_to_cut_a_header_is_told(tmp_path: Path) -> None:
    data = save(slice_of(body()), tmp_path / "f").read_bytes()
    pixels = read_elements(tmp_path / "f", TAGS).pixel_at
    for keep in range(132, pixels, 7):
        (tmp_path / "f").write_bytes(data[:keep])
        try:
            raw = read_elements(tmp_path / "f", TAGS)
        except DicomDamage:
            continue
        assert raw.pixel_tag == 0  # cut between two elements: a whole header without pixels


def test_a_file_that_is_cut_while_it_is_read_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = save(slice_of(body(), SeriesDescription="x" * 60), tmp_path / "f")
    before = os.stat(file)
    os.truncate(file, 400)
    monkeypatch.setattr(os, "fstat", lambda _: before)  # as it was when the reading began
    with pytest.raises(DicomDamage, match="in the middle of its header"):
        read_elements(file, TAGS)


def test_endless_nesting_and_repeats_are_told(tmp_path: Path) -> None:
    ds = slice_of(body())
    ds.ReferencedImageSequence = nested(True, depth=20)
    ds["ReferencedImageSequence"].is_undefined_length = True
    with pytest.raises(DicomDamage, match="nests sequences deeper"):
        read_elements(save(ds, tmp_path / "f"), TAGS)
    file = save(slice_of(body()), tmp_path / "g")
    data = file.read_bytes()
    at = data.index(b"\x28\x00\x10\x00US")
    file.write_bytes(data[:at] + data[at : at + 10] + data[at:])
    with pytest.raises(DicomDamage, match=r"\(0028,0010\) is there twice"):
        read_elements(file, TAGS)


def test_what_is_no_dicom(tmp_path: Path) -> None:
    for content in (b"", b"short", os.urandom(16), b"plain text " * 100, bytes(500)):
        (tmp_path / "f").write_bytes(content)
        with pytest.raises(NotDicom):
            read_elements(tmp_path / "f", TAGS)


def test_numbers_that_are_none_are_told(tmp_path: Path) -> None:
    file = save(slice_of(body()), tmp_path / "f")
    data = file.read_bytes()
    for good, bad in ((b"-1024.0", b"-10x4.0"), (b"0.8\\0.7 ", b"nan\\0.7 ")):
        assert good in data
        file.write_bytes(data.replace(good, bad))
        with pytest.raises(DicomDamage, match="which is no number"):
            read_facts(file)
