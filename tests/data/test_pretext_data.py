"""PretextDataModule and the layouts it reads, on files drawn here (and on real ones by choice)."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from pretext_layouts import batches, draw_layouts, paint, ready
from small_cohort import draw

from muscletransfer.data import Augmentation, PreprocessingSpec, Split
from muscletransfer.data.manifest.slices import count_slices
from muscletransfer.data.preprocessing.photographs import CoverSpec
from muscletransfer.data.sources.opening import detect_kind, open_source
from muscletransfer.errors import (
    DataError,
    ImageReadError,
    ManifestError,
    SettingError,
)
from muscletransfer.transfer import Provenance

REAL = os.environ.get("MUSCLETRANSFER_REAL_DATA")


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return draw_layouts(tmp_path_factory.mktemp("pretext"))


@pytest.mark.parametrize(
    ("path", "kind"),
    [
        ("ct/manifest.csv", "manifest"),
        ("classes", "class_folder"),
        ("roles", "class_folder"),
        ("pairs", "mask_folders"),
        ("pairs/train", "mask_folders"),
        ("listed/classes.csv", "class_csv"),
        ("listed", "image_folder"),
        ("listed/images", "image_folder"),
    ],
)
def test_layouts_are_told_apart(root: Path, path: str, kind: str) -> None:
    assert detect_kind(root / path) == kind


def test_ct_manifest_with_masks(root: Path) -> None:
    data = ready(root, "ct/manifest.csv")
    (first, *_), (val,) = (
        batches(data, data.train_dataloader()),
        batches(data, data.val_dataloader()),
    )
    assert sorted(first) == ["case", "image", "mask"]
    assert first["image"].shape == (4, 1, 32, 32)
    assert first["mask"].dtype == torch.int64
    assert len(val["case"]) == 1  # a tenth of 12 patients
    assert data.num_mask_classes == 2
    with pytest.raises(DataError, match=r"carry no class.*num_mask_classes"):
        _ = data.num_classes
    assert data.augmentation == Augmentation()
    assert data.preprocessing == PreprocessingSpec(size=32)


def test_every_slice_of_a_volume(root: Path) -> None:
    path = root / "volumes"
    (path / "few.csv").write_text(
        "patient_id,image\n" + "\n".join(f"P{i:02d},p{i:02d}.nii.gz" for i in range(4))
    )
    whole = ready(root, "volumes/few.csv", slices="all", val_fraction=0)
    assert len(whole.train_set) == 24
    third = open_source(path / "few.csv", slices=3)
    assert [r.slice_index for r in third.manifest.rows] == [1, 4] * 4
    # masks that run along are kept, those of one slice are not
    assert open_source(path / "manifest.csv", slices="all").has_masks
    (path / "one.csv").write_text(
        "patient_id,image,mask,slice_index\nP00,p00.nii.gz,../ct/p00_mask.nii.gz,2\n"
    )
    expanded = open_source(path / "one.csv", slices="all")
    assert len(expanded.manifest) == 6
    assert not expanded.has_masks
    assert count_slices(path / "p00.nii.gz") == 6
    image = whole.train_set.cache.native_image(8)
    assert np.array_equal(image, draw(102)[0])
    with pytest.raises(ManifestError, match=r"6 slices and slice_index is empty.*slices='all'"):
        ready(root, "volumes/few.csv")
    with pytest.raises(SettingError, match="slices is 0"):
        ready(root, "volumes/few.csv", slices=0)
    (path / "bad.nii.gz").write_bytes(b"no image")
    with pytest.raises(ImageReadError, match=r"bad\.nii\.gz"):
        count_slices(path / "bad.nii.gz")


def test_images_in_hidden_folders_are_no_images(tmp_path: Path) -> None:
    for name in ("cat/a.jpg", "cat/.ipynb_checkpoints/a.jpg", ".cache/b.jpg", "dog/.x/c.jpg"):
        paint(tmp_path / name, 3)
    for kind in ("image_folder", "class_folder"):
        read = open_source(tmp_path, kind)
        assert [row.patient_id for row in read.manifest.rows] == ["cat/a.jpg"]
    assert detect_kind(tmp_path) == "class_folder"
    with pytest.raises(DataError, match="holds no images"):
        detect_kind(tmp_path / "dog")


def test_class_folder(root: Path) -> None:
    data = ready(root, "classes", channels=3, val_fraction=0.25, steps_per_epoch=8)
    assert data.classes == ("cat", "dog", "eel")
    assert data.num_classes == 3
    for batch in batches(data, data.train_dataloader()):
        assert sorted(batch) == ["case", "image", "label"]
        assert batch["image"].shape == (4, 3, 32, 32)
        names = [data.sources[0].manifest.rows[c].image.parent.name for c in batch["case"].tolist()]
        assert [data.classes[i] for i in batch["label"].tolist()] == names
    assert data.augmentation == Augmentation.natural()
    assert data.preprocessing.hu_window is None


def test_class_folder_with_roles(root: Path) -> None:
    data = ready(root, "roles", val_fraction=0.5)
    assert len(data.train_set) == 12
    assert len(data.val_set) == 3
    with pytest.raises(DataError, match="no images to test"):
        data.test_dataloader()


def test_class_csv(root: Path) -> None:
    data = ready(root, "listed/classes.csv", label_column="coarse", val_fraction=0)
    assert data.classes == ("bird", "fish")
    batch = batches(data, data.train_dataloader())[0]
    assert batch["label"].tolist() == [int(c % 3 > 0) for c in batch["case"].tolist()]
    assert batch["image"].shape == (4, 1, 32, 32)
    assert data.val_dataloader() == []


def test_mask_folders(root: Path) -> None:
    data = ready(root, "pairs", ignore_value=11, channels=3)
    assert [len(s) for s in (data.train_set, data.val_set, data.test_set)] == [5, 2, 3]
    assert data.num_mask_classes == 3
    (batch,) = batches(data, data.val_dataloader())
    assert set(batch["mask"].unique().tolist()) == {0, 1, 2, 255}
    # bands of 10 columns end at 10, 20 and 30, on the grid at 5.7, 16.3 and 27: 32 / 30 of each, 5
    # columns cut off on the left
    widths = [(batch["mask"][0, 0] == v).sum().item() for v in (0, 1, 2, 255)]
    assert widths == [6, 10, 11, 5]
    train = batches(data, data.train_dataloader())
    assert all(set(b["mask"].unique().tolist()) <= {0, 1, 2, 255} for b in train)


def test_photographs_keep_colours_and_fill_the_grid(root: Path) -> None:
    data = ready(root, "listed", channels=3, val_fraction=0, augmentation=None, batch_size=12)
    (batch,) = batches(data, data.train_dataloader())
    assert sorted(batch) == ["case", "image"]
    place = batch["case"].tolist().index(0)
    with Image.open(root / "listed" / "images" / "0.jpg") as file:
        middle = np.asarray(file, dtype=np.float32)[:, 10:50].mean((0, 1)) / 255
    np.testing.assert_allclose(batch["image"][place].mean((1, 2)).numpy(), middle, atol=0.01)
    assert batch["image"][:, 1].amin() > 0.1  # no black bars


def test_cover_spec_leaves_no_gap() -> None:
    spec = CoverSpec(size=(24, 40), hu_window=None)
    for shape in [(10, 300), (301, 17), (24, 40), (25, 41), (37, 61), (23, 39)]:
        image, _ = spec.apply(np.full(shape, 255, np.uint8))
        assert image.min() == 32767


def test_folders_of_images_are_scaled_by_percentiles(tmp_path: Path) -> None:
    """Deep grey that uses a part of its range, and fractions, which have none of their own."""
    ramp = np.arange(32 * 32, dtype=np.float32).reshape(32, 32)
    (tmp_path / "deep").mkdir()
    (tmp_path / "fractions").mkdir()
    Image.fromarray(ramp.astype(np.uint16)).save(tmp_path / "deep" / "a.png")
    Image.fromarray(ramp / 1023).save(tmp_path / "fractions" / "a.tif")
    spec = PreprocessingSpec(size=32, hu_window=None, percentiles=(0, 50))
    for folder in ("deep", "fractions"):
        data = ready(
            tmp_path, folder, kind="image_folder", preprocessing=spec, val_fraction=0,
            augmentation=None, batch_size=1,
        )  # fmt: skip
        (batch,) = batches(data, data.train_dataloader())
        assert batch["image"].flatten()[[0, 512, 1023]].tolist() == [0, 1, 1]
        assert data.describe()["preprocessing"]["percentiles"] == [0, 50]


def test_mixed_sources(root: Path) -> None:
    sources = [root / "ct" / "manifest.csv", root / "classes", root / "listed" / "images"]
    split = Split((), (), ("P00", "P01"))
    data = ready(root, sources, channels=3, exclude=split, augmentation=None, batch_size=8)
    assert len(data.train_set) == 9 + 11 + 11
    Provenance(task="any", data={k: v for k, v in data.describe().items() if k != "licence"})
    seen = {}
    for batch in batches(data, data.train_dataloader()):
        assert sorted(batch) == ["case", "image"]
        assert batch["image"].shape[1:] == (3, 32, 32)
        seen |= dict(zip(batch["case"].tolist(), batch["image"], strict=True))
    assert len(seen) == 31
    for part, start in (
        (ready(root, "ct/manifest.csv", channels=3, augmentation=None), 0),
        (ready(root, "classes", channels=3, augmentation=None), 12),
    ):
        for loader in (part.train_dataloader(), part.val_dataloader()):
            for batch in batches(part, loader):
                for case, image in zip(batch["case"].tolist(), batch["image"], strict=True):
                    if case + start in seen:
                        torch.testing.assert_close(seen[case + start], image)
    told = data.describe()
    assert told["kinds"] == "manifest, class_folder, image_folder"
    assert told["patients"] == 31
    assert json.dumps(told)
    with pytest.raises(DataError, match="carry no class"):
        _ = data.num_classes
    with pytest.raises(DataError, match="carry no mask"):
        _ = data.num_mask_classes


@pytest.mark.parametrize("source", ["ct/manifest.csv", "pairs", "mixed"])
def test_same_batches_from_worker_processes(root: Path, source: str) -> None:
    sources: Any = [root / "ct" / "manifest.csv", root / "classes"] if source == "mixed" else source

    def run(workers: int) -> list[dict[str, Any]]:
        data = ready(root, sources, num_workers=workers, steps_per_epoch=3)
        return batches(data, data.train_dataloader())

    for one, two in zip(run(0), run(2), strict=True):
        assert one.keys() == two.keys()
        assert all(torch.equal(one[k], two[k]) for k in one)


def test_transform_on_mixed_sources(root: Path) -> None:
    def darken(sample: dict[str, Any]) -> dict[str, Any]:
        return {"image": sample["image"] * torch.rand(())}

    def run() -> list[dict[str, Any]]:
        data = ready(root, [root / "ct" / "manifest.csv", root / "classes"], transform=darken)
        return batches(data, data.train_dataloader())

    first, second = run(), run()
    assert len({round(b["image"].max().item(), 5) for b in first}) > 1
    assert all(torch.equal(a["image"], b["image"]) for a, b in zip(first, second, strict=True))


def test_a_transform_may_crop_mixed_sources_to_one_size(root: Path) -> None:
    def to(size: Any) -> Any:
        return ready(
            root,
            [root / "ct" / "manifest.csv", root / "classes"],
            transform=lambda s: {"image": s["image"][..., : size(s["image"])]},
            batch_size=24,
        )

    data = to(lambda image: 16)
    assert next(iter(data.train_dataloader()))["image"].shape == (24, 1, 32, 16)
    data = to(lambda image: 16 if image[0, 0, 0] > 0 else 20)  # air, and no photograph, is black
    with pytest.raises(DataError, match=r"shapes \[\(1, 32, 16\), \(1, 32, 20\)\].*one shape for"):
        next(iter(data.train_dataloader()))


@pytest.mark.parametrize("mixed", [False, True])
def test_items_count_from_the_end_too(root: Path, mixed: bool) -> None:
    source = [root / "ct" / "manifest.csv", root / "classes"] if mixed else root / "classes"
    items = ready(root, source, transform=lambda s: dict(s)).train_set
    last = items[len(items) - 1]
    assert items[-1].keys() == last.keys()
    assert all(torch.equal(items[-1][key], last[key]) for key in last)
    with pytest.raises(IndexError):
        items[-len(items) - 1]


def test_describe_names_nobody(root: Path) -> None:
    data = ready(root, "ct/manifest.csv", licence="CC0")
    text = json.dumps(data.describe())
    assert not any(f"P{i:02d}" in text for i in range(12))
    assert data.describe()["licence"] == "CC0"
    assert data.describe()["manifest_hash"] == data.sources[0].manifest.content_hash()


@pytest.mark.skipif(REAL is None, reason="MUSCLETRANSFER_REAL_DATA names no folder")
def test_real_collections(tmp_path: Path) -> None:
    folder = Path(REAL or "")
    streets = ready(tmp_path, folder / "natural_camvid", ignore_value=11, size=64, channels=3)
    assert [len(s) for s in (streets.train_set, streets.val_set, streets.test_set)] == [
        367,
        101,
        233,
    ]
    assert streets.num_mask_classes == 11
    things = ready(
        tmp_path,
        folder / "natural_imagenet_sample" / "classes.csv",
        label_column="coarse",
        size=64,
    )
    assert things.num_classes == 8
    hearts = ready(
        tmp_path,
        folder / "mr_cardiac_acdc" / "manifest.csv",
        preprocessing=PreprocessingSpec(size=64, hu_window=None, percentiles=(1, 99)),
        size=None,
    )
    assert hearts.num_mask_classes == 4
    for data in (streets, things, hearts):
        for batch in batches(data, data.train_dataloader())[:3]:
            assert 0.05 < batch["image"].mean() < 0.8
