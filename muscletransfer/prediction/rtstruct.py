"""RTSTRUCT: the outlines of a mask as closed contours in the patient's space, through pydicom."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np

from muscletransfer._version import __version__
from muscletransfer.data.files import atomic_path
from muscletransfer.data.types import Array

__all__ = ["contours", "write_rtstruct"]

_COLOURS = ([86, 180, 233], [230, 159, 0], [0, 158, 115], [240, 228, 66], [204, 121, 167])


def contours(mask: Array) -> list[Array]:
    """Return the closed outlines of a mask, outer borders and those of holes.

    Args:
        mask: Boolean (H, W).

    Returns:
        One (N, 2) array of (row, column) an outline, in pixels, 0 being the centre of the first.
        They run half way between pixels inside and outside, so that testing pixel centres against
        them (even-odd rule) gives the mask back.

    Example:
        >>> ring = np.zeros((7, 7), bool)
        >>> ring[1:6, 1:6] = True
        >>> ring[3, 3] = False
        >>> sorted(len(line) for line in contours(ring))
        [4, 20]
    """
    from contourpy import LineType, contour_generator

    padded = np.pad(np.asarray(mask, dtype=np.float64), 1)
    lines: Any = contour_generator(z=padded, line_type=LineType.Separate).lines(0.5)
    # The last point repeats the first; contourpy gives (x, y).
    return [line[:-1, ::-1] - 1.0 for line in lines]


def write_rtstruct(mask: Array, source: Path, path: Path, classes: Sequence[str]) -> Path:
    """Write a structure set that refers to one DICOM slice.

    A hole is a contour of its own in the same structure: readers fill by the even-odd rule.

    Args:
        mask: uint8 (H, W) class indices.
        source: The DICOM file of the slice.
        path: Where to.
        classes: Names of the classes 1, 2, ...

    Returns:
        The path.
    """
    from pydicom import dcmread, dcmwrite
    from pydicom.dataset import Dataset, FileMetaDataset
    from pydicom.uid import ExplicitVRLittleEndian, RTStructureSetStorage, generate_uid

    # Forced: a file without the preamble was read too.
    image = dcmread(source, stop_before_pixels=True, force=True)
    frame = image.get("FrameOfReferenceUID") or generate_uid()
    found = Dataset()
    found.file_meta = FileMetaDataset()
    found.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    found.file_meta.MediaStorageSOPClassUID = RTStructureSetStorage
    found.SOPClassUID = RTStructureSetStorage
    found.SOPInstanceUID = found.file_meta.MediaStorageSOPInstanceUID = generate_uid()
    for keyword in _PATIENT_AND_STUDY:
        setattr(found, keyword, image.get(keyword, ""))
    now = datetime.now(UTC)
    found.SpecificCharacterSet = image.get("SpecificCharacterSet", "ISO_IR 100")
    found.Modality = "RTSTRUCT"
    found.SeriesInstanceUID = generate_uid()
    found.SeriesNumber, found.OperatorsName = "900", ""
    found.Manufacturer = "muscletransfer"
    found.SoftwareVersions = __version__
    found.StructureSetLabel = "muscle"
    found.StructureSetDate, found.StructureSetTime = now.strftime("%Y%m%d"), now.strftime("%H%M%S")
    found.ReferencedFrameOfReferenceSequence = [_reference(image, frame)]
    found.StructureSetROISequence = []
    found.ROIContourSequence = []
    found.RTROIObservationsSequence = []
    for number, name in enumerate(classes, 1):
        roi, observation = Dataset(), Dataset()
        roi.ROINumber = number
        roi.ReferencedFrameOfReferenceUID = frame
        roi.ROIName, roi.ROIGenerationAlgorithm = name, "AUTOMATIC"
        found.StructureSetROISequence.append(roi)
        found.ROIContourSequence.append(_roi_contours(mask == number, number, image))
        observation.ObservationNumber = observation.ReferencedROINumber = number
        observation.RTROIInterpretedType, observation.ROIInterpreter = "ORGAN", ""
        found.RTROIObservationsSequence.append(observation)
    found.ApprovalStatus = "UNAPPROVED"
    with atomic_path(path) as temporary:
        dcmwrite(temporary, found, enforce_file_format=True)
    return path


_PATIENT_AND_STUDY = (
    "PatientName", "PatientID", "PatientBirthDate", "PatientSex", "StudyInstanceUID", "StudyDate",
    "StudyTime", "StudyID", "AccessionNumber", "ReferringPhysicianName",
)  # fmt: skip


def _reference(image: Any, frame: str) -> Any:
    """Frame of reference, study, series and slice that the contours belong to."""
    from pydicom.dataset import Dataset

    reference, study, series = Dataset(), Dataset(), Dataset()
    series.SeriesInstanceUID = image.SeriesInstanceUID
    series.ContourImageSequence = [_slice(image)]
    study.ReferencedSOPClassUID = "1.2.840.10008.3.1.2.3.1"  # detached study management
    study.ReferencedSOPInstanceUID = image.StudyInstanceUID
    study.RTReferencedSeriesSequence = [series]
    reference.FrameOfReferenceUID = frame
    reference.RTReferencedStudySequence = [study]
    return reference


def _slice(image: Any) -> Any:
    from pydicom.dataset import Dataset

    item = Dataset()
    item.ReferencedSOPClassUID = image.SOPClassUID
    item.ReferencedSOPInstanceUID = image.SOPInstanceUID
    return item


def _roi_contours(mask: Array, number: int, image: Any) -> Any:
    from pydicom.dataset import Dataset

    roi = Dataset()
    roi.ReferencedROINumber = number
    roi.ROIDisplayColor = _COLOURS[(number - 1) % len(_COLOURS)]
    roi.ContourSequence = []
    origin = np.array(image.ImagePositionPatient, dtype=float)
    along_row, along_column = np.array(image.ImageOrientationPatient, dtype=float).reshape(2, 3)
    sy, sx = (float(step) for step in image.PixelSpacing)
    for line in contours(mask):
        points = origin + line[:, 1:] * sx * along_row + line[:, :1] * sy * along_column
        item = Dataset()
        item.ContourImageSequence = [_slice(image)]
        item.ContourGeometricType = "CLOSED_PLANAR"
        item.NumberOfContourPoints = len(points)
        # DICOM's decimal strings hold 16 characters.
        item.ContourData = [f"{value:.4f}" for value in points.ravel()]
        roi.ContourSequence.append(item)
    return roi
