"""NT-Xent against loops, on one process and on two."""

import math

import numpy as np
import pytest
import torch
import torch.distributed as dist
import torch.multiprocessing as mp
from lightning import seed_everything
from pretext_toys import TINY, ToyData, gratings, loader, trainer

from muscletransfer.errors import ContractError, DataError, SettingError
from muscletransfer.pretext import SimCLRPretext, nt_xent
from muscletransfer.pretext.contrastive import pair_logits
from muscletransfer.pretext.views import from_unit, to_unit


def by_loops(embeddings, temperature):
    """The formula of the paper, one pair at a time, in double precision."""
    views = np.asarray(embeddings, dtype=np.float64)
    total, half = 0.0, len(views) // 2
    for i, view in enumerate(views):
        similar = {
            k: view @ other / np.linalg.norm(view) / np.linalg.norm(other) / temperature
            for k, other in enumerate(views)
            if k != i
        }
        positive = similar[i + half if i < half else i - half]
        total += math.log(sum(math.exp(s) for s in similar.values())) - positive
    return total / len(views)


@pytest.mark.parametrize("temperature", [0.07, 0.5, 2.0])
def test_against_loops(temperature):
    embeddings = torch.randn(10, 7, generator=torch.Generator().manual_seed(0))
    expected = by_loops(embeddings, temperature)
    assert nt_xent(embeddings, temperature).item() == pytest.approx(expected, rel=1e-5)


def test_mixed_precision_compares_in_float32():
    """Near views are told apart by less than bf16 resolves."""
    generator = torch.Generator().manual_seed(0)
    embeddings = 1 + 0.02 * torch.randn(32, 7, generator=generator)
    expected = pair_logits(embeddings, 0.2)[0]
    with torch.autocast("cpu", torch.bfloat16):
        logits, _ = pair_logits(embeddings, 0.2)
        loss = nt_xent(embeddings, 0.2)
    assert torch.equal(logits, expected)
    assert torch.equal(loss, nt_xent(embeddings, 0.2))


@pytest.mark.parametrize("shape", [(0, 4), (3, 4), (4,)])
def test_rows_that_are_no_pairs_are_refused(shape):
    with pytest.raises(ContractError, match=r"wanted \(2 n, D\)"):
        nt_xent(torch.ones(shape))


SHARES = [(3, 3), (4, 1)]  # images of each of two processes


def in_one_of_two(rank, folder):
    store = dist.FileStore(str(folder / "store"), 2)
    dist.init_process_group("gloo", rank=rank, world_size=2, store=store)
    for sizes in SHARES:
        first, second, weight = torch.load(folder / f"{sizes}.pt")
        mine = slice(0, sizes[0]) if rank == 0 else slice(sizes[0], None)
        weight.requires_grad_()
        loss = nt_xent(torch.cat((first[mine], second[mine])) @ weight, 0.3)
        loss.backward()
        torch.save((loss.detach(), weight.grad), folder / f"{sizes}-{rank}.pt")
    dist.destroy_process_group()


def test_two_processes_have_loss_and_gradient_of_one(tmp_path):
    generator = torch.Generator().manual_seed(0)
    alone = {}
    for sizes in SHARES:
        first, second = (torch.randn(sum(sizes), 6, generator=generator) for _ in range(2))
        weight = torch.randn(6, 5, generator=generator)
        torch.save((first, second, weight), tmp_path / f"{sizes}.pt")
        weight.requires_grad_()
        loss = nt_xent(torch.cat((first, second)) @ weight, 0.3)
        loss.backward()
        alone[sizes] = (loss.detach(), weight.grad)
    processes = mp.spawn(in_one_of_two, (tmp_path,), nprocs=2, join=False)
    assert processes.join(timeout=100) or processes.join(timeout=100)
    for sizes in SHARES:
        both = [torch.load(tmp_path / f"{sizes}-{rank}.pt") for rank in (0, 1)]
        for expected, *found in zip(alone[sizes], *both, strict=True):
            # as distributed training takes the mean over processes
            torch.testing.assert_close(sum(found) / 2, expected, rtol=1e-4, atol=1e-6)


def test_it_learns_to_tell_images_apart():
    seed_everything(0)
    task = SimCLRPretext(TINY, depth=3, rotation=0.0, flip=False, lr=1e-2, warmup_steps=2)
    run = trainer(60)
    run.fit(task, datamodule=ToyData(batch_size=8, image=gratings(8)))
    scores = run.validate(task, loader(8, image=gratings(8)), verbose=False)[0]
    assert scores["val_chance"] == pytest.approx(1 / 15)
    assert scores["val_accuracy"] > 0.8
    assert scores["val_spread"] > 0.5


def test_views_of_standardised_images_are_those_of_plain_ones():
    image = torch.rand(2, 1, 32, 32)
    plain = SimCLRPretext(TINY, depth=3)
    stated = {"mean": [0.4], "std": [0.2]}
    other = SimCLRPretext(TINY, depth=3)
    other._preprocessing = stated
    views, _ = plain.make_targets({"image": image})
    standardised, _ = other.make_targets({"image": from_unit(image, stated)})
    torch.testing.assert_close(to_unit(standardised, stated), views, rtol=1e-4, atol=1e-5)


def test_the_two_views_of_an_image_differ_and_keep_its_range():
    views, _ = SimCLRPretext(TINY, depth=3).make_targets({"image": torch.rand(3, 1, 32, 32)})
    first, second = views[:3], views[3:]
    assert not any(torch.equal(a, b) for a, b in zip(first, second, strict=True))
    assert 0 <= views.min() <= views.max() <= 1


def test_one_image_cannot_be_compared():
    with pytest.raises(DataError, match=r"got one image.*batch_size"):
        trainer(1).fit(SimCLRPretext(TINY, depth=3), loader(1, image=torch.rand(1, 1, 32, 32)))


@pytest.mark.parametrize("settings", [{"temperature": 0.0}, {"crop": 0.0}, {"features": 1}])
def test_settings(settings):
    with pytest.raises(
        SettingError, match=f"{next(iter(settings))}={next(iter(settings.values()))}"
    ):
        SimCLRPretext(TINY, depth=3, **settings)
