"""NIfTI and DICOM of a phantom hold the HU, the geometry and no name of a person."""

from __future__ import annotations

import csv

import numpy as np
import pydicom
import pytest
import SimpleITK as sitk

from muscletransfer.data import read_ct, read_mask
from muscletransfer.data.synthetic import (
    GROUPS,
    OTHER_LEVELS,
    TISSUES,
    make_cohort,
    phantom_slice,
)
from muscletransfer.errors import UnknownNameError

SIZE = 72


@pytest.fixture(scope="module")
def cohorts(tmp_path_factory):
    """The same cohort as NIfTI and as DICOM."""
    folder = tmp_path_factory.mktemp("phantoms")
    return {
        kind: make_cohort(
            folder / kind, patients=3, seed=21, size=SIZE, image_format=kind, other_levels=2
        )
        for kind in ("nifti", "dicom")
    }


def in_memory(index, level="L3"):
    """The slice that a cohort writes."""
    sequence = np.random.SeedSequence(21, spawn_key=(index,))
    return phantom_slice(sequence, size=SIZE, level=level)


def rows(path):
    """Rows of a table."""
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


@pytest.mark.parametrize("kind", ["nifti", "dicom"])
def test_images_and_masks_are_read_back_as_drawn(cohorts, kind):
    cohort = cohorts[kind]
    for index, row in enumerate(rows(cohort.manifest)):
        phantom = in_memory(index)
        image = read_ct(cohort.root / row["image"])
        assert np.array_equal(np.squeeze(image.array), phantom.hu)
        assert image.spacing[1:] == pytest.approx(phantom.spacing, rel=1e-6)
        assert image.spacing[0] == pytest.approx(phantom.scanner.slice_thickness)
        assert image.origin[:2] == pytest.approx(phantom.origin, abs=1e-3)
        assert image.direction == pytest.approx((1, 0, 0, 0, 1, 0, 0, 0, 1))
        for column, drawn in (("mask", phantom.mask), ("mask_groups", phantom.groups)):
            mask = read_mask(cohort.root / row[column], reference=image)
            assert np.array_equal(np.squeeze(mask.labels), drawn)
        assert float(row["height_m"]) == phantom.patient.height_m
        assert row["sex"] == ("M" if phantom.patient.male else "F")
        assert float(row["bmi"]) == phantom.patient.bmi


def test_pretext_rows_name_the_level_and_the_tissues(cohorts):
    cohort = cohorts["nifti"]
    found = rows(cohort.pretext_manifest)
    assert len(found) == 6
    for row in found:
        level = OTHER_LEVELS[int(row["label"])]
        assert level in row["image"]
        phantom = in_memory(int(row["patient_id"][1:]) - 1, level)
        image = read_ct(cohort.root / row["image"])
        assert np.array_equal(np.squeeze(image.array), phantom.hu)
        labels = np.squeeze(read_mask(cohort.root / row["mask"], reference=image).labels)
        assert np.array_equal(labels, phantom.tissues)
        assert set(np.unique(labels)) <= {0, *TISSUES.values()}
    # Which levels a patient has rotates, so that even small cohorts have all of them.
    assert len({row["label"] for row in found}) > 2


def test_patient_ids_are_pseudonyms_in_order(cohorts):
    ids = [row["patient_id"] for row in rows(cohorts["nifti"].manifest)]
    assert ids == ["P0001", "P0002", "P0003"]
    table = rows(cohorts["nifti"].patients)
    assert [row["patient_id"] for row in table] == ids
    assert {"bmi", "muscle", "kernel", "noise", "troubles"} <= set(table[0])


def test_dicom_is_read_by_pydicom_with_the_same_hu(cohorts):
    cohort = cohorts["dicom"]
    for index, row in enumerate(rows(cohort.manifest)):
        phantom = in_memory(index)
        file = pydicom.dcmread(cohort.root / row["image"])
        hu = file.pixel_array * float(file.RescaleSlope) + float(file.RescaleIntercept)
        assert np.array_equal(hu, phantom.hu)
        assert [float(v) for v in file.PixelSpacing] == pytest.approx(phantom.spacing, rel=1e-6)
        corner = [float(v) for v in file.ImagePositionPatient]
        assert corner[:2] == pytest.approx(phantom.origin, abs=1e-3)
        assert [float(v) for v in file.ImageOrientationPatient] == [1, 0, 0, 0, 1, 0]


def test_dicom_tags_are_plausible_and_name_nobody(cohorts):
    cohort = cohorts["dicom"]
    files = [pydicom.dcmread(path) for path in sorted(cohort.root.rglob("*.dcm"))]
    assert len(files) == 9
    for file in files:
        assert file.Modality == "CT"
        assert file.SOPClassUID == pydicom.uid.CTImageStorage
        assert file.file_meta.MediaStorageSOPInstanceUID == file.SOPInstanceUID
        assert str(file.PatientName) == file.PatientID
        assert file.PatientID in {"P0001", "P0002", "P0003"}
        assert "phantom" in file.Manufacturer
        assert "synthetic" in file.SeriesDescription
        assert file.PatientPosition == "HFS"
        assert file.KVP in (100, 120, 140)
        assert 3.0 <= file.SliceThickness <= 5.0
        assert file.ReconstructionDiameter == pytest.approx(SIZE * file.PixelSpacing[0], abs=0.1)
        assert file.PatientAge.endswith("Y")
        assert file.PatientSex in ("M", "F")
        height, mass = float(file.PatientSize), float(file.PatientWeight)
        assert 16 < mass / height**2 < 44
        for tag in ("PatientBirthDate", "InstitutionName", "ReferringPhysicianName",
                    "OperatorsName", "AccessionNumber"):  # fmt: skip
            assert not str(file.get(tag, ""))
        assert all(uid.startswith("2.25.") for uid in (file.SOPInstanceUID, file.StudyInstanceUID))
    assert len({file.SOPInstanceUID for file in files}) == 9
    assert len({file.SeriesInstanceUID for file in files}) == 9
    assert len({file.StudyInstanceUID for file in files}) == 3
    assert len({file.FrameOfReferenceUID for file in files}) == 3


def test_images_with_other_pixels_have_other_names(cohorts, tmp_path):
    """One seed and three sizes or troubles: no archive may take one for another."""
    plain = {"patients": 3, "seed": 21, "size": SIZE, "image_format": "dicom"}
    drawn = [
        cohorts["dicom"],
        make_cohort(tmp_path / "size", **plain | {"size": SIZE + 1}),
        make_cohort(tmp_path / "trouble", **plain | {"troubles": ["motion"]}),
    ]
    names = [set(), set(), set()]
    for found, cohort in zip(names, drawn, strict=True):
        for path in (cohort.root / "images").iterdir():
            file = pydicom.dcmread(path)
            found.add((file.SOPInstanceUID, file.SeriesInstanceUID))
    assert not names[0] & names[1]
    assert len(names[0] & names[2]) == 2  # every third patient has a trouble


def test_slices_of_one_patient_lie_apart_along_the_body(cohorts):
    """In one frame of reference no two levels are at the same place, and higher is larger."""
    cohort = cohorts["dicom"]
    for patient in ("P0001", "P0002"):
        place = {
            path.stem.partition("_")[2] or "L3": float(
                pydicom.dcmread(path).ImagePositionPatient[2]
            )
            for path in cohort.root.rglob(f"{patient}*.dcm")
        }
        order = ["T12", "L1", "L2", "L3", "L4", "S1"]
        heights = [place[level] for level in order if level in place]
        assert len(heights) == 3
        assert heights == sorted(heights, reverse=True)
        assert min(np.diff(heights[::-1])) > 20


def test_masks_lie_on_the_image_for_other_readers(cohorts):
    for cohort in cohorts.values():
        row = rows(cohort.manifest)[0]
        image = sitk.ReadImage(str(cohort.root / row["image"]))
        mask = sitk.ReadImage(str(cohort.root / row["mask"]))
        assert mask.GetSize() == image.GetSize()
        # Of one DICOM file ITK does not know the slice spacing.
        assert mask.GetSpacing()[:2] == pytest.approx(image.GetSpacing()[:2], rel=1e-5)
        assert mask.GetOrigin() == pytest.approx(image.GetOrigin(), abs=1e-3)
        assert set(np.unique(sitk.GetArrayFromImage(mask))) == {0, 1}
    assert len(GROUPS) == 10


def test_an_unknown_format_is_named(tmp_path):
    with pytest.raises(UnknownNameError, match=r"'nrrd'.*nifti, dicom"):
        make_cohort(tmp_path / "c", patients=1, size=48, image_format="nrrd")
    assert not list(tmp_path.iterdir())
