"""Two real processes under Lightning's DDP with its default flags share the data as promised."""

from __future__ import annotations

import json
import os
import socket
import sys
from pathlib import Path
from typing import Any

import lightning.pytorch as pl
import pytest
import torch
import torch.multiprocessing as mp
from small_cohort import make_small_cohort

from muscletransfer.data import LowDataModule, PreprocessingSpec

PATIENTS = 11  # the test fold has 3 or 4 cases: uneven over two processes


class Diary(pl.LightningModule):
    """Writes down which cases each step saw, and a fingerprint of the augmented images."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = torch.nn.Conv2d(1, 1, 3, padding=1)
        self.seen: dict[str, list[Any]] = {"train": [], "val": [], "test": [], "predict": []}
        self.prints: list[float] = []

    def training_step(self, batch: dict[str, Any], _: int) -> torch.Tensor:
        self.seen["train"].append(batch["case"].tolist())
        self.prints.append(batch["image"].double().sum().item())
        return self.layer(batch["image"]).square().mean()

    def validation_step(self, batch: dict[str, Any], _: int) -> None:
        self.seen["val"].append(batch["case"].tolist())
        self.layer(batch["image"])

    def test_step(self, batch: dict[str, Any], batch_idx: int) -> None:
        self.seen["test"].append(batch["case"].tolist())

    def predict_step(self, batch: dict[str, Any], _: int) -> list[int]:
        self.seen["predict"].append(batch["case"].tolist())
        return self.seen["predict"][-1]

    def configure_optimizers(self) -> torch.optim.Optimizer:
        return torch.optim.SGD(self.parameters(), lr=0.1)


def run(folder: Path, batch_size: int, **kwargs: Any) -> dict[str, Any]:
    data = LowDataModule(
        folder / "manifest.csv",
        train_patients=5,
        num_folds=3,
        batch_size=batch_size,
        steps_per_epoch=3,
        preprocessing=PreprocessingSpec(size=32),
        cache_dir=folder / "cache",
    )
    trainer = pl.Trainer(
        accelerator="cpu",
        max_epochs=2,
        num_sanity_val_steps=0,
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        default_root_dir=folder,
        **kwargs,
    )
    model = Diary()
    trainer.fit(model, datamodule=data)
    trainer.test(model, datamodule=data, verbose=False)
    trainer.predict(model, datamodule=data, return_predictions=False)
    assert data.split
    return {"seen": model.seen, "prints": model.prints, "split": data.split.to_dict()}


def work(rank: int, folder: str, port: int) -> None:
    torch.set_num_threads(1)
    os.environ |= {
        "MASTER_ADDR": "127.0.0.1",
        "MASTER_PORT": str(port),
        "WORLD_SIZE": "2",
        "NODE_RANK": "0",
        "LOCAL_RANK": str(rank),
    }
    found = run(Path(folder), batch_size=2, devices=2, strategy="ddp")
    Path(folder, f"{rank}.json").write_text(json.dumps(found))


def test_two_processes_share_the_data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    make_small_cohort(tmp_path, patients=PATIENTS)
    alone = run(tmp_path, batch_size=4, devices=1)
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    monkeypatch.setenv("PYTHONWARNINGS", "ignore")
    # Spawned children import this file by name, so they must find it.
    here = str(Path(__file__).parent)
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([here, *filter(None, sys.path)]))
    mp.spawn(work, args=(str(tmp_path), port), nprocs=2)
    ranks = [json.loads((tmp_path / f"{r}.json").read_text()) for r in (0, 1)]
    assert ranks[0]["split"] == ranks[1]["split"] == alone["split"]
    steps = list(zip(*(r["seen"]["train"] for r in ranks), strict=True))
    assert len(steps) == 6
    for (first, second), together in zip(steps, alone["seen"]["train"], strict=True):
        assert len(first) == len(second) == 2
        assert sorted(first + second) == sorted(together)
    assert ranks[0]["prints"] != ranks[1]["prints"]  # each process draws its own augmentation
    for kind in ("val", "test"):
        shares = [[c for batch in r["seen"][kind] for c in batch] for r in ranks]
        assert len(shares[0]) == len(shares[1])
        assert set(shares[0]) | set(shares[1]) == {c for b in alone["seen"][kind] for c in b}
    predicted = [c for r in ranks for batch in r["seen"]["predict"] for c in batch]
    assert sorted(predicted) == sorted(c for b in alone["seen"]["predict"] for c in b)
