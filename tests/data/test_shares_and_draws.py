"""Whose draws differ, whose agree, how many validate, and what a cache depends on."""

import pytest
import torch
from PIL import Image

from muscletransfer import PretextDataModule
from muscletransfer.data.augmentation import Augmentation
from muscletransfer.data.cache import SliceCache
from muscletransfer.data.datamodules.low_split import draw_split
from muscletransfer.data.datamodules.on_device import finish_batch
from muscletransfer.data.manifest import Manifest
from muscletransfer.data.manifest.rows import ManifestRow
from muscletransfer.data.preprocessing import PreprocessingSpec


def test_processes_augment_in_ways_of_their_own():
    """Two ranks that draw alike would see half of what augmentation has to show."""
    spec = PreprocessingSpec(size=32)
    image = torch.randint(-200, 300, (2, 32, 32), dtype=torch.int16)
    batch = {"image": image, "epoch": 1, "step": 2}
    found = [finish_batch(batch, spec, Augmentation(), 0, rank)["image"] for rank in (0, 1, 0)]
    assert torch.equal(found[0], found[2])
    assert not torch.equal(found[0], found[1])


@pytest.mark.parametrize(("patients", "val"), [(3, 1), (4, 1), (8, 1), (12, 2), (60, 5)])
def test_how_many_validate_where_nobody_says(patients, val, tmp_path):
    """A quarter of the training folds, one at least, five at most (four folds)."""
    rows = [ManifestRow(f"p{i}", tmp_path / f"{i}.png") for i in range(patients)]
    folds = min(4, patients)
    split = draw_split(
        Manifest(rows, tmp_path / "m.csv"), None, fold=0, num_folds=folds, seed=0, repeat=0,
        val_patients=None, fold_column=None,
    )  # fmt: skip
    assert len(split.val) == val


def test_a_transform_draws_anew_in_each_pass_over_mixed_sources(tmp_path):
    sources = []
    for folder in ("a", "b"):
        (tmp_path / folder).mkdir()
        for i in range(4):
            Image.new("L", (40, 40), 100 + i).save(tmp_path / folder / f"{i}.png")
        sources.append(tmp_path / folder)
    data = PretextDataModule(
        sources, val_fraction=0, size=32, batch_size=8, steps_per_epoch=3, cache_dir=tmp_path / "c",
        transform=lambda sample: {"image": sample["image"] * torch.rand(())},
    )  # fmt: skip
    data.setup("fit")
    seen = {}
    for batch in data.train_dataloader():
        for case, image in zip(batch["case"].tolist(), batch["image"], strict=True):
            seen.setdefault(case, set()).add(round(float(image.max()), 6))
    assert {len(values) for values in seen.values()} == {3}


def test_a_label_that_changed_builds_no_other_cache(tmp_path):
    Image.new("L", (20, 20), 9).save(tmp_path / "a.png")
    names = set()
    for label in ("1", "2"):
        (tmp_path / "m.csv").write_text(f"patient_id,image,label\nP1,a.png,{label}\n")
        manifest = Manifest.read(tmp_path / "m.csv")
        spec = PreprocessingSpec(size=16, hu_window=None)
        cache = SliceCache.open_or_build(manifest, spec, tmp_path / "c", need_masks=False)
        names.add(cache.directory.name)
        assert cache.manifest_hash == manifest.content_hash()
    assert len(names) == 1
