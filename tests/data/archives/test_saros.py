"""SAROS in its published layout: annotated slices, folds, terms, and what can be wrong."""

from __future__ import annotations

import csv
import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk

from muscletransfer.data import LowDataModule, Manifest, PreprocessingSpec, predefined_folds
from muscletransfer.data.archives import prepare_saros, read_sidecar
from muscletransfer.data.archives.miniatures import write_miniature
from muscletransfer.errors import (
    DataError,
    ImageReadError,
    ManifestError,
    SettingError,
    UnknownNameError,
)


@pytest.fixture(scope="module")
def published(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_miniature("saros", tmp_path_factory.mktemp("saros") / "data", patients=6, size=48)


@pytest.fixture
def root(published: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(published, tmp_path / "data"))


def change(path: Path, edit: object) -> None:
    """Rewrite an image with its array changed by a function."""
    image = sitk.ReadImage(str(path))
    array = edit(sitk.GetArrayFromImage(image))  # type: ignore[operator]
    changed = sitk.GetImageFromArray(array)
    changed.CopyInformation(image)
    sitk.WriteImage(changed, str(path))


def problems(path: Path) -> dict[str, str]:
    with path.open() as file:
        return {Path(r["file"]).name: r["reason"] for r in csv.DictReader(file)}


def test_a_case_is_named_from_within_its_folder(
    root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(root / "case_001")
    done = prepare_saros(".", tmp_path / "out")
    assert Manifest.read(done.manifest).patients == ["case_001"]


def test_every_annotated_slice_with_its_fold(root: Path, tmp_path: Path) -> None:
    done = prepare_saros(root, tmp_path / "out")
    manifest = Manifest.read(done.manifest, need_masks=True)
    assert (done.rows, done.patients, done.problems) == (18, 6, ())
    first = manifest.rows[0]
    assert [r.slice_index for r in manifest.rows[:3]] == [1, 6, 11]
    assert first.extra == {"fold": "1", "subset": "folds", "split": "fold-1", "case": "case_000"}
    regions = sitk.GetArrayFromImage(sitk.ReadImage(str(root / "case_000/body-regions.nii.gz")))
    drawn = sitk.GetArrayFromImage(sitk.ReadImage(str(first.mask)))
    np.testing.assert_array_equal(drawn[0], (regions[1] == 2).astype(int))
    assert predefined_folds(manifest.where(subset="folds")) == [[f"case_00{k}"] for k in range(5)]
    facts = read_sidecar(done.manifest)
    assert facts is not None
    assert facts["classes"] == {"1": "muscle"}
    assert "licence of their TCIA collection" in facts["licence"]
    assert facts["doi"] == "10.25737/SZ96-ZG60"
    assert json.loads(done.sidecar.read_text()) == facts


def test_folds_and_the_test_set_reach_training(root: Path, tmp_path: Path) -> None:
    done = prepare_saros(root, tmp_path / "out")
    options = {
        "train_patients": 3,
        "val_patients": 1,
        "fold_column": "fold",
        "preprocessing": PreprocessingSpec(size=32),
        "cache_dir": tmp_path / "cache",
        "num_classes": 1,
    }
    data = LowDataModule(done.manifest, fold=1, where={"subset": "folds"}, **options)
    data.setup("fit")
    assert data.split is not None
    assert data.split.test == ("case_001",)
    assert "case_005" not in {*data.split.train, *data.split.val}
    assert "licence of their TCIA collection" in data.describe()["licence"]
    assert (
        LowDataModule(done.manifest, licence="mine", fold=1, **options).describe()["licence"]
        == "mine"
    )
    final = LowDataModule(done.manifest, fold=5, **options)
    final.setup("fit")
    assert final.split is not None
    assert final.split.test == ("case_005",)


def test_what_nobody_annotated_counts_nowhere(root: Path, tmp_path: Path) -> None:
    def half(array: np.ndarray) -> np.ndarray:
        array[:, :, array.shape[2] // 2 :] = 255
        return array

    for case in root.glob("case_*"):
        change(case / "body-regions.nii.gz", half)
    done = prepare_saros(root, tmp_path / "out")
    data = LowDataModule(
        done.manifest,
        train_patients=2,
        val_patients=1,
        fold_column="fold",
        preprocessing=PreprocessingSpec(size=48),
        cache_dir=tmp_path / "cache",
        num_classes=1,
        augmentation=None,
    )
    data.setup("fit")
    batch = next(iter(data.plain_batches("train", 2)))
    ignored = batch["mask"] == 255
    assert 0.3 < ignored.float().mean() < 0.7
    from muscletransfer.losses import build_loss

    loss = build_loss("bce_dice")
    import torch

    logits = torch.randn(len(batch["mask"]), 1, 48, 48)
    other = torch.where(ignored[:, None], -logits * 9, logits)
    assert torch.equal(loss(logits, batch["mask"]), loss(other, batch["mask"]))


def test_files_without_255_leave_other_slices_empty(root: Path, tmp_path: Path) -> None:
    case = root / "case_000"
    change(case / "body-regions.nii.gz", lambda a: np.where(a == 255, 0, a))
    done = prepare_saros(root, tmp_path / "out")
    rows = [r for r in Manifest.read(done.manifest).rows if r.patient_id == "case_000"]
    assert [r.slice_index for r in rows] == [1, 6, 11]


def test_structures_abdomen_and_torso(root: Path, tmp_path: Path) -> None:
    several = prepare_saros(root, tmp_path / "a", structures={"muscle": 1, "subcutaneous*": 2})
    mask = sitk.GetArrayFromImage(sitk.ReadImage(str(Manifest.read(several.manifest).rows[0].mask)))
    assert set(np.unique(mask).tolist()) == {0, 1, 2}

    def chest(array: np.ndarray) -> np.ndarray:
        array[11, :3, :3] = 4
        return array

    change(root / "case_000/body-regions.nii.gz", chest)
    abdomen = prepare_saros(root, tmp_path / "b", slices="abdomen")
    assert [r.slice_index for r in Manifest.read(abdomen.manifest).rows[:3]] == [1, 6, 1]

    def arms(array: np.ndarray) -> np.ndarray:
        array[:, :, :20] = np.where(array[:, :, :20] == 1, 5, array[:, :, :20])
        return array

    change(root / "case_001/body-parts.nii.gz", arms)
    torso = prepare_saros(root, tmp_path / "c", torso_only=True)
    row = next(r for r in Manifest.read(torso.manifest).rows if r.patient_id == "case_001")
    drawn = sitk.GetArrayFromImage(sitk.ReadImage(str(row.mask)))[0]
    assert not drawn[:, :20].any()
    assert drawn[:, 20:].any()


def test_two_ct_of_one_patient_stay_together(root: Path, tmp_path: Path) -> None:
    lines = ["id,split,Case Patient"]
    lines += [f"case_{k:03d},fold-{k // 2 + 1},TCGA-{k // 2}" for k in range(6)]
    (root / "Segmentation Info.csv").write_text("\n".join(lines))
    done = prepare_saros(root, tmp_path / "out", patient_column="Case Patient")
    manifest = Manifest.read(done.manifest)
    assert manifest.patients == ["case_000", "case_002", "case_004"]
    assert "TCGA" not in done.manifest.read_text() + done.sidecar.read_text()
    with pytest.raises(ManifestError, match="Did you mean 'Case Patient'"):
        prepare_saros(root, tmp_path / "other", patient_column="Case_Patient")


def test_bad_cases_are_listed_and_stop_nothing(root: Path, tmp_path: Path) -> None:
    (root / "case_000/image.nii.gz").unlink()
    change(root / "case_001/body-regions.nii.gz", lambda a: np.where(a == 2, 77, a))
    change(root / "case_002/body-regions.nii.gz", lambda a: np.where(a == 2, 0, a))
    other = sitk.ReadImage(str(root / "case_003/body-regions.nii.gz"))
    other.SetSpacing((1.0, 1.0, 5.0))
    sitk.WriteImage(other, str(root / "case_003/body-regions.nii.gz"))
    cut = root / "case_004/body-regions.nii.gz"
    cut.write_bytes(cut.read_bytes()[:300])
    shutil.copytree(root / "case_005", root / "case_900")
    info = root / "Segmentation Info.csv"
    info.write_text(info.read_text() + "case_050,fold-1\n")
    done = prepare_saros(root, tmp_path / "out")
    assert Manifest.read(done.manifest).patients == ["case_005"]
    said = problems(done.problems_csv)
    assert "has no image.nii.gz" in said["case_000"]
    assert "holds the values [77]" in said["case_001"]
    assert "no annotated slice shows" in said["case_002"]
    assert "does not lie on the grid" in said["case_003"]
    assert "case_004" in said
    assert "not in the spreadsheet" in said["case_900"]
    assert "1 cases of the spreadsheet are not in the folder" in said["case_050"]
    assert "7 left out or to check" in done.summary()
    resampled = prepare_saros(root, tmp_path / "resampled", resample=True)
    assert "case_003" in Manifest.read(resampled.manifest).patients


def test_masks_that_somebody_corrected_are_kept_and_told(root: Path, tmp_path: Path) -> None:
    done = prepare_saros(root, tmp_path / "out")
    path = Path(str(Manifest.read(done.manifest).rows[0].mask))
    change(path, lambda values: np.where(values == 1, 0, values))
    drawn = path.read_bytes()
    again = prepare_saros(root, tmp_path / "out")
    assert path.read_bytes() == drawn
    assert [p.reason.split(" since")[0] for p in again.problems] == [f"{path}: was corrected"]


def test_bad_requests(root: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    with pytest.raises(UnknownNameError, match="Did you mean 'muscle'"):
        prepare_saros(root, out, structures="muscles")
    with pytest.raises(DataError, match="no region 40"):
        prepare_saros(root, out, structures=40)
    with pytest.raises(SettingError, match="wanted one of all, abdomen"):
        prepare_saros(root, out, slices="l3")  # type: ignore[arg-type]
    with pytest.raises(DataError, match="own folder"):
        prepare_saros(root, root)
    with pytest.raises(ImageReadError, match="Its folder 'data' does: pass that"):
        prepare_saros(root.parent, out)
    info = root / "Segmentation Info.csv"
    text = info.read_text()
    info.write_text(text.replace("fold-2", "fold-9"))
    with pytest.raises(ManifestError, match="row 3: split is 'fold-9'"):
        prepare_saros(root, out)
    info.unlink()
    with pytest.raises(ManifestError, match="no CSV with the columns id and split"):
        prepare_saros(root, out)
    (tmp_path / "elsewhere.csv").write_text(text)
    assert prepare_saros(root, out, info=tmp_path / "elsewhere.csv").rows == 18
    for case in root.glob("case_*"):
        (case / "image.nii.gz").unlink()
    with pytest.raises(DataError, match=r"none of 7 cases can be used \(has no image"):
        prepare_saros(root, tmp_path / "none", info=tmp_path / "elsewhere.csv")
    assert (tmp_path / "none/problems.csv").exists()
    assert not (tmp_path / "none/manifest.csv").exists()


def test_processes_give_the_same(root: Path, tmp_path: Path) -> None:
    one = prepare_saros(root, tmp_path / "one")
    two = prepare_saros(root, tmp_path / "two", workers=2)
    assert one.manifest.read_text() == two.manifest.read_text()
