"""A user's code draws from the seed of its step, and no generator is other than before."""

from __future__ import annotations

import random
from typing import Any

import numpy as np
import pytest
import torch

from muscletransfer.data.augmentation.own import OwnAugmentation
from muscletransfer.data.datamodules.transforms import run_transform
from muscletransfer.randomness import own_stream


def test_a_users_code_draws_from_the_seed_and_leaves_everything_as_it_was(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    reached: list[int] = []
    monkeypatch.setattr(torch.cuda, "manual_seed_all", reached.append)

    def draw(image: torch.Tensor) -> torch.Tensor:
        return image + torch.rand(()) + float(np.random.rand()) + random.random()

    def states() -> list[Any]:
        numpy = np.random.get_state()[1].tolist()
        return [torch.get_rng_state().tolist(), numpy, random.getstate()]

    image = torch.zeros(1, 1, 2, 2)
    augment = OwnAugmentation(lambda image, mask, _: (draw(image), mask))
    before = states()
    for run in (
        lambda seed: run_transform(
            lambda s: {"image": draw(s["image"])}, {"image": image[0]}, seed
        ),
        lambda seed: {"image": augment(image, None, torch.Generator().manual_seed(seed))[0]},
    ):
        first, again, other = (run(seed)["image"] for seed in (2**63 - 1, 2**63 - 1, 3))
        assert torch.equal(first, again)
        assert not torch.equal(first, other)
    assert states() == before
    assert reached == []


def test_one_accelerator_is_seeded_and_put_back_and_no_other(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Generators of the CPU stand for those of two devices."""
    devices = [torch.Generator().manual_seed(k) for k in (1, 2)]
    for name, value in {
        "default_generators": devices,
        "get_rng_state": lambda device: devices[device.index].get_state(),
        "set_rng_state": lambda state, device: devices[device.index].set_state(state),
        "manual_seed_all": lambda seed: [one.manual_seed(seed) for one in devices],
    }.items():
        monkeypatch.setattr(torch.cuda, name, value)
    before = [one.get_state() for one in devices]
    with own_stream(7, torch.device("cuda", 1)):
        assert devices[1].initial_seed() == 7
        assert torch.equal(devices[0].get_state(), before[0])
        torch.rand(1, generator=devices[1])
    assert all(torch.equal(o.get_state(), b) for o, b in zip(devices, before, strict=True))
