"""LowDataModule: who trains, what is in a batch, what goes wrong and how it says so."""

from __future__ import annotations

import copy
import json
import logging
import multiprocessing
import pickle
import shutil
from pathlib import Path
from typing import Any

import lightning.pytorch as pl
import numpy as np
import pytest
import torch
from lightning.pytorch.callbacks import ModelCheckpoint
from PIL import Image
from small_cohort import SPACING, draw, make_small_cohort, save

from muscletransfer.data import (
    Augmentation,
    LowDataModule,
    Manifest,
    PreprocessingSpec,
    SliceGeometry,
    Split,
)
from muscletransfer.errors import (
    DataError,
    ManifestError,
    SettingError,
    SplitError,
    UnknownNameError,
)

SPEC = PreprocessingSpec(size=32)


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("cohort")
    make_small_cohort(folder)
    make_small_cohort(folder / "volumes", patients=6, slices=5)
    return folder


def module(root: Path, name: str = "manifest.csv", **kwargs: Any) -> LowDataModule:
    options: dict[str, Any] = {
        "train_patients": 3,
        "num_folds": 3,
        "preprocessing": SPEC,
        "batch_size": 4,
        "cache_dir": root / "cache",
    }
    return LowDataModule(root / name, **(options | kwargs))


def ready(root: Path, **kwargs: Any) -> LowDataModule:
    data = module(root, **kwargs)
    data.prepare_data()
    data.setup("fit")
    return data


def batches(data: LowDataModule, loader: Any) -> list[dict[str, Any]]:
    return [data.on_after_batch_transfer(copy.copy(b), 0) for b in loader]


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


def test_predict_manifest_needs_no_mask(root: Path) -> None:
    (root / "new.csv").write_text("patient_id,image\nX1,p03.nii.gz\nX2,p05.nii.gz\n")
    data = ready(root, predict_manifest=root / "new.csv")
    (batch,) = batches(data, data.predict_dataloader())
    assert batch["case"].tolist() == [0, 1]
    assert "mask" not in batch
    assert "native_mask" not in batch
    assert np.array_equal(batch["native_hu"][1].numpy(), draw(500)[0])


class Recorder(pl.LightningModule):
    """Keeps what the Trainer hands over."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = torch.nn.Conv2d(1, 1, 3, padding=1)
        self.seen: dict[str, list[Any]] = {"train": [], "val": [], "test": [], "predict": []}

    def training_step(self, batch: dict[str, Any], _: int) -> torch.Tensor:
        self.seen["train"].append(batch)
        return self.layer(batch["image"]).square().mean()

    def validation_step(self, batch: dict[str, Any], _: int) -> None:
        self.seen["val"].append(batch)
        self.layer(batch["image"])

    def test_step(self, batch: dict[str, Any], batch_idx: int) -> None:
        self.seen["test"].append(batch)

    def predict_step(self, batch: dict[str, Any], _: int) -> list[str]:
        self.seen["predict"].append(batch)
        return [self.trainer.datamodule.case_name(c) for c in batch["case"].tolist()]

    def configure_optimizers(self) -> torch.optim.Optimizer:
        return torch.optim.SGD(self.parameters(), lr=0.1)


def trainer(root: Path, **kwargs: Any) -> pl.Trainer:
    return pl.Trainer(
        accelerator="cpu",
        logger=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        default_root_dir=root,
        **{"max_epochs": 2, "enable_checkpointing": False, **kwargs},
    )


@pytest.mark.parametrize("precision", ["32-true", "bf16-mixed", "bf16-true", "64-true"])
def test_under_a_trainer(root: Path, precision: Any) -> None:
    (root / "new.csv").write_text("patient_id,image\nX1,p03.nii.gz\nX2,p05.nii.gz\n")
    data = module(root, steps_per_epoch=3, predict_manifest=root / "new.csv")
    model, run = Recorder(), trainer(root, precision=precision)
    run.fit(model, datamodule=data)
    run.test(model, datamodule=data, verbose=False)
    named = run.predict(model, datamodule=data)
    assert named == [["X1", "X2"]]
    assert data.case_name(0) == "P00"
    assert len(model.seen["train"]) == 6
    dtype = {"bf16-true": torch.bfloat16, "64-true": torch.float64}.get(precision, torch.float32)
    for batch in [b for kind in model.seen.values() for b in kind]:
        assert batch["image"].dtype == dtype
        assert "step" not in batch
    assert model.seen["test"][0]["geometry"][0].native_shape == (40, 48)
    assert torch.equal(model.seen["val"][0]["image"], model.seen["val"][-1]["image"])


@pytest.mark.filterwarnings("ignore:.*callbacks used to create the checkpoint.*")
@pytest.mark.parametrize("stop", [1, 3, 5])
def test_resumed_run_ends_with_the_same_weights(root: Path, tmp_path: Path, stop: int) -> None:
    def fit(**kwargs: Any) -> dict[str, torch.Tensor]:
        torch.manual_seed(0)
        model = Recorder()
        resume = kwargs.pop("ckpt_path", None)
        run = trainer(root, **kwargs)
        run.fit(model, datamodule=module(root, steps_per_epoch=3), ckpt_path=resume)
        return model.state_dict()

    keep = ModelCheckpoint(tmp_path, every_n_train_steps=stop, save_top_k=-1)
    whole = fit()
    fit(max_steps=stop, max_epochs=-1, enable_checkpointing=True, callbacks=[keep])
    resumed = fit(ckpt_path=keep.best_model_path)
    for name, value in whole.items():
        assert torch.equal(resumed[name], value)


@pytest.mark.filterwarnings("ignore:Total length of .list. across ranks is zero")
def test_without_validation(root: Path) -> None:
    data = module(root, val_patients=0)
    model = Recorder()
    trainer(root).fit(model, datamodule=data)
    assert not model.seen["val"]
    with pytest.raises(DataError, match="no images to validate"):
        trainer(root).validate(model, datamodule=data)


def monai_transform() -> Any:
    from monai.transforms import Compose, RandFlipd, RandGaussianNoised, RandRotated

    return Compose(
        [
            RandFlipd(["image", "mask"], prob=0.5, spatial_axis=1),
            RandRotated(["image", "mask"], range_x=0.4, prob=0.5, mode=["bilinear", "nearest"]),
            RandGaussianNoised(["image"], prob=0.9, std=0.05),
        ]
    )


def test_monai_transform_replaces_the_default_augmentation(root: Path) -> None:
    def run(workers: int = 0, **kwargs: Any) -> list[dict[str, Any]]:
        data = ready(
            root, transform=monai_transform(), steps_per_epoch=3, num_workers=workers, **kwargs
        )
        return batches(data, data.train_dataloader())

    data = ready(root, transform=monai_transform())
    assert data.augmentation is None
    first, again, forked = run(), run(), run(workers=2)
    plain = ready(root, augmentation=None, steps_per_epoch=3)
    for one, two, three, raw in zip(
        first, again, forked, batches(plain, plain.train_dataloader()), strict=True
    ):
        assert type(one["image"]) is torch.Tensor
        assert one["mask"].dtype == torch.int64
        assert torch.equal(one["case"], raw["case"])
        assert not torch.equal(one["image"], raw["image"])
        for other in (two, three):
            assert torch.equal(one["image"], other["image"])
            assert torch.equal(one["mask"], other["mask"])
    # one case drawn twice is changed in two ways
    same = [(b["image"][i], c) for b in first for i, c in enumerate(b["case"].tolist())]
    of_one = [image for image, case in same if case == same[0][1]]
    assert len(of_one) > 1
    assert not torch.equal(of_one[0], of_one[1])
    # evaluation is not touched, and both together are possible
    torch.testing.assert_close(
        batches(data, data.test_dataloader())[0]["image"],
        batches(plain, plain.test_dataloader())[0]["image"],
    )
    both = run(augmentation=Augmentation())
    assert not torch.equal(both[0]["image"], first[0]["image"])


def test_bad_transforms_are_named(root: Path) -> None:
    def lose(sample: dict[str, Any]) -> dict[str, Any]:
        return {"image": sample["image"]}

    def halve(sample: dict[str, Any]) -> dict[str, Any]:
        return {**sample, "mask": sample["mask"] * 0.5}

    def crop(sample: dict[str, Any]) -> dict[str, Any]:
        return {**sample, "image": sample["image"][:, 4:]}

    def fail(sample: dict[str, Any]) -> dict[str, Any]:
        raise RuntimeError("boom")

    def array(sample: dict[str, Any]) -> Any:
        return sample["image"]

    for transform, message in (
        (lose, "lose lost the key 'mask'"),
        (halve, "between classes, such as 0.5"),
        (crop, r"mask of shape \(1, 32, 32\) for an image of \(1, 28, 32\)"),
        (fail, "the transform fail failed on image .*boom"),
        (array, "returned Tensor; wanted a dictionary"),
    ):
        with pytest.raises(DataError, match=message):
            next(iter(ready(root, transform=transform).train_dataloader()))


def test_plain_images_of_several_classes(tmp_path: Path) -> None:
    lines = ["patient_id,image,mask"]
    for i in range(8):
        rng = np.random.default_rng(i)
        Image.fromarray(rng.integers(0, 255, (30, 40), dtype=np.uint8)).save(tmp_path / f"{i}.png")
        mask = np.zeros((30, 40), np.uint8)
        mask[5:12], mask[15:20], mask[22:24] = 1, 3, 255
        Image.fromarray(mask).save(tmp_path / f"{i}_m.png")
        lines.append(f"P{i},{i}.png,{i}_m.png")
    (tmp_path / "manifest.csv").write_text("\n".join(lines))
    spec = PreprocessingSpec(size=32, hu_window=None, percentiles=(1, 99))
    data = ready(tmp_path, preprocessing=spec, num_classes=4)
    assert data.classes == (0, 1, 3)
    (batch,) = batches(data, data.test_dataloader())
    assert batch["geometry"][0].spacing is None
    assert set(batch["mask"].unique().tolist()) == {0, 1, 3, 255}
    assert batch["native_hu"][0].dtype == torch.int16
    assert data.reference_image(0) is None
    with pytest.raises(DataError, match=r"row 2: the mask holds the value 3.*num_classes=4"):
        ready(tmp_path, preprocessing=spec, num_classes=3)


def test_pickles_small(root: Path) -> None:
    data = ready(root)
    assert len(pickle.dumps(data.train_set)) < 5000
    assert torch.equal(
        pickle.loads(pickle.dumps(data.train_set))[0]["image"], data.train_set[0]["image"]
    )
    with pytest.raises(IndexError):
        data.train_set[3]


@pytest.mark.parametrize(
    ("kwargs", "error", "message"),
    [
        ({"train_patients": 0}, SettingError, "train_patients is 0"),
        ({"train_patients": "ten"}, SettingError, "'ten'; wanted a number from 1, or 'all'"),
        ({"batch_size": 0}, SettingError, "batch_size is 0"),
        ({"seed": -1}, SettingError, "seed is -1"),
        ({"num_classes": 0}, SettingError, "num_classes is 0"),
        ({"augmentation": "defualt"}, UnknownNameError, "Did you mean default"),
        ({"preprocessing": {"size": 64}}, SettingError, "is a dict; wanted a PreprocessingSpec"),
        ({"train_patients": 7}, SplitError, "only 6"),
        ({"num_folds": 13}, SplitError, "12 patients for 13 folds"),
        ({"fold": 3}, SplitError, "fold is 3; wanted 0 to 2"),
        ({"val_patients": 8}, SplitError, "val_patients is 8"),
        ({"split": "nowhere.json"}, SplitError, "nowhere.json: cannot be read"),
        ({"split": Split(("P00",), (), ("Q9",))}, SplitError, "1 of its test patients.*'Q9'"),
        ({"mask_column": "msk"}, ManifestError, "no column 'msk'"),
        ({"fold_column": "fold"}, SplitError, "column 'fold' is missing"),
    ],
)
def test_bad_settings(root: Path, kwargs: dict[str, Any], error: Any, message: str) -> None:
    with pytest.raises(error, match=message):
        ready(root, **kwargs)


def test_bad_files_name_their_row_and_leave_nothing(root: Path, tmp_path: Path) -> None:
    for file in root.glob("*.nii.gz"):
        shutil.copy(file, tmp_path)
    shutil.copy(root / "manifest.csv", tmp_path)
    save(np.zeros((40, 48), np.uint8), tmp_path / "p04_mask.nii.gz")
    with pytest.raises(DataError, match=r"manifest.csv row 6: .*no foreground"):
        ready(tmp_path)
    assert not list((tmp_path / "cache").rglob("*.npy"))
