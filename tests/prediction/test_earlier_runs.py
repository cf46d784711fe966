"""What a run may remove and write over in its folder, and what is there when it was ended."""

import csv

import numpy as np
import pytest
from trained import phantom, truncated

from muscletransfer import read_mask
from muscletransfer.errors import ImageReadError, SettingError
from muscletransfer.prediction import outcome, predict_cases


def rows_of(path):
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def contents(folder):
    return {p: p.read_bytes() for p in sorted(folder.rglob("*")) if p.is_file()}


def test_an_earlier_run_is_not_replaced_unasked(checkpoint, tmp_path):
    image = phantom(tmp_path / "a.nii.gz")
    predict_cases(image, checkpoint, tmp_path / "out")
    with pytest.raises(SettingError, match="earlier prediction"):
        predict_cases(image, checkpoint, tmp_path / "out")
    again = predict_cases(tmp_path, checkpoint, tmp_path / "out", overwrite=True)
    assert [one.name for one in again.outcomes] == ["a"]  # its own outputs are no input


def test_a_run_into_the_folder_of_its_images_can_be_repeated(checkpoint, tmp_path):
    """Its masks are no images, which would give both another name."""
    phantom(tmp_path / "a.nii.gz")
    for overwrite in (False, True):
        run = predict_cases(tmp_path, checkpoint, tmp_path, overwrite=overwrite)
        assert ([one.name for one in run.outcomes], run.problems) == (["a"], [])


def area_of(path):
    image = read_mask(path)
    return image.labels.sum() * np.prod(image.spacing[1:]) / 100


def test_what_was_done_before_a_run_was_ended_is_in_its_tables(checkpoint, second, tmp_path):
    """Another network replaces a run and is ended at its second case, with any error."""
    for number in range(4):
        phantom(tmp_path / "scans" / f"p{number}.nii.gz", number)
    out = tmp_path / "out"
    predict_cases(tmp_path / "scans", checkpoint, out)
    (out / "masks" / "p3_mended.nii.gz").write_text("a person's own file")
    done = []

    def stop(name):
        done.append(name)
        if len(done) == 2:
            raise KeyboardInterrupt

    changes = {"batch_size": 1, "workers": 0, "on_case": stop}
    with pytest.raises(KeyboardInterrupt):
        predict_cases(tmp_path / "scans", second, out, overwrite=True, **changes)
    rows = rows_of(out / "measures.csv")
    assert sorted(row["case"] for row in rows) == sorted(done)
    for row in rows:
        area = area_of(out / row["mask"])
        assert float(row["sma_outline_cm2"]) == pytest.approx(area, rel=1e-4)
    left = sorted({"p0", "p1", "p2", "p3"} - set(done))
    problems = {row["case"]: row["problem"] for row in rows_of(out / "problems.csv")}
    assert sorted(problems) == left
    assert all("--overwrite" in text for text in problems.values())
    masks = {path.name for path in (out / "masks").iterdir()}
    assert masks >= {*(f"{name}.nii.gz" for name in done), "p3_mended.nii.gz"}
    assert "p3.nii.gz" not in masks  # it was of the first network
    assert all(name in (out / "index.html").read_text() for name in left)
    with pytest.raises(SettingError, match="earlier prediction"):  # noticed by the next
        predict_cases(tmp_path / "scans", second, out)


def test_an_overwriting_run_leaves_nothing_of_the_earlier_one(checkpoint, tmp_path):
    for number in range(2):
        phantom(tmp_path / "scans" / f"p{number}.dcm", number)
    out = tmp_path / "out"
    predict_cases(tmp_path / "scans", checkpoint, out)
    truncated(tmp_path / "scans" / "p1.dcm", tmp_path / "scans" / "p1.dcm")
    predict_cases(tmp_path / "scans", checkpoint, out, mask_format="rtstruct", overwrite=True)
    assert [path.name for path in (out / "masks").iterdir()] == ["p0_rtstruct.dcm"]
    assert [path.name for path in (out / "overlays").iterdir()] == ["p0.png"]


@pytest.mark.parametrize("overwrite", [False, True])
@pytest.mark.parametrize("there", ["masks/a.nii.gz", "overlays/a.png"])
def test_what_no_earlier_run_wrote_is_never_replaced(there, overwrite, checkpoint, tmp_path):
    """Such as the outlines of people, in the folder of a cohort that is given as output."""
    image = phantom(tmp_path / "images" / "a.nii.gz")
    (tmp_path / there).parent.mkdir()
    (tmp_path / there).write_text("by a person")
    before = contents(tmp_path)
    with pytest.raises(SettingError, match=r"a\..* is there already and would be replaced"):
        predict_cases(image, checkpoint, tmp_path, overwrite=overwrite)
    assert contents(tmp_path) == before


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("problems.csv", "file,outcome,reason,way_out\nb.dcm,left out,a localiser,\n"),
        ("measures.csv", "patient_id,group,sma_cm2\nb,all,120.5\n"),
        ("index.html", "<title>My project</title>\n"),
    ],
)
def test_tables_of_something_else_are_never_replaced(name, text, checkpoint, tmp_path):
    """As `data index`, `measure` and people write them."""
    (tmp_path / name).write_text(text)
    image = phantom(tmp_path / "a.nii.gz")
    with pytest.raises(SettingError, match="wanted a new folder"):
        predict_cases(image, checkpoint, tmp_path)
    before = contents(tmp_path)
    with pytest.raises(SettingError, match=f"{name} is not of an earlier prediction"):
        predict_cases(image, checkpoint, tmp_path, overwrite=True)
    assert contents(tmp_path) == before


def test_a_run_of_which_nothing_could_be_predicted_can_be_replaced(
    checkpoint, tmp_path, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    image = phantom(tmp_path / "a.nii.gz")
    predict_cases("gone.nii.gz", checkpoint, "out")
    (row,) = rows_of(tmp_path / "out" / "problems.csv")
    assert row["image"] == str(tmp_path / "gone.nii.gz")  # as in measures.csv, not as typed
    run = predict_cases(image, checkpoint, "out", overwrite=True)
    assert [one.name for one in run.outcomes] == ["a"]
    assert rows_of(tmp_path / "out" / "problems.csv") == []


def test_a_mask_that_a_person_drew_of_a_failed_case_stays(checkpoint, tmp_path):
    scans, out = tmp_path / "scans", tmp_path / "out"
    truncated(scans / "b.nii.gz", phantom(scans / "b.nii.gz", 1))
    phantom(scans / "a.nii.gz")
    predict_cases(scans, checkpoint, out)
    for name in ("b.nii.gz", "a_seg.dcm", "a_mended.nii.gz"):
        (out / "masks" / name).write_text("by a person")
    before = contents(out)
    with pytest.raises(SettingError, match=r"b\.nii\.gz is there already .*\(1 such file"):
        predict_cases(scans, checkpoint, out, overwrite=True)
    assert contents(out) == before
    predict_cases(scans / "a.nii.gz", checkpoint, out, overwrite=True)
    kept = {p.name for p in (out / "masks").iterdir() if p.read_bytes() == b"by a person"}
    assert kept == {"b.nii.gz", "a_seg.dcm", "a_mended.nii.gz"}


def test_a_run_that_was_killed_can_be_replaced(checkpoint, tmp_path):
    """Its tables are those of the start: no case was come to, though some have masks."""
    for number in range(2):
        phantom(tmp_path / "scans" / f"p{number}.dcm", number)
    out, tables = tmp_path / "out", {}

    def keep_tables(_):
        tables.update({path: path.read_text() for path in out.glob("*.csv")})

    predict_cases(tmp_path / "scans", checkpoint, out, on_case=keep_tables)
    for path, text in tables.items():
        path.write_text(text)
    (out / "index.html").unlink()
    assert len(list((out / "masks").iterdir())) == 2
    predict_cases(
        tmp_path / "scans" / "p0.dcm", checkpoint, out, mask_format="rtstruct", overwrite=True
    )
    assert [path.name for path in (out / "masks").iterdir()] == ["p0_rtstruct.dcm"]


def test_a_case_that_fails_leaves_no_mask(checkpoint, tmp_path, monkeypatch):
    """No table would name it, and the next run would take it for a person's."""

    def full(*_):
        raise ImageReadError("no space left")

    image = phantom(tmp_path / "a.nii.gz")
    monkeypatch.setattr(outcome, "write_overlay", full)
    run = predict_cases(image, checkpoint, tmp_path / "out")
    assert [one.message for one in run.problems] == ["no space left"]
    assert list((run.root / "masks").iterdir()) == []


def test_masks_of_cases_that_were_not_come_to_are_not_left(checkpoint, tmp_path):
    """A batch is written together: the others of it have no row, and no measures."""
    for number in range(3):
        phantom(tmp_path / "scans" / f"p{number}.nii.gz", number)

    def stop(_):
        raise KeyboardInterrupt

    out = tmp_path / "out"
    with pytest.raises(KeyboardInterrupt):
        predict_cases(tmp_path / "scans", checkpoint, out, workers=0, on_case=stop)
    (row,) = rows_of(out / "measures.csv")
    for folder in ("masks", "overlays"):
        assert [path.name.split(".")[0] for path in (out / folder).iterdir()] == [row["case"]]
