"""DICOM slices for tests, written by pydicom: another library than the one that reads them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pydicom
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import CTImageStorage, ExplicitVRLittleEndian, generate_uid


def body(shape: tuple[int, int], seed: int = 0) -> np.ndarray:
    """A soft-tissue disc with a fat rim in air, with noise, int16 HU."""
    y, x = np.indices(shape)
    r = np.hypot((y - shape[0] / 2) / shape[0], (x - shape[1] / 2) / shape[1])
    hu = np.select([r < 0.3, r < 0.4], [50.0, -100.0], -1000.0)
    return (hu + np.random.default_rng(seed).normal(0, 8, shape)).round().astype(np.int16)


def write_slice(
    path: Path,
    hu: np.ndarray,
    *,
    position: tuple[float, float, float] = (0.0, 0.0, 0.0),
    orientation: tuple[float, ...] = (1, 0, 0, 0, 1, 0),
    spacing: tuple[float, float] = (0.8, 0.7),
    thickness: float | None = 5.0,
    series: str = "1.2.3",
    modality: str = "CT",
    slope: float | None = 1.0,
    intercept: float = -1024.0,
    description: str = "abdomen",
) -> Path:
    """Write one CT slice with pydicom; ``slope=None`` leaves the rescale tags out."""
    ds = Dataset()
    ds.file_meta = FileMetaDataset()
    ds.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    ds.file_meta.MediaStorageSOPClassUID = CTImageStorage
    ds.file_meta.MediaStorageSOPInstanceUID = generate_uid()
    ds.SOPClassUID = CTImageStorage
    ds.SOPInstanceUID = ds.file_meta.MediaStorageSOPInstanceUID
    ds.StudyInstanceUID, ds.SeriesInstanceUID = "1.2", series
    ds.SeriesDescription = description
    ds.Modality, ds.PatientID = modality, "P1"
    ds.PhotometricInterpretation, ds.SamplesPerPixel = "MONOCHROME2", 1
    ds.Rows, ds.Columns = hu.shape
    ds.BitsAllocated, ds.BitsStored, ds.HighBit, ds.PixelRepresentation = 16, 16, 15, 1
    ds.PixelSpacing = list(spacing)
    ds.ImagePositionPatient = list(position)
    ds.ImageOrientationPatient = list(orientation)
    if thickness is not None:
        ds.SliceThickness = thickness
    stored = hu.astype(float)
    if slope is not None:
        ds.RescaleSlope, ds.RescaleIntercept = slope, intercept
        stored = (stored - intercept) / slope
    ds.PixelData = np.rint(stored).astype(np.int16).tobytes()
    pydicom.dcmwrite(path, ds, enforce_file_format=True)
    return path
