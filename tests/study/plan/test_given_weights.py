"""Weights that have seen those who test are refused, as far as their provenance can tell."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from lightning.pytorch import LightningDataModule, LightningModule, Trainer
from tiny_cases import ct_cases, study

from muscletransfer import LowDataModule, SegmentationFineTuner
from muscletransfer.data import PreprocessingSpec, PretextDataModule
from muscletransfer.data.splits import Split
from muscletransfer.errors import SettingError
from muscletransfer.pretext import JigsawPretext
from muscletransfer.study.config import config_from_dict
from muscletransfer.study.plan import cases, plan_study
from muscletransfer.transfer import save_encoder

SPEC = PreprocessingSpec(size=32)


@pytest.fixture(scope="module")
def manifest(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return ct_cases(tmp_path_factory.mktemp("cases"), 6)


@pytest.fixture
def role_list(tmp_path: Path) -> Path:
    """Twelve patients, of whom the study of `some_rows` takes the first six."""
    path = ct_cases(tmp_path / "list", 12)
    head, *rows = path.read_text().splitlines()
    rows = [f"{row},{'study' if k < 6 else 'pool'}" for k, row in enumerate(rows)]
    path.write_text("\n".join([f"{head},role", *rows]) + "\n")
    return path


def given_study(manifest: Path, **changes: Any) -> dict[str, Any]:
    return study(manifest, train_patients=[2], decoders=["unet"], **changes)


def some_rows(role_list: Path, weights: str) -> dict[str, Any]:
    given = given_study(role_list, sources=[{"name": "given", "weights": weights}])
    given["data"] |= {"where": {"role": "study"}}
    return given


def fitted(model: LightningModule, data: LightningDataModule, folder: Path) -> Trainer:
    run = Trainer(max_steps=1, logger=False, enable_checkpointing=False, enable_progress_bar=False,
                  accelerator="cpu", default_root_dir=folder)  # fmt: skip
    run.fit(model, datamodule=data)
    return run


def weights_that_learned(manifest: Path, path: Path, split: Split | None = None) -> str:
    """Weights of a model that was fine-tuned on cases of a manifest, on all without a split."""
    data = LowDataModule(
        manifest,
        fold=None,
        train_patients="all",
        split=split,
        preprocessing=SPEC,
        mask_column="mask",
    )
    model = SegmentationFineTuner("timm/resnet10t", depth=3,
                                  decoder_kwargs={"decoder_channels": [16, 8, 8]})  # fmt: skip
    fitted(model, data, path.parent).save_checkpoint(path)
    return str(path)


def source_task_that_saw(paths: list[Path], path: Path, exclude: Split | None = None) -> str:
    """Weights of a source task."""
    data = PretextDataModule(
        paths, exclude=exclude, preprocessing=SPEC, batch_size=2, cache_dir=path.parent
    )
    source = JigsawPretext("timm/resnet10t", depth=3)
    fitted(source, data, path.parent)
    return str(save_encoder(source, path))


def test_weights_that_learned_from_those_who_test(manifest: Path, tmp_path: Path) -> None:
    own = weights_that_learned(manifest, tmp_path / "own.ckpt")
    given = given_study(manifest) | {"sources": ["random", {"name": "given", "weights": own}]}
    with pytest.raises(SettingError, match=r"given: .*own\.ckpt learned .* from 6 patients of the"):
        plan_study(config_from_dict(given))
    chained = {
        "name": "mine",
        "pretext": {"class_path": "jigsaw", "init_args": {"weights": own}},
        "data": {"images": "manifest"},
    }
    with pytest.raises(SettingError, match=r"mine: .*those who test have been seen"):
        plan_study(config_from_dict(given_study(manifest) | {"sources": [chained]}))
    other = weights_that_learned(ct_cases(tmp_path / "other", 5, first=50), tmp_path / "other.ckpt")
    given["sources"] = ["random", {"name": "given", "weights": other}]
    (note,) = plan_study(config_from_dict(given)).notes
    assert note.endswith("other.ckpt learned (segmentation-finetuning) from 5 patients; whether "
                         "those who test are among them cannot be told")  # fmt: skip


@pytest.mark.parametrize("seen", ["images.csv", "whole.csv", "cases.csv", "images.csv others.csv"])
def test_weights_that_learned_from_the_studys_images_in_another_form(
    seen: str, manifest: Path, tmp_path: Path
) -> None:
    """Without masks, with all rows where the study takes some, with other masks, among others."""
    _, *rows = [line.split(",") for line in manifest.read_text().splitlines()]
    rows = [[patient, *(str(manifest.parent / name) for name in files)] for patient, *files in rows]
    lists = {
        "images.csv": ["patient_id,image", *(f"{p},{i}" for p, i, _ in rows)],
        "whole.csv": ["patient_id,image,mask", *(",".join(row) for row in rows)],
        "cases.csv": [
            "patient_id,image,mask,outline,role",
            *(f"{p},{i},{rows[0][2]},{m},{k // 5}" for k, (p, i, m) in enumerate(rows)),
        ],
        "others.csv": ["patient_id,image", *(f"X{p},{i}" for p, i, _ in rows[:2])],
    }
    for name, lines in lists.items():
        (tmp_path / name).write_text("\n".join(lines) + "\n")
    paths = [tmp_path / name for name in seen.split()]
    weights = source_task_that_saw(paths, tmp_path / "w.safetensors")
    given = given_study(tmp_path / "cases.csv")
    given["data"] |= {"mask_column": "outline", "where": {"role": "0"}}
    given["sources"] = [{"name": "given", "weights": weights}]
    with pytest.raises(SettingError, match=r"given: .*w\.safetensors learned \(jigsaw\) from"):
        plan_study(config_from_dict(given))


def patients(numbers: range) -> tuple[str, ...]:
    return tuple(f"P{number:02d}" for number in numbers)


@pytest.mark.parametrize("body", ["source task", "fine-tuning"])
@pytest.mark.parametrize("left_out", [6, 5])
def test_weights_of_the_others_of_a_list(
    body: str, left_out: int, role_list: Path, tmp_path: Path
) -> None:
    """The study takes six patients of the list: where six were left out it may be these."""
    out = patients(range(left_out))
    others = patients(range(left_out, 12))
    if body == "source task":
        split = Split(train=(), val=(), test=out)
        weights = source_task_that_saw([role_list], tmp_path / "w.safetensors", split)
    else:
        split = Split(train=others[1:], val=others[:1], test=out[:2], fold=None)
        weights = weights_that_learned(role_list, tmp_path / "w.ckpt", split)
    given = config_from_dict(some_rows(role_list, weights))
    if left_out == 6:
        (note,) = plan_study(given).notes
        assert note.endswith("whether those who test are among them cannot be told")
    else:
        with pytest.raises(SettingError, match="takes its 6 patients from and left out only 5 of"):
            plan_study(given)


def test_only_weights_that_may_have_seen_the_list_have_all_its_files_read(
    role_list: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    read: set[Path] = set()
    digest = cases.image_digest
    monkeypatch.setattr(
        cases, "image_digest", lambda path, memo: (read.add(path), digest(path, memo))[1]
    )
    elsewhere = ct_cases(tmp_path / "elsewhere", 5, first=50)
    for number, split in enumerate((None, Split(train=(), val=(), test=patients(range(6))))):
        paths = [role_list] if split else [elsewhere]
        weights = source_task_that_saw(paths, tmp_path / f"{number}.safetensors", split)
        plan_study(config_from_dict(some_rows(role_list, weights)))
        assert len(read) == 2 * 6
