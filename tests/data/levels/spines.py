"""Hand-made spines: what lies where in the patient is a formula, and volumes sample it anyhow."""

from __future__ import annotations

import itertools
from pathlib import Path

import numpy as np
import pydicom
import SimpleITK as sitk
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import CTImageStorage, ExplicitVRLittleEndian, generate_uid

# Middle of each vertebral body in mm towards the head, its half height, and its value.
BODIES = {"vertebrae_L4": (-36.0, 28), "vertebrae_L3": (2.0, 29), "vertebrae_L2": (38.0, 30)}
HALF_HEIGHT = 14.0
FLIPS = list(itertools.product((1, -1), repeat=3))


def label_at(x: np.ndarray, y: np.ndarray, z: np.ndarray) -> np.ndarray:
    """The vertebra at points in mm (LPS): a body, and behind it a process that hangs lower."""
    found = np.zeros(np.broadcast(x, y, z).shape, np.uint8)
    for middle, value in BODIES.values():
        body = (np.abs(x) <= 22) & (y >= -30) & (y <= 0) & (np.abs(z - middle) <= HALF_HEIGHT)
        process = (np.abs(x) <= 4) & (y > 0) & (y <= 35) & (np.abs(z - (middle - 14)) <= 9)
        found[body | process] = value
    return found


def spine(
    flips: tuple[int, int, int] = (1, 1, 1),
    spacing: tuple[float, float, float] = (2.0, 2.0, 3.0),
    low: tuple[float, float, float] = (-40.0, -50.0, -70.0),
    high: tuple[float, float, float] = (40.0, 50.0, 70.0),
    tilt: float = 0.0,
) -> sitk.Image:
    """A label map whose axes run along (or against, where a flip is -1) x, y and z.

    Args:
        flips: Sign of each axis.
        spacing: x, y, z in mm.
        low: Corner of the region.
        high: The corner across.
        tilt: Degrees that the grid is turned about x.
    """
    size = [int((b - a) / s) + 1 for a, b, s in zip(low, high, spacing, strict=True)]
    c, s = np.cos(np.radians(tilt)), np.sin(np.radians(tilt))
    turn = np.array([[1, 0, 0], [0, c, -s], [0, s, c]])
    direction = turn @ np.diag(flips)
    start = [
        a if f > 0 else a + (n - 1) * s
        for a, f, n, s in zip(low, flips, size, spacing, strict=True)
    ]
    origin = turn @ np.array(start)
    k, j, i = np.indices(size[::-1])
    steps = np.stack([i, j, k]).reshape(3, -1) * np.array(spacing)[:, None]
    x, y, z = direction @ steps + origin[:, None]
    image = sitk.GetImageFromArray(label_at(x, y, z).reshape(size[::-1]))
    image.SetSpacing(spacing)
    image.SetOrigin(origin.tolist())
    image.SetDirection(direction.ravel().tolist())
    return image


def heights(image: sitk.Image) -> np.ndarray:
    """z of the middle of every slice, by SimpleITK."""
    x, y, n = image.GetSize()
    return np.array(
        [
            image.TransformContinuousIndexToPhysicalPoint(((x - 1) / 2, (y - 1) / 2, float(k)))[2]
            for k in range(n)
        ]
    )


def save(image: sitk.Image, path: Path) -> Path:
    sitk.WriteImage(image, str(path))
    return path


def write_ct_series(
    folder: Path,
    places: list[float],
    *,
    shape: tuple[int, int] = (51, 41),
    first: tuple[float, float] = (-40.0, -50.0),
    shift_per_mm: float = 0.0,
) -> Path:
    """A CT series of pydicom with slices at these heights, in a shuffled order of file names.

    Args:
        folder: Where to.
        places: z of each slice.
        shape: Rows and columns of 2 mm.
        first: x and y of the first pixel.
        shift_per_mm: How far y moves for each mm of z, as under a tilted gantry.
    """
    folder.mkdir(parents=True, exist_ok=True)
    order = np.random.default_rng(3).permutation(len(places))
    frame, series, study = generate_uid(), generate_uid(), generate_uid()
    for name, z in zip(order, places, strict=True):
        ds = Dataset()
        ds.file_meta = FileMetaDataset()
        ds.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
        ds.file_meta.MediaStorageSOPClassUID = ds.SOPClassUID = CTImageStorage
        ds.file_meta.MediaStorageSOPInstanceUID = ds.SOPInstanceUID = generate_uid()
        ds.StudyInstanceUID, ds.SeriesInstanceUID, ds.FrameOfReferenceUID = study, series, frame
        ds.Modality, ds.PatientID = "CT", "P1"
        ds.PhotometricInterpretation, ds.SamplesPerPixel = "MONOCHROME2", 1
        ds.Rows, ds.Columns = shape
        ds.BitsAllocated, ds.BitsStored, ds.HighBit, ds.PixelRepresentation = 16, 16, 15, 1
        ds.PixelSpacing, ds.SliceThickness = [2.0, 2.0], 3.0
        ds.ImagePositionPatient = [first[0], first[1] + shift_per_mm * z, z]
        ds.ImageOrientationPatient = [1, 0, 0, 0, 1, 0]
        ds.RescaleSlope, ds.RescaleIntercept = 1, -1024
        pixels = np.full(shape, 1024 + 40, np.int16)
        pixels[:4] = 24  # air
        ds.PixelData = pixels.tobytes()
        pydicom.dcmwrite(folder / f"{name:03d}.dcm", ds, enforce_file_format=True)
    return folder
