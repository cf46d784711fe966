"""How the base class trains: rates, decay, and where random draws come from."""

import math

import pytest
import torch
from lightning import Trainer
from pretext_toys import TINY, ToyData, discs, loader, textured, trainer
from smallest_task import Mean, fit, images

import muscletransfer as mt
from muscletransfer.pretext import (
    RotationPretext,
)
from muscletransfer.pretext.seeding import step_seed


def rates(task, **changes):
    seen = []

    class Recorder(type(task)):
        def on_train_batch_start(self, batch, batch_idx):
            seen.append(self.optimizers().param_groups[0]["lr"])

    task.__class__ = Recorder
    trainer(**changes).fit(task, loader(1, image=images(6)))
    return seen


def test_warm_up_then_cosine_to_the_end_of_the_run():
    seen = rates(Mean(lr=1.0, warmup_steps=2), max_steps=6)
    assert seen == pytest.approx(
        [0.5, 1.0, *(0.5 * (1 + math.cos(math.pi * k / 4)) for k in range(4))]
    )
    by_epochs = rates(Mean(lr=1.0, warmup_steps=2), max_steps=-1, max_epochs=2)
    assert len(by_epochs) == 12
    assert by_epochs[-1] < 0.05


def test_a_run_without_a_known_length_keeps_its_rate():
    seen = rates(Mean(lr=0.1, warmup_steps=2), max_steps=-1, max_epochs=-1, max_time="00:00:00:01")
    assert seen[0] == pytest.approx(0.05)
    assert set(seen[2:]) == {0.1}


def test_biases_and_norms_do_not_decay_and_frozen_parameters_are_left_out():
    task = Mean(weight_decay=0.3)
    for parameter in task.encoder.stages[0].parameters():
        parameter.requires_grad_(False)
    task.trainer = Trainer(max_steps=5, accelerator="cpu", logger=False, barebones=True)
    groups = task.configure_optimizers()["optimizer"].param_groups
    assert [g["weight_decay"] for g in groups] == [0.3, 0.0]
    assert all(p.ndim > 1 for p in groups[0]["params"])
    assert all(p.ndim == 1 for p in groups[1]["params"])
    assert sum(len(g["params"]) for g in groups) == len(list(task.parameters())) - 3


def test_optimiser_can_be_replaced():
    class Plain(Mean):
        def configure_optimizers(self):
            return torch.optim.SGD(self.parameters(), lr=self.lr)

    run = fit(Plain())
    assert isinstance(run.optimizers[0], torch.optim.SGD)


def test_step_seeds_do_not_collide():
    seeds = {
        step_seed(seed, stage, epoch, batch, rank)
        for seed in range(3)
        for stage in ("train", "val")
        for epoch in range(5)
        for batch in range(20)
        for rank in range(4)
    }
    assert len(seeds) == 3 * 2 * 5 * 20 * 4


def test_training_leaves_draws_to_the_task_seed_and_not_to_the_global_state():

    class Recorder(mt.JigsawPretext):
        def make_targets(self, batch):
            pair = super().make_targets(batch)
            tiles.append(pair[0].clone())
            return pair

    runs = []
    for seed in (0, 0, 1):
        tiles = []
        torch.rand(3)
        task = Recorder(TINY, depth=3, grid=2, seed=seed)
        trainer(3).fit(task, loader(image=textured(8, 32)))
        runs.append(tiles)
    first, same, other = runs
    assert all(torch.equal(x, y) for x, y in zip(first, same, strict=True))
    assert not any(torch.equal(x, y) for x, y in zip(first, other, strict=True))
    assert not torch.equal(first[0], first[2])  # same images, another epoch


def test_reconstruction_scores_in_the_range_of_the_images():
    """Standardising must not change the PSNR that is reported."""
    image, _, _ = discs(4, 32)
    found = []
    for mean, std in ((0.0, 1.0), (0.5, 0.25)):
        task = mt.ReconstructionPretext(TINY, depth=3, corruption="mask", patch_size=8)
        data = ToyData({"mean": mean, "std": std}, image=(image - mean) / std)
        run = trainer()
        run.validate(task, datamodule=data, verbose=False)
        found.append(run.callback_metrics["val_psnr_input"].item())
    assert found[0] == pytest.approx(found[1], abs=1e-3)


@pytest.mark.parametrize("kind", [mt.JigsawPretext, mt.ClassificationPretext, RotationPretext])
def test_a_task_that_was_validated_can_be_trained(kind):
    own = {"num_classes": 2} if kind is mt.ClassificationPretext else {}
    task = kind(encoder=TINY, depth=3, warmup_steps=1, **own)
    image, _, label = discs(8)
    source = ToyData(batch_size=4, image=image, label=label)
    before = trainer().validate(task, datamodule=source, verbose=False)
    trainer(2).fit(task, datamodule=source)
    assert trainer().validate(task, datamodule=source, verbose=False)[0].keys() == before[0].keys()
