import csv
from pathlib import Path

import numpy as np
import pydicom
import pytest
import SimpleITK as sitk
from trained import phantom, same_grid, truncated, turned_volume

from muscletransfer import SegmentationFineTuner, muscle_measures, read_ct, read_mask
from muscletransfer.cli import main
from muscletransfer.errors import ManifestError
from muscletransfer.finetune import predict_slice
from muscletransfer.measures import measure_manifest
from muscletransfer.observers import observer_study_from_manifest
from muscletransfer.prediction import predict_cases
from muscletransfer.prediction.cases import find_cases


def rows_of(path):
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


@pytest.fixture(scope="module")
def scans(tmp_path_factory):
    """Good files of two formats, in folders, among bad ones and others."""
    root = tmp_path_factory.mktemp("scans")
    phantom(root / "nifti" / "a.nii.gz", 0)
    phantom(root / "nifti" / "deeper" / "b.nii.gz", 1)
    phantom(root / "dicom" / "c.dcm", 2)
    truncated(root / "nifti" / "cut.nii.gz", root / "nifti" / "a.nii.gz")
    truncated(root / "dicom" / "cut.dcm", root / "dicom" / "c.dcm")
    (root / "nifti" / "text.nii.gz").write_text("this is no image")
    (root / "nifti" / "notes.txt").write_text("to be passed over")
    mr = pydicom.dcmread(root / "dicom" / "c.dcm")
    mr.Modality, mr.SeriesInstanceUID = "MR", "1.2.3.4"
    mr.save_as(root / "dicom" / "mr.dcm")
    return root


@pytest.fixture(scope="module")
def run(scans, checkpoint, tmp_path_factory):
    return predict_cases(
        scans, checkpoint, tmp_path_factory.mktemp("run") / "out", precision="32-true"
    )


def test_bad_files_are_reported_and_the_rest_go_on(run):
    assert {one.name for one in run.outcomes} == {"a", "b", "c"}
    rows = rows_of(run.root / "problems.csv")
    written = {Path(row["image"]).name: row["problem"] for row in rows}
    assert set(written) == {"cut.nii.gz", "cut.dcm", "text.nii.gz", "mr.dcm"}
    assert "MR" in written["mr.dcm"]
    assert all("wanted" in text or "Copy it again" in text for text in written.values())
    assert [path.name for path in run.passed_over] == ["notes.txt"]


def test_masks_lie_on_the_grid_of_their_image(run, scans):
    masks = {one.name: one.mask for one in run.outcomes}
    assert same_grid(masks["a"], scans / "nifti" / "a.nii.gz")
    assert same_grid(masks["b"], scans / "nifti" / "deeper" / "b.nii.gz")
    # SimpleITK says 1 mm between the slices of any lone DICOM file; the mask has its thickness.
    image, mask = (sitk.ReadImage(str(p)) for p in (scans / "dicom" / "c.dcm", masks["c"]))
    thickness = float(pydicom.dcmread(scans / "dicom" / "c.dcm").SliceThickness)
    assert mask.GetSpacing() == pytest.approx((*image.GetSpacing()[:2], thickness), rel=1e-5)
    assert mask.GetOrigin() == pytest.approx(image.GetOrigin(), abs=1e-3)
    assert mask.GetDirection() == pytest.approx(image.GetDirection())
    assert mask.GetSize() == image.GetSize()


def test_masks_are_those_of_predict_slice(run, checkpoint, scans):
    model = SegmentationFineTuner.load_from_checkpoint(checkpoint)
    for name, path in (("a", "nifti/a.nii.gz"), ("c", "dicom/c.dcm")):
        by_hand = predict_slice(model, read_ct(scans / path))
        assert by_hand.any()
        found = read_mask(run.root / "masks" / f"{name}.nii.gz").labels[0]
        both = 2 * (found & by_hand).sum() / (found.sum() + by_hand.sum())
        assert both > 0.999


def test_measures_equal_those_by_hand_and_name_their_units(run):
    written = {row["case"]: row for row in rows_of(run.measures)}
    for one in run.outcomes:
        image = read_ct(one.image)
        mask = read_mask(one.mask).labels[0]
        for name, value in muscle_measures(image.hu[0], mask, image.slice_spacing).items():
            assert float(written[one.name][name]) == pytest.approx(value, rel=1e-5)


@pytest.mark.filterwarnings("ignore:The image seems clipped")
def test_a_clipped_image_is_measured_with_a_warning_of_its_case(checkpoint, tmp_path):
    """As the table of a manifest has it; Python's warning alone says of no case which it is."""
    for number, name in enumerate(("clipped", "whole")):
        phantom(tmp_path / f"{name}.nii.gz", number)
    image = sitk.ReadImage(str(tmp_path / "clipped.nii.gz"))
    clipped = sitk.Clamp(image, sitk.sitkInt16, -100, 60)
    sitk.WriteImage(clipped, str(tmp_path / "clipped.nii.gz"))
    run = predict_cases(tmp_path, checkpoint, tmp_path / "out", overlays=False)
    warning = {row["case"]: row["warning"] for row in rows_of(run.measures)}
    assert warning["whole"] == ""
    assert "clipped at -100 HU, inside the window(s) fat" in warning["clipped"]
    assert "clipped at 60 HU, inside the window(s) muscle" in warning["clipped"]
    assert run.page.read_text().count("clipped at -100 HU") == 1
    lines = [f"P{k},{one.image},{one.mask}" for k, one in enumerate(run.outcomes)]
    (tmp_path / "m.csv").write_text("\n".join(["patient_id,image,mask", *lines]))
    assert set(measure_manifest(tmp_path / "m.csv")["warning"]) == set(warning.values())


def test_tables_are_in_the_order_of_the_score(run):
    scores = [float(row["review_score"]) for row in rows_of(run.measures)]
    assert scores == sorted(scores, reverse=True)
    for row in rows_of(run.measures):
        assert (run.root / row["mask"]).is_file()
        assert (run.root / row["overlay"]).is_file()


def test_threads_change_nothing(run, scans, checkpoint, tmp_path):
    alone = predict_cases(
        scans, checkpoint, tmp_path / "o", workers=0, batch_size=1, precision="32-true"
    )
    assert [one.name for one in alone.outcomes] == [one.name for one in run.outcomes]
    for a, b in zip(alone.outcomes, run.outcomes, strict=True):
        assert a.measures == pytest.approx(b.measures, nan_ok=True)


def test_a_slice_of_a_turned_volume(checkpoint, tmp_path):
    image = turned_volume(tmp_path / "volume.nii.gz")
    run = predict_cases(image, checkpoint, tmp_path / "out", slice_index=2)
    (one,) = run.outcomes
    assert one.slice_index == 2
    assert same_grid(one.mask, image)
    labels = sitk.GetArrayFromImage(sitk.ReadImage(str(one.mask)))
    assert labels[2].any()
    assert not labels[[0, 1, 3]].any()
    model = SegmentationFineTuner.load_from_checkpoint(checkpoint)
    by_hand = predict_slice(model, read_ct(image, 2))
    assert (labels[2] != by_hand).mean() < 0.001


def test_a_volume_without_a_slice_says_what_to_pass(checkpoint, tmp_path):
    image = turned_volume(tmp_path / "volume.nii.gz")
    good = phantom(tmp_path / "good.nii.gz")
    run = predict_cases([image, good], checkpoint, tmp_path / "out", overlays=False)
    (problem,) = run.problems
    assert "has 4 slices" in problem.message
    assert "--slice-index" in problem.message
    far = predict_cases(image, checkpoint, tmp_path / "far", slice_index=9)
    assert "slices 0 to 3; slice 9" in far.problems[0].message


def test_a_dicom_series_is_one_case_on_its_own_grid(checkpoint, tmp_path):
    folder = tmp_path / "series"
    source = phantom(tmp_path / "one.dcm", 3)
    folder.mkdir()
    for k in (2, 0, 1):  # names say nothing of the order
        one = pydicom.dcmread(source)
        one.ImagePositionPatient = [*one.ImagePositionPatient[:2], 5.0 * k]
        one.SOPInstanceUID = f"1.2.3.{k}"
        one.save_as(folder / f"f{(k * 2) % 3}.dcm")
    run = predict_cases(folder, checkpoint, tmp_path / "out", slice_index=1)
    (one,) = run.outcomes
    assert one.name == "series"
    mask = sitk.ReadImage(str(one.mask))
    assert mask.GetSize()[2] == 3
    assert mask.GetSpacing()[2] == pytest.approx(5.0)
    assert mask.GetOrigin()[2] == pytest.approx(0.0)
    labels = sitk.GetArrayFromImage(mask)
    assert labels[1].any()
    assert not labels[[0, 2]].any()


def test_a_series_with_a_slice_missing_keeps_the_number_of_its_slice(checkpoint, tmp_path):
    """No regular grid holds it: the mask has one slice, the table the slice of the image."""
    source = pydicom.dcmread(phantom(tmp_path / "one.dcm", 3))
    (tmp_path / "series").mkdir()
    for k, z in enumerate((0.0, 5.0, 10.0, 20.0, 25.0)):
        source.ImagePositionPatient = [*source.ImagePositionPatient[:2], z]
        source.SOPInstanceUID = source.file_meta.MediaStorageSOPInstanceUID = f"1.2.3.{k}"
        source.save_as(tmp_path / "series" / f"{k}.dcm")
    (tmp_path / "m.csv").write_text("patient_id,image,slice_index\nP1,series,3\n")
    with pytest.warns(UserWarning, match="taken as unknown"):
        run = predict_cases(tmp_path / "m.csv", checkpoint, tmp_path / "out", workers=0)
    (row,) = rows_of(run.measures)
    assert row["slice_index"] == "3"
    mask = read_mask(run.root / row["mask"])
    assert mask.shape == (1, 96, 96)
    assert mask.origin[2] == pytest.approx(20.0)
    people = [f"P1,../series,3,{row['mask']},{name}" for name in "AB"]  # they drew what it drew
    head = "patient_id,image,slice_index,mask,observer"
    (run.root / "people.csv").write_text("\n".join([head, *people]))
    with pytest.warns(UserWarning, match="identical"):
        study = observer_study_from_manifest(run.root / "people.csv", None, run.measures)
    assert study.model_cases == ("P1",)
    assert study.pairwise["dice"].tolist() == [1.0, 1.0, 1.0]


def test_a_manifest_gives_slices_and_heights_and_its_bad_rows_are_reported(checkpoint, tmp_path):
    turned_volume(tmp_path / "volume.nii.gz")
    phantom(tmp_path / "b.nii.gz", 1)
    (tmp_path / "m.csv").write_text(
        "patient_id,image,slice_index,height_m,sex,bmi\n"
        "P/1,volume.nii.gz,2,1.80,M,24\n"
        "P2,b.nii.gz,,,,\n"
        "P3,gone.nii.gz,,,,\n"
        "P4,b.nii.gz,0,180,,\n"
    )
    run = predict_cases(tmp_path / "m.csv", checkpoint, tmp_path / "out")
    found = {row["patient_id"]: row for row in rows_of(run.measures)}
    assert set(found) == {"P/1", "P2"}
    row = found["P/1"]
    assert row["case"] == "P_1_slice002"
    assert float(row["smi_cm2_m2"]) == pytest.approx(float(row["sma_cm2"]) / 1.8**2, rel=1e-4)
    assert row["prado2008_smi_below_cutoff"] in ("True", "False")
    assert found["P2"]["smi_cm2_m2"] == ""
    problems = {one.case: one.message for one in run.problems}
    assert "gone.nii.gz" in problems["m_row4"]
    assert "centimetres" in problems["m_row5"]


def test_a_manifest_without_its_columns_stops_the_run(checkpoint, tmp_path):
    (tmp_path / "m.csv").write_text("patient,file\nP1,a.nii.gz\n")
    with pytest.raises(ManifestError, match="no column 'patient_id'"):
        predict_cases(tmp_path / "m.csv", checkpoint, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_files_of_one_name_keep_apart(checkpoint, tmp_path):
    for k, folder in enumerate(("x", "y")):
        phantom(tmp_path / folder / "scan.nii.gz", k)
    run = predict_cases([tmp_path / "x", tmp_path / "y"], checkpoint, tmp_path / "out")
    assert {one.name for one in run.outcomes} == {"x_scan", "y_scan"}
    assert len({one.mask for one in run.outcomes}) == 2


def test_a_link_to_a_folder_above_ends(tmp_path):
    phantom(tmp_path / "in" / "sub" / "a.nii.gz")
    (tmp_path / "in" / "sub" / "loop").symlink_to(tmp_path / "in", target_is_directory=True)
    found = find_cases([tmp_path / "in", tmp_path / "in" / "sub"])
    assert [case.name for case in found.cases] == ["a"]


def test_a_broken_link_is_a_problem(tmp_path):
    phantom(tmp_path / "in" / "a.nii.gz")
    (tmp_path / "in" / "b.nii.gz").symlink_to(tmp_path / "gone" / "b.nii.gz")
    (tmp_path / "in" / "self").symlink_to(tmp_path / "in" / "self")
    found = find_cases([tmp_path / "in"])
    assert [case.name for case in found.cases] == ["a"]
    assert [(one.case, Path(one.image).name) for one in found.problems] == [
        ("b", "b.nii.gz"), ("self", "self")
    ]  # fmt: skip
    assert f"link to {tmp_path / 'gone' / 'b.nii.gz'}, which is not there" in (
        found.problems[0].message
    )


def test_a_link_to_where_nobody_may_look_is_a_problem_of_its_own(tmp_path, monkeypatch):
    """And not of the folder that it is in; patched, since a superuser may look anywhere."""
    phantom(tmp_path / "in" / "a.nii.gz")
    (tmp_path / "in" / "b.nii.gz").symlink_to(tmp_path / "locked" / "b.nii.gz")
    real = Path.stat

    def refusing(path, **given):
        if path.name == "b.nii.gz" and given.get("follow_symlinks", True):
            raise PermissionError(13, "Permission denied", str(path))
        return real(path, **given)

    monkeypatch.setattr(Path, "stat", refusing)
    found = find_cases([tmp_path / "in"])
    assert [case.name for case in found.cases] == ["a"]
    assert [one.message.split(": ")[-1] for one in found.problems] == [
        "cannot be opened (Permission denied). Allow reading it, or leave it out."
    ]


def test_what_may_not_be_read_is_a_problem(tmp_path, monkeypatch):
    """Patched, since a superuser may read everything."""
    for name in ("a.nii.gz", "locked/b.nii.gz", "open/c.nii.gz", "open/secret.dcm"):
        phantom(tmp_path / "in" / name)
    for method in ("iterdir", "open"):
        real = getattr(Path, method)

        def refusing(path, *given, real=real, **more):
            if path.name in ("locked", "secret.dcm"):
                raise PermissionError(13, "Permission denied", str(path))
            return real(path, *given, **more)

        monkeypatch.setattr(Path, method, refusing)
    found = find_cases([tmp_path / "in"])
    assert [case.name for case in found.cases] == ["a", "c"]
    messages = {one.case: one.message for one in found.problems}
    assert set(messages) == {"locked", "secret"}
    assert "locked: cannot be searched (Permission denied)" in messages["locked"]
    assert "secret.dcm: cannot be opened (Permission denied)" in messages["secret"]


def test_an_ensemble_with_mirror_images(checkpoint, second, tmp_path):
    image = phantom(tmp_path / "a.nii.gz")
    run = predict_cases(image, [checkpoint, second], tmp_path / "out", tta=True)
    assert run.flags_off == {}
    assert 0 < run.outcomes[0].member_dice <= 1


def test_a_folder_as_typed_gives_a_table_for_any_working_directory(
    checkpoint, tmp_path, monkeypatch
):
    """As a manifest does; and a fine-tuner in memory stands for its checkpoint."""
    image = phantom(tmp_path / "scans" / "a.nii.gz")
    monkeypatch.chdir(tmp_path)
    model = SegmentationFineTuner.load_from_checkpoint(checkpoint)
    run = predict_cases("scans", model, "out", overlays=False)
    (row,) = rows_of(run.measures)
    assert row["image"] == str(image)
    assert row["mask"] == "masks/a.nii.gz"


def test_an_image_without_spacing_has_no_measures(tmp_path):
    from PIL import Image

    from muscletransfer.data import PreprocessingSpec

    model = SegmentationFineTuner("timm/resnet18")
    model._trained_on = PreprocessingSpec(size=64, hu_window=None)
    Image.fromarray(np.arange(4096, dtype=np.uint8).reshape(64, 64)).save(tmp_path / "grey.png")
    run = predict_cases(tmp_path, [model], tmp_path / "out")
    (one,) = run.outcomes
    assert one.mask.suffix == ".png"
    assert one.measures == {}
    assert "the images are not CT" in run.flags_off["cut"]


def test_the_command_line_says_by_its_status_what_happened(checkpoint, scans, tmp_path, capsys):
    good = str(scans / "nifti" / "a.nii.gz")
    common = ["--checkpoint", str(checkpoint), "-o"]
    assert main(["predict", good, *common, str(tmp_path / "1")]) == 0
    assert "1 predicted" in capsys.readouterr().out
    assert main(["predict", good, "gone.nii", *common, str(tmp_path / "2")]) == 1
    assert "not predicted: gone" in capsys.readouterr().err
    assert main(["predict", "gone.nii", *common, str(tmp_path / "3")]) == 2
    assert (tmp_path / "3" / "problems.csv").is_file()
    assert main(["predict", good, "--format", "dicom-sec", *common, str(tmp_path / "4")]) == 2
    assert "Did you mean 'dicom-seg'" in capsys.readouterr().err
    assert not (tmp_path / "4").exists()


def test_the_command_asks_for_a_checkpoint(capsys):
    with pytest.raises(SystemExit):
        main(["predict", "a.nii.gz", "-o", "out"])
    assert "--checkpoint" in capsys.readouterr().err


@pytest.mark.parametrize("option", ["--ckpt_path=x.ckpt", "--config", "--data.init_args.fold=1"])
def test_the_other_form_goes_to_lightning(option):
    from muscletransfer.cli.predicting import is_for_lightning

    assert is_for_lightning(["predict", option])
    assert not is_for_lightning(["predict", "data", "--checkpoint", "model.ckpt", "-o", "config"])
