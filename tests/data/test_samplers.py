"""Samplers by themselves, and the loader in real Trainer runs that are interrupted and resumed."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

import lightning.pytorch as pl
import pytest
import torch
from lightning.pytorch.callbacks import ModelCheckpoint
from low_data_modules import draw_cohorts, module
from torch.utils.data import DataLoader, Dataset, DistributedSampler

from muscletransfer.data.datamodules.samplers import (
    EvaluationSampler,
    ResumableLoader,
    StepSampler,
    step_seed,
)
from muscletransfer.errors import DataError


def epochs(sampler: StepSampler, count: int) -> list[list[int]]:
    out = []
    for epoch in range(count):
        sampler.set_epoch(epoch)
        out.append(list(sampler))
    return out


@pytest.mark.parametrize("length", [1, 5, 8, 25, 100])
def test_steps_do_not_depend_on_the_number_of_items(length: int) -> None:
    sampler = StepSampler(length, batch_size=8, steps_per_epoch=6)
    seen = Counter(i for e in epochs(sampler, 5) for i in e)
    assert len(sampler) == 48
    assert sum(seen.values()) == 240
    assert max(seen.values()) - min(seen.get(i, 0) for i in range(length)) <= 1


def test_without_steps_an_epoch_is_one_pass() -> None:
    sampler = StepSampler(21, batch_size=4)
    assert sampler.steps == 6
    assert set(sampler) == set(range(21))
    assert StepSampler(21, batch_size=4, world=2).steps == 3


def test_pure_function_of_seed_and_epoch() -> None:
    first = epochs(StepSampler(10, 4, 5, seed=3), 3)
    late = StepSampler(10, 4, 5, seed=3)
    late.set_epoch(2)
    assert list(late) == first[2]
    assert list(late) == first[2]
    assert first[0] != first[1]
    assert epochs(StepSampler(10, 4, 5, seed=4), 1) != first[:1]


@pytest.mark.parametrize("world", [2, 3])
def test_ranks_share_out_each_global_batch(world: int) -> None:
    batch, steps = 2, 4
    whole = StepSampler(12, batch * world, steps, seed=1)
    shares = [StepSampler(12, batch, steps, seed=1, world=world, rank=r) for r in range(world)]
    for epoch in range(3):
        for sampler in (whole, *shares):
            sampler.set_epoch(epoch)
        together = list(whole)
        parts = [list(s) for s in shares]
        for step in range(steps):
            globally = together[step * batch * world : (step + 1) * batch * world]
            locally = [p[step * batch : (step + 1) * batch] for p in parts]
            assert sorted(i for p in locally for i in p) == sorted(globally)


def test_items_of_a_pass_do_not_repeat() -> None:
    first = list(StepSampler(12, 4, 3))
    assert sorted(first) == list(range(12))


def test_bad_sizes() -> None:
    with pytest.raises(DataError, match="found 0, wanted at least 1"):
        StepSampler(0, 4)
    with pytest.raises(DataError, match="batch_size=0"):
        StepSampler(3, 0)
    with pytest.raises(DataError, match="steps_per_epoch=0"):
        StepSampler(3, 1, 0)


@pytest.mark.parametrize(("length", "world"), [(7, 2), (1, 2), (5, 3), (6, 3)])
def test_evaluation_covers_every_item_with_equal_shares(length: int, world: int) -> None:
    shares = [list(EvaluationSampler(length, world, rank)) for rank in range(world)]
    assert len({len(s) for s in shares}) == 1
    assert {i for s in shares for i in s} == set(range(length))
    assert sum(map(len, shares)) - length < world


def test_step_seed_tells_its_keys_apart() -> None:
    seeds = {step_seed(a, b, c) for a in range(6) for b in range(6) for c in range(6)}
    assert len(seeds) == 216
    assert all(0 <= s < 2**63 for s in seeds)


class Items(Dataset[dict[str, torch.Tensor]]):
    def __init__(self, length: int = 7) -> None:
        self.length = length

    def __len__(self) -> int:
        return self.length

    def __getitem__(self, index: int) -> dict[str, torch.Tensor]:
        return {"item": torch.tensor(index)}


class Module(pl.LightningModule):
    """Trains one weight on the items' numbers, and keeps a diary."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = torch.nn.Parameter(torch.zeros(()))
        self.diary: list[tuple[int, int, tuple[int, ...]]] = []

    def training_step(self, batch: dict[str, Any], _: int) -> torch.Tensor:
        items = batch["item"]
        self.diary.append((batch["epoch"], batch["step"], tuple(items.tolist())))
        return ((self.weight - items.float()) ** 2).mean()

    def validation_step(self, batch: dict[str, Any], _: int) -> None:
        self.log("val", batch["item"].float().mean(), batch_size=1)

    def configure_optimizers(self) -> torch.optim.Optimizer:
        return torch.optim.SGD(self.parameters(), lr=0.01)


def loader(workers: int = 0) -> ResumableLoader:
    return ResumableLoader(
        Items(), batch_size=2, sampler=StepSampler(7, 2, 4, seed=1), num_workers=workers
    )


def fit(
    root: Path,
    workers: int = 0,
    resume: Path | None = None,
    callbacks: list[Any] | None = None,
    **kwargs: Any,
) -> Module:
    module = Module()
    trainer = pl.Trainer(
        **{"max_epochs": 3, **kwargs},
        accelerator="cpu",
        logger=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        default_root_dir=root,
        enable_checkpointing=bool(callbacks),
        callbacks=callbacks,
    )
    trainer.fit(module, loader(workers), DataLoader(Items(2)), ckpt_path=resume)
    return module


@pytest.mark.filterwarnings("ignore:.*callbacks used to create the checkpoint.*")
@pytest.mark.parametrize("workers", [0, 2])
@pytest.mark.parametrize("steps", [1, 3, 4, 6])
def test_resume_after_any_step_sees_the_same_batches(
    tmp_path: Path, steps: int, workers: int
) -> None:
    whole = fit(tmp_path)
    keep = ModelCheckpoint(tmp_path / "keep", every_n_train_steps=steps, save_top_k=-1)
    first = fit(tmp_path, workers, callbacks=[keep], max_steps=steps, max_epochs=-1)
    second = fit(tmp_path, workers, resume=Path(keep.best_model_path))
    assert [d[:2] for d in whole.diary] == [(e, s) for e in range(3) for s in range(4)]
    assert first.diary + second.diary == whole.diary
    assert torch.equal(second.weight, whole.weight)


@pytest.mark.filterwarnings("ignore:.*callbacks used to create the checkpoint.*")
def test_resume_from_a_checkpoint_of_the_validation(tmp_path: Path) -> None:
    whole = fit(tmp_path)
    keep = ModelCheckpoint(tmp_path / "keep", monitor="val", save_on_train_epoch_end=False)
    first = fit(tmp_path, callbacks=[keep], max_epochs=1)
    second = fit(tmp_path, resume=Path(keep.best_model_path))
    assert first.diary + second.diary == whole.diary
    assert torch.equal(second.weight, whole.weight)


@pytest.mark.filterwarnings("ignore:.*callbacks used to create the checkpoint.*")
@pytest.mark.parametrize("stop", [2, 4, 6])
def test_resume_from_a_validation_within_an_epoch(tmp_path: Path, stop: int) -> None:
    whole = fit(tmp_path, val_check_interval=2)
    keep = ModelCheckpoint(tmp_path / "keep", monitor="val", save_top_k=-1)
    first = fit(tmp_path, callbacks=[keep], max_steps=stop, max_epochs=-1, val_check_interval=2)
    last = max((tmp_path / "keep").iterdir(), key=lambda p: int(p.stem.split("step=")[1]))
    second = fit(tmp_path, resume=last, val_check_interval=2)
    assert first.diary + second.diary == whole.diary


def test_a_second_fit_begins_anew(tmp_path: Path) -> None:
    data = loader()
    assert [b["step"] for b in data] == [0, 1, 2, 3]
    iterator = iter(data)
    next(iterator)
    assert data.state_dict() == {"epoch": 0, "step": 1}
    assert [b["step"] for b in data] == [0, 1, 2, 3]
    data.load_state_dict({"epoch": 1, "step": 2})
    assert [b["step"] for b in data] == [0, 1, 2, 3]  # another epoch: begins at its start
    assert len(data) == 4


@pytest.mark.filterwarnings("ignore:You requested to overfit.*")
def test_passes_of_a_loop_without_a_trainer_are_epochs(tmp_path: Path) -> None:
    data = module(draw_cohorts(tmp_path), batch_size=2, steps_per_epoch=3)
    loader = data.train_dataloader()

    def one_pass() -> tuple[int, torch.Tensor]:
        found = [data.on_after_batch_transfer(batch, 0) for batch in loader]
        return loader.sampler.epoch, torch.stack([batch["image"] for batch in found])

    passes = [one_pass() for _ in range(3)]
    assert [epoch for epoch, _ in passes] == [0, 1, 2]
    assert not torch.equal(passes[0][1], passes[1][1])
    loader.sampler.set_epoch(7)  # as somebody who knows samplers does
    assert one_pass()[0] == 7
    loader.sampler.set_epoch(0)
    epoch, again = one_pass()
    assert epoch == 0
    assert torch.equal(again, passes[0][1])
    next(iter(loader))  # a look at a batch, and then the epochs that the loop itself says
    for number in (0, 1):
        loader.sampler.set_epoch(number)
        epoch, again = one_pass()
        assert epoch == number
        assert torch.equal(again, passes[number][1])


def test_overfit_batches_replaces_the_sampler(tmp_path: Path) -> None:
    module = fit(tmp_path, overfit_batches=2, max_epochs=2)
    assert [d[2] for d in module.diary] == [(0, 1), (2, 3)] * 2


def test_lightning_leaves_the_samplers_alone() -> None:
    for sampler in (StepSampler(4, 1, world=2), EvaluationSampler(4, world=2)):
        assert isinstance(sampler, DistributedSampler)
