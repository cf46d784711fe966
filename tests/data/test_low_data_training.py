"""LowDataModule under a Trainer: every precision, resumed runs, no validation."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import lightning.pytorch as pl
import numpy as np
import pytest
import torch
from lightning.pytorch.callbacks import ModelCheckpoint
from low_data_modules import draw_cohorts, module
from small_cohort import draw

from muscletransfer.errors import (
    DataError,
)


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return draw_cohorts(tmp_path_factory.mktemp("cohort"))


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
    # what a finished prediction returned is still named after those who were predicted
    assert data.case_name(0) == data.case_row(0).patient_id == "X1"
    assert np.array_equal(data.reference_image(1).array[0], draw(500)[0])
    assert data.case_name(0, predicted=False) == "P00"
    assert len(model.seen["train"]) == 6
    dtype = {"bf16-true": torch.bfloat16, "64-true": torch.float64}.get(precision, torch.float32)
    for batch in [b for kind in model.seen.values() for b in kind]:
        assert batch["image"].dtype == dtype
        assert "step" not in batch
    run.test(model, datamodule=data, verbose=False)
    assert data.case_name(0) == "P00"
    assert data.case_name(0, predicted=True) == "X1"
    assert model.seen["test"][0]["geometry"][0].native_shape == (40, 48)
    assert torch.equal(model.seen["val"][0]["image"], model.seen["val"][-1]["image"])


def test_plain_batches_after_a_prediction_are_named_after_their_own(root: Path) -> None:
    (root / "new.csv").write_text("patient_id,image\nX1,p03.nii.gz\nX2,p05.nii.gz\n")
    data = module(root, predict_manifest=root / "new.csv")
    trainer(root).predict(Recorder(), datamodule=data)
    for role in ("train", "val"):
        names = {
            data.case_name(case)
            for batch in data.plain_batches(role, 20)
            for case in batch["case"].tolist()
        }
        assert names == set(getattr(data.split, role))
        batch = next(data.plain_batches(role, 20))
        assert data.case_row(int(batch["case"][0])).patient_id in names
    trainer(root).predict(Recorder(), datamodule=data)
    assert data.case_name(0) == "X1"


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
