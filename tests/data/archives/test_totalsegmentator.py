"""TotalSegmentator's data set and output, in the published layout."""

from __future__ import annotations

import csv
import gzip
import os
import shutil
from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk

from muscletransfer.data import LowDataModule, Manifest, PreprocessingSpec, read_ct, read_mask
from muscletransfer.data.archives import prepare_totalsegmentator, read_sidecar, totalsegmentator
from muscletransfer.data.archives.miniatures import write_miniature
from muscletransfer.errors import DataError, ImageReadError, ManifestError

DAMAGED = {  # what a broken copy leaves of a label file
    "empty": b"",
    "cut": gzip.compress(bytes(400))[:12],
    "garbled": gzip.compress(bytes(400))[:10] + bytes([255] * 30),
}
REAL = os.environ.get("MUSCLETRANSFER_REAL_DATA", "")


@pytest.fixture(scope="module")
def published(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("ts") / "data"
    return write_miniature("totalsegmentator", folder, patients=5, size=48)


@pytest.fixture
def root(published: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(published, tmp_path / "data"))


def problems(path: Path) -> dict[str, tuple[str, str]]:
    with path.open() as file:
        return {Path(r["file"]).name: (r["outcome"], r["reason"]) for r in csv.DictReader(file)}


def array(path: Path) -> np.ndarray:
    return sitk.GetArrayFromImage(sitk.ReadImage(str(path)))


def rewrite(path: Path, values: np.ndarray) -> None:
    image = sitk.ReadImage(str(path))
    changed = sitk.GetImageFromArray(values)
    changed.CopyInformation(image)
    sitk.WriteImage(changed, str(path))


def test_the_slice_through_l3_with_its_muscles(root: Path, tmp_path: Path) -> None:
    done = prepare_totalsegmentator(root, tmp_path / "out")
    manifest = Manifest.read(done.manifest, need_masks=True)
    assert (done.rows, done.patients, done.problems) == (5, 5, ())
    row = manifest.rows[0]
    assert row.slice_index in (5, 6)  # the body is on slices 3 to 8
    assert (row.label, row.sex, row.extra["split"]) == ("L3", "M", "train")
    folder = root / "s0000/segmentations"
    parts = {n: array(folder / f"{n}.nii.gz")[row.slice_index] > 0 for n in (
        "autochthon_left", "autochthon_right", "iliopsoas_left", "iliopsoas_right")}  # fmt: skip
    wanted = np.select(
        [
            parts["iliopsoas_left"] | parts["iliopsoas_right"],
            parts["autochthon_left"] | parts["autochthon_right"],
        ],
        [2, 1],
    )
    np.testing.assert_array_equal(array(Path(str(row.mask)))[0], wanted)
    facts = read_sidecar(done.manifest)
    assert facts is not None
    assert facts["licence"] == "CC BY 4.0"
    assert facts["classes"] == {"1": "autochthon_*", "2": "iliopsoas_*"}


def test_the_published_split_reaches_training(root: Path, tmp_path: Path) -> None:
    done = prepare_totalsegmentator(root, tmp_path / "out", neighbours=1)
    assert done.rows == 15
    assert done.split is not None
    data = LowDataModule(
        done.manifest,
        split=done.split,
        preprocessing=PreprocessingSpec(size=32),
        cache_dir=tmp_path / "cache",
        num_classes=3,
    )
    data.setup("fit")
    assert data.split is not None
    assert (data.split.val, data.split.test) == (("s0003",), ("s0004",))
    assert sorted(data.split.train) == ["s0000", "s0001", "s0002"]
    manifest = Manifest.read(done.manifest)
    assert [r.extra["from_middle"] for r in manifest.rows[:3]] == ["-1", "0", "1"]


def test_output_of_the_program_for_ones_own_ct(root: Path, tmp_path: Path) -> None:
    """No meta.csv, one file of all labels, and a CT under another name."""
    (root / "meta.csv").unlink()
    case = root / "s0000"
    total = np.zeros(array(case / "ct.nii.gz").shape, np.uint8)
    for name, value in {"vertebrae_L3": 29, "autochthon_left": 86, "iliopsoas_left": 88}.items():
        total[array(case / f"segmentations/{name}.nii.gz") > 0] = value
    rewrite(case / "ct.nii.gz", array(case / "ct.nii.gz"))
    image = sitk.GetImageFromArray(total)
    image.CopyInformation(sitk.ReadImage(str(case / "ct.nii.gz")))
    sitk.WriteImage(image, str(case / "total.nii.gz"))
    shutil.rmtree(case / "segmentations")
    (case / "ct.nii.gz").rename(case / "image.nii.gz")
    shutil.copytree(case, root / "s0001", dirs_exist_ok=True)  # another model's, of 132 classes
    shutil.rmtree(root / "s0001/segmentations")
    total[0, 0, 0] = 132
    rewrite(root / "s0001/total.nii.gz", total)
    done = prepare_totalsegmentator(root, tmp_path / "out", structures="iliopsoas_left")
    assert done.split is None
    said = problems(done.problems_csv)  # its own output: values without names are no guess here
    assert list(said) == ["s0001"]
    assert "holds the value 132, and TotalSegmentator's table" in said["s0001"][1]
    rows = Manifest.read(done.manifest).rows
    drawn = array(Path(str(rows[0].mask)))[0]
    np.testing.assert_array_equal(drawn == 1, total[rows[0].slice_index] == 88)
    facts = read_sidecar(done.manifest)
    assert facts is not None
    assert (facts["name"], facts["licence"]) == ("TotalSegmentator output", "unknown")


def test_a_dicom_folder_beside_its_segmentations(tmp_path: Path) -> None:
    """The program reads DICOM and writes NIfTI, stored the other way round."""
    root = write_miniature("totalsegmentator", tmp_path / "data", patients=1, size=128)
    export = write_miniature("planned", tmp_path / "export", patients=1, size=128)
    before = prepare_totalsegmentator(root, tmp_path / "nifti", neighbours=1)
    wanted = [r.slice_index for r in Manifest.read(before.manifest).rows]
    (root / "s0000/ct.nii.gz").unlink()
    shutil.copytree(export / "export_000", root / "s0000/dicom")
    done = prepare_totalsegmentator(root, tmp_path / "out", neighbours=1)
    rows = Manifest.read(done.manifest, need_masks=True).rows
    assert [r.slice_index for r in rows] == wanted
    from muscletransfer.data.checking import check_manifest

    check = check_manifest(done.manifest)
    assert check.errors == []
    assert min(f.in_window for f in check.facts) > 0.8  # muscle lies on muscle


def test_bad_cases_are_listed_and_stop_nothing(root: Path, tmp_path: Path) -> None:
    rewrite(
        root / "s0000/segmentations/vertebrae_L3.nii.gz",
        np.zeros_like(array(root / "s0000/segmentations/vertebrae_L3.nii.gz")),
    )
    (root / "s0001/ct.nii.gz").unlink()
    (root / "s0002/segmentations/iliopsoas_left.nii.gz").unlink()
    (root / "s0002/segmentations/iliopsoas_right.nii.gz").unlink()
    vertebra = array(root / "s0003/segmentations/vertebrae_L3.nii.gz")
    rewrite(root / "s0003/segmentations/vertebrae_L3.nii.gz", np.roll(vertebra, 3, axis=0))
    for name, data in DAMAGED.items():
        shutil.copytree(root / "s0004", root / name)
        shutil.rmtree(root / name / "segmentations")
        (root / name / "total.nii.gz").write_bytes(data)
    done = prepare_totalsegmentator(root, tmp_path / "out")
    assert Manifest.read(done.manifest).patients == ["s0003", "s0004"]
    said = problems(done.problems_csv)
    assert said["s0000"] == ("left out", "does not show vertebrae_L3")
    assert "has no CT (looked for ct.nii.gz" in said["s0001"][1]
    assert "has no structure 'iliopsoas_*'" in said["s0002"][1]
    assert said["s0003"][0] == "check"
    assert "cut off at the last slice" in said["s0003"][1]
    for name in DAMAGED:
        assert said[name][0] == "left out"
    assert said["empty"][1].startswith("has 0 bytes")
    assert said["cut"][1].startswith("is cut short or damaged (Compressed file ended")


def test_cases_with_names_alike_have_a_mask_each(root: Path, tmp_path: Path) -> None:
    """On one grid, as after registration, only the name could tell the masks apart."""
    for path in root.rglob("*.nii.gz"):
        image = sitk.ReadImage(str(path))
        image.SetSpacing((6.0, 6.0, 3.0))
        image.SetOrigin((180.0, 180.0, -100.0))
        sitk.WriteImage(image, str(path))
    alone = {}
    for k, new in enumerate(("Müller", "Möller", "患者", "病人")):
        (root / f"s{k:04d}").rename(root / new)
        done = prepare_totalsegmentator(root / new, tmp_path / new)
        alone[new] = array(Path(str(Manifest.read(done.manifest).rows[0].mask)))
    done = prepare_totalsegmentator(root, tmp_path / "out")
    rows = Manifest.read(done.manifest, need_masks=True).rows
    assert len({row.mask for row in rows}) == len(rows) == 5
    for row in rows:
        if row.patient_id in alone:
            np.testing.assert_array_equal(array(Path(str(row.mask))), alone[row.patient_id])


def test_the_manifest_of_before_keeps_its_masks_until_it_is_replaced(
    root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    output = tmp_path / "out"

    def areas() -> list[list[int]]:
        rows = Manifest.read(output / "manifest.csv", need_masks=True).rows
        return [np.bincount(array(Path(str(row.mask))).ravel()).tolist() for row in rows]

    prepare_totalsegmentator(root, output)
    before = areas()
    swapped = {"iliopsoas_*": 1, "autochthon_*": 2}

    def interrupted(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(totalsegmentator, "write_prepared", interrupted)
        with pytest.raises(KeyboardInterrupt):
            prepare_totalsegmentator(root, output, structures=swapped)
    assert areas() == before
    (output / "masks" / "mine.nii.gz").write_bytes(b"")
    prepare_totalsegmentator(root, output, structures=swapped)
    assert areas() == [[background, b, a] for background, a, b in before]
    named = {row.mask for row in Manifest.read(output / "manifest.csv").rows}
    assert set((output / "masks").iterdir()) == {*named, output / "masks" / "mine.nii.gz"}


def test_a_manifest_that_was_renamed_keeps_its_masks(root: Path, tmp_path: Path) -> None:
    output = tmp_path / "out"
    first = prepare_totalsegmentator(root / "s0000", output)
    first.manifest.rename(output / "first.csv")
    second = prepare_totalsegmentator(root / "s0001", output)
    assert Manifest.read(output / "first.csv", need_masks=True).patients == ["s0000"]
    assert Manifest.read(second.manifest, need_masks=True).patients == ["s0001"]


def correct(path: Path) -> bytes:
    values = array(path)
    values[0, :2, :2] = 1
    rewrite(path, values)
    return path.read_bytes()


def test_masks_that_somebody_corrected_are_kept_and_told(root: Path, tmp_path: Path) -> None:
    output = tmp_path / "out"
    done = prepare_totalsegmentator(root, output, neighbours=1)
    rows = Manifest.read(done.manifest).rows
    above, middle = Path(str(rows[2].mask)), Path(str(rows[1].mask))
    drawn = {path: correct(path) for path in (above, middle)}
    again = prepare_totalsegmentator(root, output, neighbours=1)
    assert [row.mask for row in Manifest.read(again.manifest).rows] == [row.mask for row in rows]
    assert {path: path.read_bytes() for path in drawn} == drawn
    assert [p.reason.split(" since")[0] for p in again.problems] == [
        f"{middle}: was corrected",
        f"{above}: was corrected",
    ]
    fewer = prepare_totalsegmentator(root, output)
    assert {path: path.read_bytes() for path in drawn} == drawn
    assert set((output / "masks").iterdir()) == {
        above, *(row.mask for row in Manifest.read(fewer.manifest).rows)
    }  # fmt: skip
    said = problems(fewer.problems_csv)
    assert "was corrected since it was written, and stays so" in said["s0000"][1]
    assert "although no row names it any more" in said[above.name][1]


def test_masks_that_another_manifest_of_the_folder_names_are_kept(
    root: Path, tmp_path: Path
) -> None:
    output = tmp_path / "out"
    done = prepare_totalsegmentator(root, output, neighbours=1)
    text = done.manifest.read_text().splitlines()
    labelled = [f"{text[0]},mine", *(f"{line},1" for line in text[1:4])]
    (output / "labelled.csv").write_text("\n".join(labelled))
    prepare_totalsegmentator(root, output)
    assert len(Manifest.read(output / "labelled.csv", need_masks=True)) == 3
    assert len(list((output / "masks").iterdir())) == 3 + 4


def test_a_case_is_named_from_within_its_folder(
    root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(root / "s0001")
    done = prepare_totalsegmentator(".", tmp_path / "out")
    assert Manifest.read(done.manifest).patients == ["s0001"]


def test_bad_requests(root: Path, tmp_path: Path) -> None:
    with pytest.raises(DataError, match="Did you mean 'vertebrae_L3'"):
        prepare_totalsegmentator(root, tmp_path / "out", vertebra="vertebrae_L33")
    with pytest.raises(ImageReadError, match="is no folder"):
        prepare_totalsegmentator(tmp_path / "nowhere", tmp_path / "out")
    (root / "meta.csv").write_text("image_id,split\ns0000,train\n")
    with pytest.raises(ManifestError, match="separated by semicolons"):
        prepare_totalsegmentator(root, tmp_path / "out")
    (tmp_path / "empty").mkdir()
    with pytest.raises(ImageReadError, match=r"holds no case \(found nothing"):
        prepare_totalsegmentator(tmp_path / "empty", tmp_path / "out")


@pytest.mark.skipif(not REAL, reason="MUSCLETRANSFER_REAL_DATA names no folder of real images")
def test_a_real_case(tmp_path: Path) -> None:
    case = Path(REAL) / "ct_totalsegmentator_example"
    if not case.is_dir():
        pytest.skip("MUSCLETRANSFER_REAL_DATA has no ct_totalsegmentator_example")
    done = prepare_totalsegmentator(case, tmp_path / "out", neighbours=1)
    rows = Manifest.read(done.manifest, need_masks=True).rows
    assert len(rows) == 3
    assert all(65 <= (r.slice_index or 0) <= 79 for r in rows)
    for row in rows:
        ct = read_ct(row.image, row.slice_index)
        mask = read_mask(str(row.mask), ct, values=(0, 1, 2))
        assert 0 <= np.median(ct.hu[mask.labels > 0]) <= 100  # muscle is muscle
