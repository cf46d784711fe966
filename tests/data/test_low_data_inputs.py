"""LowDataModule: transforms and images of other kinds, and what goes wrong and how it says so."""

from __future__ import annotations

import pickle
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from low_data_modules import batches, draw_cohorts, ready
from PIL import Image
from small_cohort import save

from muscletransfer.data import (
    Augmentation,
    PreprocessingSpec,
    Split,
)
from muscletransfer.data.datamodules.transforms import run_transform
from muscletransfer.errors import (
    DataError,
    ManifestError,
    SettingError,
    SplitError,
    UnknownNameError,
)


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return draw_cohorts(tmp_path_factory.mktemp("cohort"))


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

    def divide(sample: dict[str, Any]) -> dict[str, Any]:
        return {**sample, "image": sample["image"] / 0}

    def label(value: int) -> Any:
        return lambda sample: {**sample, "mask": torch.full_like(sample["mask"].int(), value)}

    for transform, message in (
        (lose, "lose lost the key 'mask'"),
        (halve, "between classes, such as 0.5"),
        (crop, r"mask of shape \(1, 32, 32\) for an image of \(1, 28, 32\)"),
        (fail, "the transform fail failed on image .*boom"),
        (array, "returned Tensor; wanted a dictionary"),
        (divide, "divide returned an image with nan or infinite values"),
        (label(-1), r"mask values from -1 to -1; wanted 0 to 255"),
        (label(256), r"mask values from 256 to 256; wanted 0 to 255"),
    ):
        with pytest.raises(DataError, match=message):
            next(iter(ready(root, transform=transform).train_dataloader()))


def test_a_mask_of_true_and_false_is_one_of_classes() -> None:
    sample = {"image": torch.zeros(1, 1, 2), "mask": torch.tensor([[[0, 1]]], dtype=torch.uint8)}
    found = run_transform(lambda s: {**s, "mask": s["mask"] > 0}, sample, seed=0)
    assert found["mask"].tolist() == [[[0, 1]]]


@pytest.mark.parametrize("kind", [np.uint16, np.uint32, np.uint64, np.int64])
def test_a_mask_of_any_whole_numbers_is_one_of_classes(kind: type) -> None:
    """Torch has no order for NumPy's unsigned types."""
    sample = {"image": torch.zeros(1, 1, 2), "mask": torch.tensor([[[0, 2]]], dtype=torch.uint8)}

    def typed(sample: dict[str, Any], add: int = 0) -> dict[str, Any]:
        return {**sample, "mask": sample["mask"].numpy().astype(kind) + kind(add)}

    found = run_transform(typed, sample, seed=0)["mask"]
    assert (found.dtype, found.tolist()) == (torch.uint8, [[[0, 2]]])
    with pytest.raises(DataError, match="mask values from 298 to 300; wanted 0 to 255"):
        run_transform(lambda s: typed(s, 298), sample, seed=0)


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
