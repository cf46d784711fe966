"""DICOM as hospitals and archives hold it, written by pydicom for the tests of indexing."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import Any

import numpy as np
import pydicom
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.sequence import Sequence
from pydicom.uid import (
    CTImageStorage,
    EnhancedCTImageStorage,
    ExplicitVRLittleEndian,
    generate_uid,
)

SHAPE = (24, 28)


def body(seed: int = 0, shape: tuple[int, int] = SHAPE) -> np.ndarray:
    """A soft-tissue disc with a fat rim in air, with noise, int16 HU; another for each seed."""
    y, x = np.indices(shape)
    r = np.hypot((y - shape[0] / 2) / shape[0], (x - shape[1] / 2) / shape[1])
    hu = np.select([r < 0.3, r < 0.4], [50.0, -100.0], -1000.0)
    return (hu + np.random.default_rng(seed).normal(0, 8, shape)).round().astype(np.int16)


def uid(*parts: object) -> str:
    """A UID that is the same for the same parts."""
    return generate_uid(prefix="2.25.", entropy_srcs=[str(p) for p in parts] or ["x"])


def slice_of(
    hu: np.ndarray,
    place: float = 0.0,
    *,
    patient: str = "HOSP-1234",
    series: str = "A",
    intercept: int = -1024,
    **tags: Any,
) -> Dataset:
    """One CT slice; ``tags`` are set on the data set, those that are None are deleted."""
    ds = Dataset()
    ds.file_meta = FileMetaDataset()
    ds.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    ds.SOPClassUID = CTImageStorage
    ds.SOPInstanceUID = uid(patient, series, place, tags.get("AcquisitionNumber"))
    ds.StudyInstanceUID, ds.SeriesInstanceUID = uid(patient, "study"), uid(patient, series)
    ds.ImageType = ["ORIGINAL", "PRIMARY", "AXIAL"]
    ds.SeriesDescription, ds.Modality = "abdomen of Mrs Lovelace", "CT"
    ds.PatientID, ds.PatientName = patient, f"Lovelace^Ada {patient}"
    ds.PatientBirthDate, ds.PatientSex = "18151210", "F"
    ds.PatientSize, ds.PatientWeight = "1.62", "58"
    ds.PhotometricInterpretation, ds.SamplesPerPixel = "MONOCHROME2", 1
    ds.Rows, ds.Columns = hu.shape
    ds.BitsAllocated, ds.BitsStored, ds.HighBit, ds.PixelRepresentation = 16, 16, 15, 1
    ds.PixelSpacing, ds.SliceThickness = [0.8, 0.7], 5.0
    ds.ImagePositionPatient = [-100.0, -90.0, place]
    ds.ImageOrientationPatient = [1, 0, 0, 0, 1, 0]
    ds.ConvolutionKernel, ds.KVP = "B30f", 120
    ds.RescaleSlope, ds.RescaleIntercept = 1, intercept
    private = ds.private_block(0x0029, "SECRETS OF LOVELACE", create=True)
    private.add_new(0x01, "LO", "private Lovelace")
    ds.PixelData = (hu.astype(np.int32) - intercept).astype("<i2").tobytes()
    for name, value in tags.items():
        if value is None:
            del ds[name]
        else:
            setattr(ds, name, value)
    ds.file_meta.MediaStorageSOPClassUID = ds.get("SOPClassUID", CTImageStorage)
    ds.file_meta.MediaStorageSOPInstanceUID = ds.SOPInstanceUID
    return ds


def save(ds: Dataset, path: Path) -> Path:
    """Write a part 10 file, making its folder."""
    path.parent.mkdir(parents=True, exist_ok=True)
    pydicom.dcmwrite(path, ds, enforce_file_format=True)
    return path


def write_series(folder: Path, slices: int = 4, *, start: int = 0, **options: Any) -> np.ndarray:
    """Write a series 5 mm apart and return its HU from the lowest slice on."""
    hu = np.stack([body(start + k) for k in range(slices)])
    for k in range(slices):
        name = f"{options.get('series', 'A')}{slices - k:03d}"  # names run against the places
        save(slice_of(hu[k], 5.0 * k, **options), folder / name)
    return hu


def enhanced(
    hu: np.ndarray, places: list[float], *, rescales: list[tuple[float, float]] | None = None
) -> Dataset:
    """One enhanced multi-frame CT object; frames in the order given."""
    ds = slice_of(hu[0], patient="MF", series="MF")
    shared, frames = Dataset(), []
    for name in ("PixelSpacing", "SliceThickness", "ImagePositionPatient", "RescaleSlope"):
        del ds[name]
    del ds["RescaleIntercept"], ds["ImageOrientationPatient"]
    ds.SOPClassUID = ds.file_meta.MediaStorageSOPClassUID = EnhancedCTImageStorage
    measures, plane = Dataset(), Dataset()
    measures.PixelSpacing, measures.SliceThickness = [0.8, 0.7], 5.0
    plane.ImageOrientationPatient = [1, 0, 0, 0, 1, 0]
    shared.PixelMeasuresSequence = Sequence([measures])
    shared.PlaneOrientationSequence = Sequence([plane])
    stored = []
    rescales = rescales or [(1.0, -1024.0)] * len(places)
    for k, (slope, intercept) in enumerate(rescales):
        frame, where, values, content = Dataset(), Dataset(), Dataset(), Dataset()
        where.ImagePositionPatient = [-100.0, -90.0, places[k]]
        values.RescaleSlope, values.RescaleIntercept, values.RescaleType = slope, intercept, "HU"
        content.DimensionIndexValues = [1, k + 1]
        frame.PlanePositionSequence = Sequence([where])
        frame.PixelValueTransformationSequence = Sequence([values])
        frame.FrameContentSequence = Sequence([content])
        frames.append(frame)
        stored.append(np.rint((hu[k] - intercept) / slope).astype("<i2"))
    ds.SharedFunctionalGroupsSequence = Sequence([shared])
    ds.PerFrameFunctionalGroupsSequence = Sequence(frames)
    ds.NumberOfFrames = len(places)
    ds.PixelData = np.stack(stored).tobytes()
    return ds


def problems_of(path: Path) -> list[dict[str, str]]:
    """Rows of a problems.csv."""
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def reason_for(path: Path, name: str) -> str:
    """The outcome and reason of the file with this name; empty when it is not named."""
    found = [r for r in problems_of(path) if Path(r["file"]).name == name]
    return "; ".join(f"{r['outcome']}: {r['reason']} -> {r['way_out']}" for r in found)
