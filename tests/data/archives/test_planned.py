"""An export of CT series and structure sets becomes a manifest; nobody is mixed up."""

from __future__ import annotations

import csv
import shutil
from pathlib import Path

import numpy as np
import pydicom
import pytest
import SimpleITK as sitk

from muscletransfer.data import Manifest, read_ct, read_mask
from muscletransfer.data.archives import prepare_planned
from muscletransfer.data.archives.miniatures import write_miniature
from muscletransfer.data.synthetic.slices import phantom_slice
from muscletransfer.errors import DataError


@pytest.fixture(scope="module")
def exported(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_miniature("planned", tmp_path_factory.mktemp("plan") / "data", patients=3)


@pytest.fixture
def root(exported: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(exported, tmp_path / "data"))


def problems(path: Path) -> dict[str, str]:
    with path.open() as file:
        return {"/".join(Path(r["file"]).parts[-2:]): r["reason"] for r in csv.DictReader(file)}


def test_outlines_find_their_series_in_any_folder(root: Path, tmp_path: Path) -> None:
    """Structure sets moved to one folder, slices of two patients mixed in another."""
    plans = root / "plans"
    plans.mkdir()
    for k in range(3):
        (root / f"export_{k:03d}/RS0000").rename(plans / f"RS{k}")
    for file in (root / "export_001").iterdir():
        file.rename(root / "export_000" / f"B{file.name}")
    done = prepare_planned(root, tmp_path / "out", "Muscle L3", links=tmp_path / "links.csv")
    manifest = Manifest.read(done.manifest, need_masks=True)
    assert (done.rows, done.problems) == (3, ())
    assert [name[-5:] for name in manifest.patients] == ["-0001", "-0002", "-0003"]
    for row in manifest.rows:
        ct = read_ct(row.image, row.slice_index)
        mask = read_mask(str(row.mask), ct)
        with (tmp_path / "links.csv").open() as file:
            name = next(r["original_patient_id"] for r in csv.DictReader(file)
                        if r["patient_id"] == row.patient_id)  # fmt: skip
        drawn = phantom_slice(int(name.removeprefix("MINI")), size=128).mask
        assert (mask.labels[0] == drawn).mean() > 0.998
        area = mask.labels.sum() / drawn.sum()
        assert area == pytest.approx(1.0, abs=0.02)
    assert "MINI" not in done.manifest.read_text() + done.sidecar.read_text()


def test_what_does_not_belong_together_is_left_out(root: Path, tmp_path: Path) -> None:
    strange = pydicom.dcmread(root / "export_000/RS0000")
    about = strange.ReferencedFrameOfReferenceSequence[0]
    about.RTReferencedStudySequence[0].RTReferencedSeriesSequence[0].SeriesInstanceUID = "1.2.3"
    strange.save_as(root / "export_000/RS0000")
    swapped = pydicom.dcmread(root / "export_001/RS0000")
    swapped.PatientID = "SOMEONE"
    swapped.save_as(root / "export_001/RS0000")
    older = pydicom.dcmread(root / "export_002/RS0000")
    older.StructureSetDate = "20190101"
    older.save_as(root / "export_002/RS0001")
    done = prepare_planned(root, tmp_path / "out", "Muscle L3")
    assert done.rows == 1
    said = problems(done.problems_csv)
    assert "refers to a series that is not here" in said["export_000/RS0000"]
    assert said["export_001/RS0000"] == "names another patient than the series that it refers to"
    assert "RS0000, made later, outlines the same series" in said["export_002/RS0001"]
    assert "SOMEONE" not in done.problems_csv.read_text()


@pytest.mark.parametrize("drawn", [0, 1])
def test_outlines_go_to_the_phase_that_they_were_drawn_on(
    root: Path, tmp_path: Path, drawn: int
) -> None:
    """Two phases under one series UID are two rows of the index; contours name their images."""
    export = root / "export_000"
    outlines = pydicom.dcmread(export / "RS0000")
    images = sorted(p for p in export.iterdir() if p.name.startswith("IM"))
    names: dict[str, str] = {}
    for path in images:
        phase = pydicom.dcmread(path)
        phase.AcquisitionNumber = 1
        phase.save_as(path)
        old = phase.SOPInstanceUID
        phase.AcquisitionNumber, phase.SOPInstanceUID = 2, f"{old}.2"
        phase.file_meta.MediaStorageSOPInstanceUID = phase.SOPInstanceUID
        phase.RescaleIntercept = phase.RescaleIntercept + 7  # told apart by its values
        phase.save_as(path.with_name(f"late_{path.name}"))
        names[old] = phase.SOPInstanceUID if drawn else old
    for contour in outlines.ROIContourSequence[0].ContourSequence:
        image = contour.ContourImageSequence[0]
        image.ReferencedSOPInstanceUID = names[image.ReferencedSOPInstanceUID]
    outlines.save_as(export / "RS0000")
    done = prepare_planned(root, tmp_path / "out", "Muscle L3")
    rows = Manifest.read(done.manifest, need_masks=True).rows
    early = [read_ct(path).hu[0] for path in images]
    found = [read_ct(row.image, row.slice_index).hu[0] for row in rows]
    for late in (0, 1):
        drawn_on = [hu for hu in found if any(np.array_equal(hu, e + 7 * late) for e in early)]
        assert len(drawn_on) == (late == drawn)


def test_outlines_that_name_images_of_no_phase_are_left_out(root: Path, tmp_path: Path) -> None:
    export = root / "export_000"
    for path in [p for p in export.iterdir() if p.name.startswith("IM")]:
        phase = pydicom.dcmread(path)
        for number in (1, 2):
            phase.AcquisitionNumber = number
            phase.SOPInstanceUID = f"{pydicom.dcmread(path).SOPInstanceUID[:60]}.{number}"
            phase.file_meta.MediaStorageSOPInstanceUID = phase.SOPInstanceUID
            phase.save_as(path.with_name(f"{number}_{path.name}"))
        path.unlink()
    done = prepare_planned(root, tmp_path / "out", "Muscle L3")
    assert done.rows == 2
    said = problems(done.problems_csv)["export_000/RS0000"]
    assert said.endswith("2 phases or reconstructions, and names images of none of them")


def second_series(export: Path) -> dict[str, str]:
    """Add a reconstruction with HU of its own and a UID that sorts first; return its images."""
    names: dict[str, str] = {}
    for path in sorted(p for p in export.iterdir() if p.name.startswith("IM")):
        other = pydicom.dcmread(path)
        old = other.SOPInstanceUID
        names[old] = other.SOPInstanceUID = f"1.1.1.{len(names)}"
        other.file_meta.MediaStorageSOPInstanceUID = other.SOPInstanceUID
        other.SeriesInstanceUID, other.RescaleIntercept = "1.1.1", other.RescaleIntercept + 7
        other.save_as(path.with_name(f"other_{path.name}"))
    outlines = pydicom.dcmread(export / "RS0000")
    about = outlines.ReferencedFrameOfReferenceSequence[0].RTReferencedStudySequence[0]
    named = pydicom.Dataset()
    named.SeriesInstanceUID = "1.1.1"
    about.RTReferencedSeriesSequence.append(named)
    outlines.save_as(export / "RS0000")
    return names


@pytest.mark.parametrize("drawn", [0, 1])
def test_outlines_that_refer_to_two_series_go_to_the_one_whose_images_they_name(
    root: Path, tmp_path: Path, drawn: int
) -> None:
    export = root / "export_000"
    names = second_series(export)
    outlines = pydicom.dcmread(export / "RS0000")
    (image,) = outlines.ROIContourSequence[0].ContourSequence[0].ContourImageSequence
    if drawn:
        for contour in outlines.ROIContourSequence[0].ContourSequence:
            image = contour.ContourImageSequence[0]
            image.ReferencedSOPInstanceUID = names[image.ReferencedSOPInstanceUID]
        outlines.save_as(export / "RS0000")
    wanted = next(
        path
        for path in export.iterdir()
        if pydicom.dcmread(path).SOPInstanceUID == image.ReferencedSOPInstanceUID
    )
    done = prepare_planned(root, tmp_path / "out", "Muscle L3", links=tmp_path / "links.csv")
    assert (done.rows, done.problems) == (3, ())
    found = [read_ct(r.image, r.slice_index).hu[0] for r in Manifest.read(done.manifest).rows]
    assert sum(np.array_equal(hu, read_ct(wanted).hu[0]) for hu in found) == 1


def test_outlines_that_name_images_of_two_series_alike_are_left_out(
    root: Path, tmp_path: Path
) -> None:
    export = root / "export_000"
    names = second_series(export)
    outlines = pydicom.dcmread(export / "RS0000")
    (roi,) = outlines.ROIContourSequence
    twin = pydicom.dcmread(export / "RS0000").ROIContourSequence[0].ContourSequence[0]
    (image,) = twin.ContourImageSequence
    image.ReferencedSOPInstanceUID = names[image.ReferencedSOPInstanceUID]
    roi.ContourSequence.append(twin)
    outlines.save_as(export / "RS0000")
    done = prepare_planned(root, tmp_path / "out", "Muscle L3")
    assert done.rows == 2
    said = problems(done.problems_csv)["export_000/RS0000"]
    assert said.startswith("refers to 2 series that are 2 phases or reconstructions")
    assert said.endswith("names as many of one as of another")


@pytest.mark.parametrize("lack", ["another name", "no contour", "points alone"])
def test_a_later_file_without_the_structures_is_passed_over(
    root: Path, tmp_path: Path, lack: str
) -> None:
    later = pydicom.dcmread(root / "export_000/RS0000")
    later.StructureSetDate = "20210101"
    if lack == "no contour":
        del later.ROIContourSequence[0].ContourSequence
    elif lack == "points alone":
        for contour in later.ROIContourSequence[0].ContourSequence:
            contour.ContourGeometricType = "POINT"
    else:
        later.StructureSetROISequence[0].ROIName = "GTV"
    later.save_as(root / "export_000/RS_later")
    done = prepare_planned(root, tmp_path / "out", "Muscle L3")
    assert done.rows == 3
    assert problems(done.problems_csv) == {
        "export_000/RS_later": "lacks what RS0000 has and was asked for, on the same series"
    }


def test_an_outline_that_somebody_corrected_is_kept_and_told(root: Path, tmp_path: Path) -> None:
    done = prepare_planned(root, tmp_path / "out", "Muscle L3")
    path = Path(str(Manifest.read(done.manifest).rows[0].mask))
    image = sitk.ReadImage(str(path))
    image[0, 0, 0] = 1
    sitk.WriteImage(image, str(path))
    drawn = path.read_bytes()
    again = prepare_planned(root, tmp_path / "out", "Muscle L3")
    assert path.read_bytes() == drawn
    assert again.rows == done.rows
    (told,) = again.problems
    assert (told.outcome, told.reason.split(" since")[0]) == ("check", f"{path}: was corrected")


def test_further_ids_of_a_patient_go_into_the_manifest(root: Path, tmp_path: Path) -> None:
    for export in ("export_000", "export_001"):
        for path in (root / export).iterdir():
            of_one = pydicom.dcmread(path)
            of_one.PatientName, of_one.PatientBirthDate = "King^Ada", "18151210"
            of_one.save_as(path)
    done = prepare_planned(root, tmp_path / "out", "Muscle L3", key=tmp_path / "key")
    rows = Manifest.read(done.manifest).rows
    by_patient = {row.patient_id: row.extra["aliases"] for row in rows}
    assert len(rows) == 3
    assert sorted(len(names.split()) for names in by_patient.values()) == [0, 1]
    assert not set(" ".join(by_patient.values()).split()) & set(by_patient)


def test_an_unknown_roi_stops_with_its_name(root: Path, tmp_path: Path) -> None:
    with pytest.raises(DataError, match="Did you mean 'Muscle L3'"):
        prepare_planned(root, tmp_path / "out", "Muscle_L3")


def test_the_miniature_is_what_it_says(exported: Path) -> None:
    image = sitk.ReadImage(str(exported / "export_000/IM0000"))
    hu = sitk.GetArrayFromImage(image)[0]
    assert np.abs(hu - phantom_slice(0, size=128).hu).mean() < 10
