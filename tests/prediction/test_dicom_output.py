import importlib.util
import warnings

import numpy as np
import pandas as pd
import pydicom
import pytest
import SimpleITK as sitk
from matplotlib.path import Path as Polygon
from trained import phantom

from muscletransfer import read_mask
from muscletransfer.cli import main
from muscletransfer.data.indexing import index_images
from muscletransfer.errors import MissingDependencyError
from muscletransfer.prediction import predict_cases
from muscletransfer.prediction.masks import check_mask_format
from muscletransfer.prediction.rtstruct import contours, write_rtstruct

pytest.importorskip("highdicom")


@pytest.fixture(scope="module")
def runs(checkpoint, tmp_path_factory):
    """The same DICOM slice predicted into each format."""
    root = tmp_path_factory.mktemp("formats")
    image = phantom(root / "a.dcm", 4)
    found = {
        kind: predict_cases(image, checkpoint, root / kind, mask_format=kind, overlays=False)
        for kind in ("nifti", "rtstruct", "dicom-seg")
    }
    assert all(not run.problems for run in found.values())
    return image, {kind: run.outcomes[0].mask for kind, run in found.items()}


def filled(contour_sets, image):
    """Rasterise contours by the even-odd rule with SimpleITK's geometry, pixel by pixel."""
    columns, rows = image.GetSize()[:2]
    inside = np.zeros((rows, columns), bool)
    x, y = np.meshgrid(np.arange(columns), np.arange(rows))
    centres = np.stack([x.ravel(), y.ravel()], 1)
    for data in contour_sets:
        points = np.array(data, dtype=float).reshape(-1, 3)
        indices = [image.TransformPhysicalPointToContinuousIndex(p.tolist())[:2] for p in points]
        inside ^= Polygon(indices).contains_points(centres).reshape(rows, columns)
    return inside


def test_no_name_of_a_patient_is_printed(checkpoint, tmp_path, capsys):
    image = phantom(tmp_path / "a.dcm", 4)
    data = pydicom.dcmread(image)
    data.PatientName = "Somebody"  # without a caret
    data.save_as(image)
    command = ["predict", image, "--checkpoint", checkpoint, "-o", tmp_path / "out"]
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        assert main([*map(str, command), "--format", "dicom-seg", "--no-overlays"]) == 0
    told = capsys.readouterr()
    assert "Somebody" not in told.out + told.err + "".join(str(one.message) for one in caught)
    (found,) = (tmp_path / "out").rglob("*.dcm")
    assert pydicom.dcmread(found).PatientName == "Somebody"


def test_an_rtstruct_gives_the_mask_back(runs):
    image, masks = runs
    found = pydicom.dcmread(masks["rtstruct"])
    assert found.Modality == "RTSTRUCT"
    assert found.StructureSetROISequence[0].ROIName == "muscle"
    source = pydicom.dcmread(image)
    contour = found.ROIContourSequence[0].ContourSequence
    assert contour[0].ContourImageSequence[0].ReferencedSOPInstanceUID == source.SOPInstanceUID
    assert found.StudyInstanceUID == source.StudyInstanceUID
    assert found.PatientID == source.PatientID
    frame = found.ReferencedFrameOfReferenceSequence[0].FrameOfReferenceUID
    assert frame == source.FrameOfReferenceUID
    wanted = read_mask(masks["nifti"]).labels[0] > 0
    assert wanted.any()
    back = filled([item.ContourData for item in contour], sitk.ReadImage(str(image)))
    np.testing.assert_array_equal(back, wanted)


@pytest.mark.parametrize("kind", ["rtstruct", "dicom-seg"])
def test_a_row_of_an_index_refers_to_its_slice(kind, checkpoint, tmp_path):
    source = pydicom.dcmread(phantom(tmp_path / "one.dcm", 3))
    (tmp_path / "export").mkdir()
    for k in (2, 0, 1):  # names say nothing of the order
        source.ImagePositionPatient = [*source.ImagePositionPatient[:2], 5.0 * k]
        source.SOPInstanceUID = source.file_meta.MediaStorageSOPInstanceUID = f"1.2.3.{k}"
        source.save_as(tmp_path / "export" / f"f{(k * 2) % 3}.dcm")
    index_images(tmp_path / "export", tmp_path / "manifest.csv", workers=0)
    table = pd.read_csv(tmp_path / "manifest.csv")
    assert table["image"].str.endswith(".series.json").all()
    table.assign(slice_index=2).to_csv(tmp_path / "chosen.csv", index=False)
    run = predict_cases(
        tmp_path / "chosen.csv", checkpoint, tmp_path / "out", mask_format=kind, overlays=False
    )
    assert not run.problems
    plain = predict_cases(tmp_path / "chosen.csv", checkpoint, tmp_path / "nifti", overlays=False)
    wanted = read_mask(plain.outcomes[0].mask).labels[2] > 0
    assert wanted.any()
    found = pydicom.dcmread(run.outcomes[0].mask)
    (chosen,) = [
        path for path in (tmp_path / "export").iterdir()
        if pydicom.dcmread(path).ImagePositionPatient[2] == 10.0
    ]  # fmt: skip
    if kind == "rtstruct":
        drawn = found.ROIContourSequence[0].ContourSequence
        assert drawn[0].ContourImageSequence[0].ReferencedSOPInstanceUID == "1.2.3.2"
        back = filled([item.ContourData for item in drawn], sitk.ReadImage(str(chosen)))
    else:
        import highdicom as hd

        segments = hd.seg.segread(run.outcomes[0].mask)
        back = segments.get_pixels_by_source_instance(["1.2.3.2"])[0, ..., 0] > 0
    np.testing.assert_array_equal(back, wanted)


def test_holes_and_edges_survive_an_rtstruct(runs, tmp_path):
    image, _ = runs
    shape = sitk.GetArrayFromImage(sitk.ReadImage(str(image))).shape[1:]
    mask = np.zeros(shape, np.uint8)
    mask[:30, 10:40] = 1
    mask[8:12, 15:20] = 0
    mask[60:64, 50:70] = 2
    path = write_rtstruct(mask, image, tmp_path / "a.dcm", ["first", "second"])
    found = pydicom.dcmread(path)
    reference = sitk.ReadImage(str(image))
    for label, roi in enumerate(found.ROIContourSequence, 1):
        back = filled([item.ContourData for item in roi.ContourSequence], reference)
        np.testing.assert_array_equal(back, mask == label)


def test_contours_are_closed_without_a_repeated_point():
    mask = np.zeros((6, 6), bool)
    mask[2:4, 1:5] = True
    (line,) = contours(mask)
    assert not np.array_equal(line[0], line[-1])
    assert line.min() == 0.5


def test_a_dicom_seg_gives_the_mask_back(runs):
    import highdicom as hd

    image, masks = runs
    found = hd.seg.segread(masks["dicom-seg"])
    source = pydicom.dcmread(image)
    assert found.SegmentSequence[0].SegmentLabel == "muscle"
    pixels = found.get_pixels_by_source_instance([source.SOPInstanceUID])[0, ..., 0]
    np.testing.assert_array_equal(pixels > 0, read_mask(masks["nifti"]).labels[0] > 0)
    assert found.PatientID == source.PatientID


def test_dicom_objects_need_dicom_images(checkpoint, tmp_path):
    image = phantom(tmp_path / "a.nii.gz")
    run = predict_cases(image, checkpoint, tmp_path / "out", mask_format="rtstruct")
    assert "is not a DICOM slice" in run.problems[0].message
    assert list((tmp_path / "out").rglob("*.dcm")) == []


@pytest.mark.parametrize(
    ("kind", "keyword", "value"),
    [
        ("rtstruct", "StudyInstanceUID", None),
        ("rtstruct", "SOPInstanceUID", None),
        ("rtstruct", "SOPClassUID", None),
        ("dicom-seg", "SOPInstanceUID", None),
        ("dicom-seg", "FrameOfReferenceUID", None),
        ("dicom-seg", "PatientID", None),
        ("dicom-seg", "PatientSex", "male"),
        ("dicom-seg", "StudyDate", "2020-13-77"),
    ],
)
def test_a_header_that_cannot_be_referred_to_is_a_problem_of_its_case(
    kind, keyword, value, checkpoint, tmp_path
):
    folder = tmp_path / "in"
    phantom(folder / "good.dcm", 1)
    source = pydicom.dcmread(phantom(folder / "poor.dcm", 2))
    if value is None:
        delattr(source, keyword)
    else:
        setattr(source, keyword, value)
    source.save_as(folder / "poor.dcm", enforce_file_format=False)
    run = predict_cases(folder, checkpoint, tmp_path / "out", mask_format=kind, overlays=False)
    assert [one.name for one in run.outcomes] == ["good"]
    assert pd.read_csv(run.measures)["case"].tolist() == ["good"]
    (problem,) = run.problems
    assert problem.case == "poor"
    assert f"cannot be referred to by {kind}" in problem.message
    assert "--format nifti" in problem.message
    assert [path.name.split("_")[0] for path in (run.root / "masks").iterdir()] == ["good"]


@pytest.mark.parametrize("kind", ["rtstruct", "dicom-seg"])
def test_a_file_without_the_preamble_can_be_referred_to(kind, checkpoint, tmp_path):
    whole = phantom(tmp_path / "whole.dcm", 1)
    (tmp_path / "bare.dcm").write_bytes(whole.read_bytes()[132:])
    run = predict_cases(
        tmp_path / "bare.dcm", checkpoint, tmp_path / "out", mask_format=kind, overlays=False
    )
    assert not run.problems
    found = pydicom.dcmread(run.outcomes[0].mask)
    assert found.StudyInstanceUID == pydicom.dcmread(whole).StudyInstanceUID


def test_a_missing_extra_fails_with_the_command(checkpoint, tmp_path, monkeypatch, capsys):
    real = importlib.util.find_spec
    monkeypatch.setattr(
        importlib.util,
        "find_spec",
        lambda name, *a: None if name == "highdicom" else real(name, *a),
    )
    with pytest.raises(MissingDependencyError, match=r"pip install 'muscletransfer\[dicom\]'"):
        check_mask_format("dicom-seg")
    common = ["--checkpoint", str(checkpoint), "-o", str(tmp_path / "out")]
    assert main(["predict", "a.dcm", "--format", "dicom-seg", *common]) == 2
    assert "muscletransfer[dicom]" in capsys.readouterr().err


@pytest.mark.parametrize(
    "orientation", [[1, 0, 0, 0, 1, 0], [-1, 0, 0, 0, -1, 0], [0, 1, 0, -1, 0, 0]]
)
def test_an_rtstruct_of_oblong_and_turned_pixels(orientation, tmp_path):
    source = pydicom.dcmread(phantom(tmp_path / "a.dcm", 4))
    source.PixelSpacing = ["0.6", "1.1"]
    source.ImageOrientationPatient = orientation
    source.save_as(tmp_path / "oblong.dcm")
    reference = sitk.ReadImage(str(tmp_path / "oblong.dcm"))
    mask = np.zeros(reference.GetSize()[1::-1], np.uint8)
    mask[5:30, 10:40] = 1
    mask[8:12, 15:20] = 0
    path = write_rtstruct(mask, tmp_path / "oblong.dcm", tmp_path / "rt.dcm", ["muscle"])
    contours = pydicom.dcmread(path).ROIContourSequence[0].ContourSequence
    np.testing.assert_array_equal(filled([c.ContourData for c in contours], reference), mask == 1)
