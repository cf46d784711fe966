"""Synthetic miniatures in the layouts that `muscletransfer data prepare` reads.

To try a command, or a pipeline on top of it, before tens of gigabytes are downloaded. The images
are phantoms: one drawn slice, repeated with fresh noise.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, TypeAlias, get_args

import numpy as np
import SimpleITK as sitk
from scipy import ndimage

from muscletransfer.data.archives.saros_info import SAROS_REGIONS
from muscletransfer.data.io.write import save_image
from muscletransfer.data.outlines.dicom_objects import RTSTRUCT, need
from muscletransfer.data.synthetic.slices import phantom_slice
from muscletransfer.data.synthetic.tissues import GROUPS, TISSUES
from muscletransfer.data.types import Array
from muscletransfer.errors import DataError, SettingError

__all__ = ["Miniature", "write_miniature"]

Miniature: TypeAlias = Literal["saros", "totalsegmentator", "planned"]

_SLICES, _BODY = 12, slice(3, 9)
_CT = "1.2.840.10008.5.1.4.1.1.2"


@dataclass(frozen=True)
class _Patient:
    """A volume of phantom slices: HU ``(Z, Y, X)``, and what is drawn on every slice."""

    hu: Array
    mask: Array
    groups: Array
    tissues: Array
    spacing: float
    origin: tuple[float, float]

    def image(self, array: Array, gap: float) -> sitk.Image:
        found = sitk.GetImageFromArray(array)
        found.SetSpacing((self.spacing, self.spacing, gap))
        found.SetOrigin((*self.origin, -100.0))
        # Columns to the right and rows to the front, as in the published NIfTI files.
        turned: sitk.Image = sitk.DICOMOrient(found, "RAS")
        return turned


def write_miniature(
    kind: Miniature, folder: str | Path, patients: int = 6, size: int = 128, seed: int = 0
) -> Path:
    """Write a synthetic data set in a published layout.

    Args:
        kind: ``"saros"`` (every fifth slice annotated, spreadsheet with folds and test set),
            ``"totalsegmentator"`` (a file a structure, ``meta.csv``), or ``"planned"`` (DICOM CT
            with an RTSTRUCT beside it; needs the ``dicom`` extra).
        folder: Where to; must not exist yet, or be empty.
        patients: How many, 1 to 999.
        size: Rows and columns (below 100 the pixels are larger than any CT has).
        seed: Everything follows from it.

    Returns:
        The folder.

    Raises:
        SettingError: Another kind, or a number out of range.
        DataError: The folder holds something.
        MissingDependencyError: ``"planned"`` without pydicom.

    Example:
        >>> import tempfile
        >>> root = write_miniature("saros", Path(tempfile.mkdtemp()) / "saros", patients=1, size=32)
        >>> sorted(p.name for p in (root / "case_000").iterdir())
        ['body-parts.nii.gz', 'body-regions.nii.gz', 'image.nii.gz']
    """
    if kind not in get_args(Miniature):
        raise SettingError(f"kind is {kind!r}; wanted one of {', '.join(get_args(Miniature))}.")
    if not 1 <= patients <= 999:
        raise SettingError(f"patients is {patients}; wanted 1 to 999.")
    root = Path(folder)
    if root.exists() and any(root.iterdir()):
        raise DataError(f"{root}: holds files already; wanted a new folder.")
    root.mkdir(parents=True, exist_ok=True)
    write = {"saros": _saros, "totalsegmentator": _totalsegmentator, "planned": _planned}[kind]
    for number in range(patients):
        write(root, number, _draw(seed + number, size))
    if kind == "saros":
        splits = ["fold-1", "fold-2", "fold-3", "fold-4", "fold-5", "test"]
        lines = [f"case_{n:03d},{splits[n % 6]}" for n in range(patients)]
        (root / "Segmentation Info.csv").write_text("\n".join(["id,split", *lines]) + "\n")
    elif kind == "totalsegmentator":
        roles = ["train", "train", "train", "val", "test"]
        lines = [
            f"s{n:04d};{40 + n};{'mf'[n % 2]};A;ct abdomen;{roles[n % 5]}" for n in range(patients)
        ]
        header = "\ufeffimage_id;age;gender;institute;study_type;split"
        (root / "meta.csv").write_text("\n".join([header, *lines]) + "\n", encoding="utf-8")
    return root


def _draw(seed: int, size: int) -> _Patient:
    drawn = phantom_slice(seed, size=size)
    noise = np.random.default_rng(seed).normal(0, 6, (_SLICES, size, size))
    hu = np.clip(drawn.hu + noise, -1024, 3071).round().astype(np.int16)
    return _Patient(hu, drawn.mask, drawn.groups, drawn.tissues, drawn.spacing[0], drawn.origin)


def _saros(root: Path, number: int, patient: _Patient) -> None:
    case = root / f"case_{number:03d}"
    case.mkdir()
    regions = np.zeros_like(patient.mask)
    body = _filled(patient)
    regions[body] = SAROS_REGIONS["abdominal_cavity"]
    regions[patient.tissues == TISSUES["subcutaneous_fat"]] = SAROS_REGIONS["subcutaneous_tissue"]
    regions[patient.tissues == TISSUES["bone"]] = SAROS_REGIONS["bone"]
    regions[patient.mask > 0] = SAROS_REGIONS["muscle"]
    for name, plane in (("body-regions", regions), ("body-parts", body.astype(np.uint8))):
        volume = np.full(patient.hu.shape, 255, np.uint8)
        volume[1::5] = plane
        save_image(patient.image(volume, 5.0), case / f"{name}.nii.gz")
    save_image(patient.image(patient.hu, 5.0), case / "image.nii.gz")


def _totalsegmentator(root: Path, number: int, patient: _Patient) -> None:
    case = root / f"s{number:04d}"
    (case / "segmentations").mkdir(parents=True)
    save_image(patient.image(patient.hu, 3.0), case / "ct.nii.gz")
    structures: dict[str, Array] = {
        "autochthon": patient.groups == GROUPS["erector_spinae_left"],
        "iliopsoas": patient.groups == GROUPS["psoas_left"],
    }
    named = {f"{name}_left": plane for name, plane in structures.items()}
    named["autochthon_right"] = patient.groups == GROUPS["erector_spinae_right"]
    named["iliopsoas_right"] = patient.groups == GROUPS["psoas_right"]
    for name, plane in named.items():
        volume = np.broadcast_to(plane, patient.hu.shape).astype(np.uint8)
        save_image(patient.image(volume, 3.0), case / "segmentations" / f"{name}.nii.gz")
    parts, _ = ndimage.label(patient.tissues == TISSUES["bone"])
    vertebra = np.zeros(patient.hu.shape, np.uint8)
    vertebra[_BODY] = parts == int(np.bincount(parts[parts > 0]).argmax())
    save_image(patient.image(vertebra, 3.0), case / "segmentations" / "vertebrae_L3.nii.gz")


def _planned(root: Path, number: int, patient: _Patient) -> None:
    pydicom = need("pydicom")
    folder = root / f"export_{number:03d}"
    folder.mkdir()
    uid = pydicom.uid.generate_uid
    study, series, frame = uid(), uid(), uid()
    instances = [uid() for _ in patient.hu]
    for k, (plane, instance) in enumerate(zip(patient.hu, instances, strict=True)):
        ds = _object(pydicom, _CT, instance, study, series, f"MINI{number:03d}", "CT")
        ds.FrameOfReferenceUID, ds.InstanceNumber = frame, k + 1
        ds.PhotometricInterpretation, ds.SamplesPerPixel = "MONOCHROME2", 1
        ds.Rows, ds.Columns = plane.shape
        ds.BitsAllocated, ds.BitsStored, ds.HighBit, ds.PixelRepresentation = 16, 16, 15, 1
        ds.PixelSpacing, ds.SliceThickness = [patient.spacing] * 2, 3.0
        ds.ImageType = ["ORIGINAL", "PRIMARY", "AXIAL"]
        ds.ImagePositionPatient = [*patient.origin, -100.0 + 3.0 * k]
        ds.ImageOrientationPatient = [1, 0, 0, 0, 1, 0]
        ds.RescaleSlope, ds.RescaleIntercept, ds.RescaleType = 1, -1024, "HU"
        ds.PixelData = (plane.astype(np.int32) + 1024).astype(np.int16).tobytes()
        pydicom.dcmwrite(folder / f"IM{k:04d}", ds, enforce_file_format=True)
    plan = _object(pydicom, RTSTRUCT, uid(), study, uid(), f"MINI{number:03d}", "RTSTRUCT")
    plan.StructureSetLabel, plan.StructureSetDate = "outlines", "20200101"
    _add_roi(pydicom, plan, patient, series, frame, instances)
    pydicom.dcmwrite(folder / "RS0000", plan, enforce_file_format=True)


def _object(
    pydicom: Any, kind: str, instance: str, study: str, series: str, patient: str, modality: str
) -> Any:
    ds = pydicom.Dataset()
    ds.file_meta = pydicom.dataset.FileMetaDataset()
    ds.file_meta.TransferSyntaxUID = pydicom.uid.ExplicitVRLittleEndian
    ds.file_meta.MediaStorageSOPClassUID = ds.SOPClassUID = kind
    ds.file_meta.MediaStorageSOPInstanceUID = ds.SOPInstanceUID = instance
    ds.StudyInstanceUID, ds.SeriesInstanceUID = study, series
    ds.PatientID, ds.PatientName, ds.Modality = patient, "", modality
    return ds


def _add_roi(
    pydicom: Any, plan: Any, patient: _Patient, series: str, frame: str, instances: list[str]
) -> None:
    """Outline the muscle on the middle slice as a planning system would."""
    from contourpy import contour_generator

    def item(**values: Any) -> Any:
        found = pydicom.Dataset()
        for name, value in values.items():
            setattr(found, name, value)
        return found

    middle = (_BODY.start + _BODY.stop - 1) // 2
    x0, y0 = patient.origin
    contours = []
    for points in contour_generator(z=patient.mask.astype(float)).lines(0.5):
        flat = np.asarray(points)[:-1] * patient.spacing + (x0, y0)
        mm = np.column_stack([flat, np.full(len(flat), -100.0 + 3.0 * middle)])
        contours.append(
            item(
                ContourGeometricType="CLOSED_PLANAR",
                NumberOfContourPoints=len(mm),
                ContourData=[f"{v:.4f}" for v in mm.ravel()],
                ContourImageSequence=[
                    item(ReferencedSOPClassUID=_CT, ReferencedSOPInstanceUID=instances[middle])
                ],
            )
        )
    study = item(RTReferencedSeriesSequence=[item(SeriesInstanceUID=series)])
    plan.ReferencedFrameOfReferenceSequence = [
        item(FrameOfReferenceUID=frame, RTReferencedStudySequence=[study])
    ]
    plan.StructureSetROISequence = [
        item(ROINumber=1, ROIName="Muscle L3", ReferencedFrameOfReferenceUID=frame)
    ]
    plan.ROIContourSequence = [item(ReferencedROINumber=1, ContourSequence=contours)]


def _filled(patient: _Patient) -> Array:
    body = ndimage.binary_opening(patient.hu[0] > -300, iterations=1)
    parts, count = ndimage.label(body)
    if count > 1:
        body = parts == int(np.bincount(parts[parts > 0]).argmax())
    return np.asarray(ndimage.binary_fill_holes(body | (patient.mask > 0)))
