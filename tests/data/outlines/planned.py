"""A CT series and outlines on it, written by pydicom and highdicom: other code than reads them."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pydicom
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.sequence import Sequence
from pydicom.uid import (
    CTImageStorage,
    ExplicitVRLittleEndian,
    RTStructureSetStorage,
    generate_uid,
)

SPACING = (0.9, 0.8)
SHAPE = (60, 70)


@dataclass
class Series:
    """A written series: its folder, its data sets from the feet to the head, its UIDs."""

    folder: Path
    slices: list[Dataset]
    series: str
    frame: str

    @property
    def origin(self) -> np.ndarray:
        return np.array(self.slices[0].ImagePositionPatient, dtype=float)

    def to_mm(self, index: int, columns: np.ndarray, rows: np.ndarray) -> np.ndarray:
        """Points in mm of columns and rows on a slice (DICOM PS3.3 C.7.6.2.1.1)."""
        ds = self.slices[index]
        cosines = np.array(ds.ImageOrientationPatient, dtype=float)
        return (
            np.array(ds.ImagePositionPatient, dtype=float)
            + np.outer(columns, cosines[:3]) * SPACING[1]
            + np.outer(rows, cosines[3:]) * SPACING[0]
        )


def write_series(
    folder: Path,
    count: int = 5,
    *,
    orientation: tuple[float, ...] = (1, 0, 0, 0, 1, 0),
    frame: str | None = None,
    step: tuple[float, float, float] | None = None,
    gap: float = 3.0,
    shape: tuple[int, int] = SHAPE,
) -> Series:
    """Write a CT series; ``step`` is the way from slice to slice where it is not the normal."""
    folder.mkdir(parents=True)
    normal = np.cross(orientation[:3], orientation[3:])
    way = np.array(step) if step is not None else normal * gap
    series, frame, study = generate_uid(), frame or generate_uid(), generate_uid()
    y, x = np.indices(shape)
    hu = np.where(np.hypot(y - shape[0] / 2, x - shape[1] / 2) < 25, 40, -1000)
    found = []
    for k in range(count):
        ds = Dataset()
        ds.file_meta = FileMetaDataset()
        ds.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
        ds.file_meta.MediaStorageSOPClassUID = ds.SOPClassUID = CTImageStorage
        ds.file_meta.MediaStorageSOPInstanceUID = ds.SOPInstanceUID = generate_uid()
        ds.StudyInstanceUID, ds.SeriesInstanceUID, ds.FrameOfReferenceUID = study, series, frame
        ds.StudyID, ds.SeriesNumber, ds.InstanceNumber = "1", 1, k + 1
        ds.StudyDate, ds.StudyTime, ds.AccessionNumber = "20200101", "120000", ""
        ds.PatientID, ds.PatientName, ds.PatientBirthDate, ds.PatientSex = "P1", "A^B", "", "O"
        ds.ReferringPhysicianName, ds.Manufacturer, ds.Modality = "", "none", "CT"
        ds.PhotometricInterpretation, ds.SamplesPerPixel = "MONOCHROME2", 1
        ds.Rows, ds.Columns = shape
        ds.BitsAllocated, ds.BitsStored, ds.HighBit, ds.PixelRepresentation = 16, 16, 15, 1
        ds.PixelSpacing, ds.SliceThickness = list(SPACING), gap
        ds.ImagePositionPatient = [float(v) for v in np.array([-20.0, -30.0, 100.0]) + k * way]
        ds.ImageOrientationPatient = list(orientation)
        ds.RescaleSlope, ds.RescaleIntercept = 1, -1024
        ds.PixelData = (hu + 1024).astype(np.int16).tobytes()
        pydicom.dcmwrite(folder / f"{count - k:03d}.dcm", ds, enforce_file_format=True)
        found.append(ds)
    return Series(folder, found, series, frame)


def circle(centre: tuple[float, float], radius: float, points: int = 400) -> np.ndarray:
    """Columns and rows of a circle."""
    t = np.linspace(0, 2 * np.pi, points, endpoint=False)
    return np.column_stack([centre[0] + radius * np.cos(t), centre[1] + radius * np.sin(t)])


def write_rtstruct(
    path: Path,
    series: Series,
    rois: dict[str, list[tuple[int, np.ndarray]]],
    *,
    kind: str = "CLOSED_PLANAR",
    refers_to: str | None = None,
    frame: str | None = None,
    shift: tuple[float, float, float] = (0.0, 0.0, 0.0),
    name_instances: bool = True,
) -> Path:
    """Write an RTSTRUCT: for each ROI, contours as (slice, columns and rows)."""
    ds = Dataset()
    ds.file_meta = FileMetaDataset()
    ds.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    ds.file_meta.MediaStorageSOPClassUID = ds.SOPClassUID = RTStructureSetStorage
    ds.file_meta.MediaStorageSOPInstanceUID = ds.SOPInstanceUID = generate_uid()
    ds.Modality, ds.StructureSetLabel, ds.PatientID = "RTSTRUCT", "plan", "P1"
    ds.StudyInstanceUID, ds.SeriesInstanceUID = generate_uid(), generate_uid()
    frame = frame or series.frame
    reference = Dataset()
    reference.SeriesInstanceUID = refers_to or series.series
    study = Dataset()
    study.RTReferencedSeriesSequence = Sequence([reference])
    about = Dataset()
    about.FrameOfReferenceUID = frame
    about.RTReferencedStudySequence = Sequence([study])
    ds.ReferencedFrameOfReferenceSequence = Sequence([about])
    named, drawn = [], []
    for number, (name, contours) in enumerate(rois.items(), 3):
        roi = Dataset()
        roi.ROINumber, roi.ROIName, roi.ReferencedFrameOfReferenceUID = number, name, frame
        named.append(roi)
        item = Dataset()
        item.ReferencedROINumber = number
        item.ContourSequence = Sequence()
        for index, points in contours:
            contour = Dataset()
            contour.ContourGeometricType = kind
            mm = series.to_mm(index, points[:, 0], points[:, 1]) + np.array(shift)
            contour.NumberOfContourPoints = len(points)
            contour.ContourData = [f"{v:.6f}" for v in mm.ravel()]
            if name_instances:
                image = Dataset()
                image.ReferencedSOPInstanceUID = series.slices[index].SOPInstanceUID
                image.ReferencedSOPClassUID = CTImageStorage
                contour.ContourImageSequence = Sequence([image])
            item.ContourSequence.append(contour)
        drawn.append(item)
    ds.StructureSetROISequence = Sequence(named)
    ds.ROIContourSequence = Sequence(drawn)
    pydicom.dcmwrite(path, ds, enforce_file_format=True)
    return path


def write_seg(path: Path, series: Series, segments: dict[str, np.ndarray], **options) -> Path:
    """Write a DICOM-SEG with highdicom: for each segment, booleans (slices, rows, columns).

    ``labels=`` names them otherwise than the keys, so that two may share a label.
    """
    import highdicom as hd
    from highdicom.sr.coding import Code

    described = [
        hd.seg.SegmentDescription(
            segment_number=k,
            segment_label=name,
            segmented_property_category=Code("85756007", "SCT", "Tissue"),
            segmented_property_type=Code("91727004", "SCT", "Skeletal muscle"),
            algorithm_type=hd.seg.SegmentAlgorithmTypeValues.MANUAL,
        )
        for k, name in enumerate(options.pop("labels", list(segments)), 1)
    ]
    dtype = options.pop("dtype", np.uint8)
    array = np.stack([m.astype(dtype) for m in segments.values()], axis=-1)
    segmentation = hd.seg.Segmentation(
        source_images=series.slices,
        pixel_array=array,
        segmentation_type=options.pop("kind", hd.seg.SegmentationTypeValues.BINARY),
        segment_descriptions=described,
        series_instance_uid=generate_uid(),
        series_number=9,
        sop_instance_uid=generate_uid(),
        instance_number=1,
        manufacturer="none",
        manufacturer_model_name="none",
        software_versions="1",
        device_serial_number="1",
        **options,
    )
    segmentation.save_as(path)
    return path
