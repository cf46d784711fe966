"""LowDataModule: who trains, and what is in a batch."""

from __future__ import annotations

import json
import logging
import multiprocessing
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from low_data_modules import SPEC, batches, draw_cohorts, module, ready
from small_cohort import SPACING, draw

from muscletransfer.data import (
    Augmentation,
    LowDataModule,
    Manifest,
    PreprocessingSpec,
    SliceGeometry,
)
from muscletransfer.data.datamodules import labelled
from muscletransfer.data.manifest.case_files import case_names
from muscletransfer.errors import (
    DataError,
    ManifestError,
    SettingError,
    SplitError,
)


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return draw_cohorts(tmp_path_factory.mktemp("cohort"))


def test_subsets_are_nested_and_the_rest_stays_fixed(root: Path) -> None:
    splits = [ready(root, train_patients=n).split for n in (1, 3, 5)]
    small, middle, large = splits
    assert small
    assert middle
    assert large
    assert middle.train[:1] == small.train
    assert large.train[:3] == middle.train
    assert len({(s.val, s.test) for s in splits if s}) == 1
    other = ready(root, repeat=1).split
    assert other
    assert other.train != middle.train
    assert (other.val, other.test) == (middle.val, middle.test)


def test_every_patient_tests_once_over_the_folds(root: Path) -> None:
    tests = [ready(root, fold=k).split.test for k in range(3)]
    assert sorted(p for t in tests for p in t) == [f"P{i:02d}" for i in range(12)]


def test_validation_rule_and_label_budget(root: Path) -> None:
    data = ready(root)
    assert data.split
    assert len(data.split.val) == 2  # a quarter of the 8 patients outside the test fold
    assert data.label_budget == {"patients": 5, "slices": 5}
    assert ready(root, val_patients=0).label_budget == {"patients": 3, "slices": 3}
    everyone = ready(root, train_patients="all")
    assert everyone.train_patients == 6
    assert everyone.label_budget["patients"] == 8


def test_a_final_model_learns_from_everyone_and_says_that_nobody_was_held_out(
    root: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(logging.getLogger("lightning.pytorch"), "propagate", True)
    with caplog.at_level("INFO"):
        data = ready(root, fold=None, train_patients="all")
    assert data.split
    assert (len(data.split.train), data.split.val, data.split.test) == (12, (), ())
    assert "nobody tests (seed 0, repeat 0): nothing here can say how good" in caplog.text
    told = data.describe()
    assert (told["held_out"], told["fold"]) == ("nobody", None)
    assert told["label_budget"] == {"patients": 12, "slices": 12}
    assert data.val_dataloader() == []
    with pytest.raises(DataError, match="no images to test"):
        data.test_dataloader()
    chosen = ready(root, fold=None, train_patients=5, val_patients=2)
    assert chosen.describe()["held_out"] == "validation"
    assert ready(root).describe()["held_out"] == "validation and test"
    with pytest.raises(SplitError, match=r"subset of 13 patients.*there are only 12"):
        module(root, fold=None, train_patients=13).prepare_data()


def test_one_patient_is_enough_for_a_final_model_and_for_nothing_else(root: Path) -> None:
    alone = {"where": {"patient_id": "P03"}, "train_patients": "all"}
    data = ready(root, name="volumes/manifest.csv", fold=None, **alone)
    assert data.label_budget == {"patients": 1, "slices": 5}
    cases = {c for batch in data.train_dataloader() for c in batch["case"].tolist()}
    assert {data.manifest.rows[c].patient_id for c in cases} == {"P03"}
    with pytest.raises(SplitError, match="1 patients for 3 folds"):
        module(root, name="volumes/manifest.csv", **alone).prepare_data()


def test_training_batch(root: Path) -> None:
    data = ready(root, steps_per_epoch=5)
    loader = data.train_dataloader()
    assert len(loader) == 5
    for batch in batches(data, loader):
        assert sorted(batch) == ["case", "image", "mask"]
        assert batch["image"].shape == (4, 1, 32, 32)
        assert batch["image"].dtype == torch.float32
        assert batch["image"].min() >= 0
        assert batch["image"].max() <= 1
        assert batch["mask"].shape == (4, 32, 32)
        assert batch["mask"].dtype == torch.int64
        assert set(batch["mask"].unique().tolist()) <= {0, 1}
        patients = {data.manifest.rows[c].patient_id for c in batch["case"].tolist()}
        assert patients <= set(data.split.train)


def test_evaluation_batch_has_the_native_grid(root: Path) -> None:
    data = ready(root)
    (batch,) = batches(data, data.test_dataloader())
    cases = batch["case"].tolist()
    assert {data.manifest.rows[c].patient_id for c in cases} == set(data.split.test)
    for i, case in enumerate(cases):
        hu, mask = draw(100 * case)
        assert np.array_equal(batch["native_hu"][i].numpy(), hu)
        assert batch["native_hu"][i].dtype == torch.int16
        assert np.array_equal(batch["native_mask"][i].numpy(), mask)
        assert batch["native_mask"][i].dtype == torch.uint8
        geometry = batch["geometry"][i]
        assert isinstance(geometry, SliceGeometry)
        assert geometry.spacing == pytest.approx(SPACING)
        # there and back: the image of the batch, on the native grid, is the slice
        window = np.clip((hu.astype(float) + 150) / 400, 0, 1)
        back = data.preprocessing.invert(batch["image"][i], geometry)[0].numpy()
        assert np.abs(back - window)[4:-4, 4:-4].mean() < 0.03
        back_mask = data.preprocessing.invert(batch["mask"][i][None].float(), geometry)[0] > 0.5
        assert (back_mask.numpy() != mask.astype(bool)).mean() < 0.03


def test_normalisation_and_channels(root: Path) -> None:
    plain = ready(root, augmentation=None)
    spec = PreprocessingSpec(size=32, channels=3, mean=(0.4, 0.5, 0.6), std=0.25)
    coloured = ready(root, augmentation=None, preprocessing=spec)
    first = batches(plain, plain.test_dataloader())[0]["image"]
    second = batches(coloured, coloured.test_dataloader())[0]["image"]
    mean = torch.tensor([0.4, 0.5, 0.6]).reshape(1, 3, 1, 1)
    torch.testing.assert_close(second, (first.expand(-1, 3, -1, -1) - mean) / 0.25)


def test_augmentation_is_seeded_by_epoch_and_step_not_by_workers(root: Path) -> None:
    def run(workers: int, epoch: int = 0, **kwargs: Any) -> list[dict[str, Any]]:
        data = ready(root, num_workers=workers, steps_per_epoch=4, **kwargs)
        loader = data.train_dataloader()
        loader.sampler.set_epoch(epoch)
        return batches(data, loader)

    def same(a: list[dict[str, Any]], b: list[dict[str, Any]]) -> bool:
        return all(
            torch.equal(x[k], y[k]) for x, y in zip(a, b, strict=True) for k in ("image", "mask")
        )

    first = run(0)
    assert same(first, run(2))
    assert same(run(0, epoch=1), run(2, epoch=1))
    assert not same(first, run(0, epoch=1))
    assert not same(first, run(0, seed=1))
    assert not same(first, run(0, augmentation=None))


def split_in_another_process(folder: str, send: Any) -> None:
    data = module(Path(folder))
    data.setup("fit")
    send.send((data.split, data.describe()))


def test_two_processes_draw_one_split(root: Path) -> None:
    context = multiprocessing.get_context("spawn")
    receive, send = context.Pipe(duplex=False)
    process = context.Process(target=split_in_another_process, args=(str(root), send))
    process.start()
    assert receive.poll(120)  # a child that failed would be waited for without end
    theirs = receive.recv()
    process.join(60)
    ours = ready(root)
    assert theirs == (ours.split, ours.describe())


def test_split_goes_to_json_and_back(root: Path, tmp_path: Path) -> None:
    data = ready(root, fold=1, train_patients=4)
    path = data.save_split(tmp_path / "runs" / "split.json")
    assert json.loads(path.read_text())["fold"] == 1
    again = ready(root, split=path, train_patients=1)
    assert again.split == data.split
    assert again.train_patients == 4
    assert ready(root, split=data.split).split == data.split


def test_describe_is_plain_and_names_nobody(root: Path) -> None:
    data = ready(root, licence="CC0")
    text = json.dumps(data.describe())
    assert not any(p in text for p in data.manifest.patients)
    told = data.describe()
    assert told["patients"] == 3
    assert told["images"] == 3
    assert told["label_budget"] == {"patients": 5, "slices": 5}
    assert told["licence"] == "CC0"
    assert told["classes"] == [0, 1]
    assert told["manifest_hash"] == data.manifest.content_hash()
    assert PreprocessingSpec.from_dict(told["preprocessing"]) == SPEC
    assert Augmentation(**told["augmentation"]) == Augmentation()


def test_slices_per_patient(root: Path) -> None:
    data = ready(root, name="volumes/manifest.csv", train_patients=2, slices_per_patient=2)
    split = data.split
    assert split
    train = [data.manifest.rows[int(c)] for c in data.train_set.cases]
    assert [r.patient_id for r in train] == [p for p in split.train for _ in range(2)]
    assert {r.slice_index for r in train} == {1, 3}
    assert len(data.test_set) == 5 * len(split.test)
    assert data.label_budget["slices"] == 4 + 5 * len(split.val)


def test_where_keeps_rows(root: Path) -> None:
    manifest = Manifest.read(root / "volumes" / "manifest.csv")
    data = ready(root, name="volumes/manifest.csv", where={"slice_index": "2"}, train_patients=1)
    assert [r.slice_index for r in data.manifest.rows] == [2] * 6
    assert len(manifest) == 30
    with pytest.raises(ManifestError, match="no row has"):
        ready(root, where={"slice_index": "9"})


def test_fold_column(root: Path) -> None:
    lines = (root / "manifest.csv").read_text().splitlines()
    with_fold = [lines[0] + ",fold"] + [f"{x},{i % 3}" for i, x in enumerate(lines[1:])]
    (root / "folds.csv").write_text("\n".join(with_fold))
    data = ready(root, name="folds.csv", fold_column="fold", fold=2)
    assert data.split.test == ("P02", "P05", "P08", "P11")


def test_names_and_references(root: Path) -> None:
    data = ready(root)
    assert data.case_name(3) == "P03"
    reference = data.reference_image(3)
    assert reference
    assert reference.shape == (1, 40, 48)
    assert reference.spacing == pytest.approx((5.0, *SPACING))
    volumes = ready(root, name="volumes/manifest.csv", train_patients=1)
    assert volumes.case_name(7) == "P01_slice002"
    assert np.array_equal(volumes.reference_image(7).array[0], draw(102)[0])


def test_names_of_all_cases_are_made_once(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    data = ready(root)
    asked: list[Manifest] = []
    monkeypatch.setattr(labelled, "case_names", lambda m: asked.append(m) or case_names(m))
    assert [data.case_name(i) for i in range(12)] == [f"P{i:02d}" for i in range(12)]
    assert asked == [data.manifest]


def test_a_mask_column_is_not_silently_without_effect(root: Path) -> None:
    manifest = Manifest.read(root / "manifest.csv")
    with pytest.raises(SettingError, match=r"Manifest\.read\(path, mask_column='other'\)"):
        LowDataModule(manifest, mask_column="other")


def test_predict_manifest_needs_no_mask(root: Path) -> None:
    (root / "new.csv").write_text("patient_id,image\nX1,p03.nii.gz\nX2,p05.nii.gz\n")
    data = ready(root, predict_manifest=root / "new.csv")
    (batch,) = batches(data, data.predict_dataloader())
    assert batch["case"].tolist() == [0, 1]
    assert "mask" not in batch
    assert "native_mask" not in batch
    assert np.array_equal(batch["native_hu"][1].numpy(), draw(500)[0])
