"""The default AdamW: the numbers of torch's, on every layout, without its copies."""

import copy

import pytest
import torch
from torch import nn

from muscletransfer.optimizer import ChannelsLastAdamW


def _net() -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(
        nn.Conv2d(3, 8, 3, padding=1),
        nn.BatchNorm2d(8),
        nn.ReLU(),
        nn.ConvTranspose2d(8, 4, 3),
        nn.Conv2d(4, 4, 1, groups=2),
        nn.Flatten(),
        nn.Linear(4 * 10 * 10, 2),
    ).to(memory_format=torch.channels_last)


def _train(net: nn.Module, kind: type, steps: int = 4, **settings: object) -> torch.optim.Optimizer:
    optimizer = kind(net.parameters(), lr=1e-2, weight_decay=0.1, fused=True, **settings)
    images = torch.randn(2, 3, 8, 8, generator=torch.Generator().manual_seed(1))
    images = images.contiguous(memory_format=torch.channels_last)
    for _ in range(steps):
        optimizer.zero_grad()
        net(images).square().mean().backward()
        optimizer.step()
    return optimizer


@pytest.mark.parametrize("settings", [{}, {"amsgrad": True}, {"maximize": True}], ids=str)
def test_weights_and_state_are_those_of_torch(settings):
    ours, theirs = _net(), _net()
    one = _train(ours, ChannelsLastAdamW, **settings)
    two = _train(theirs, torch.optim.AdamW, **settings)
    for name, value in theirs.state_dict().items():
        torch.testing.assert_close(ours.state_dict()[name], value, rtol=0, atol=0, msg=name)
    states = zip(
        one.state_dict()["state"].values(), two.state_dict()["state"].values(), strict=True
    )
    for found, wanted in states:
        assert found.keys() == wanted.keys()
        for name, value in wanted.items():
            torch.testing.assert_close(found[name], value, rtol=0, atol=0, msg=name)
            assert found[name].stride() == value.stride()


def test_a_scalar_may_come_first():
    def trained(kind):
        torch.manual_seed(0)
        scale = nn.Parameter(torch.tensor(2.0))
        conv = nn.Conv2d(2, 4, 3).to(memory_format=torch.channels_last)
        optimizer = kind([scale, *conv.parameters()], lr=1e-2, fused=True)
        for _ in range(3):
            optimizer.zero_grad()
            (conv(torch.ones(1, 2, 4, 4)).sum() * scale).backward()
            optimizer.step()
        return [scale, *conv.parameters()]

    for found, wanted in zip(trained(ChannelsLastAdamW), trained(torch.optim.AdamW), strict=True):
        torch.testing.assert_close(found, wanted, rtol=0, atol=0)


def test_state_moves_to_and_from_torch():
    ours, theirs = _net(), _net()
    state = _train(ours, ChannelsLastAdamW).state_dict()
    plain = _train(theirs, torch.optim.AdamW)
    plain.load_state_dict(copy.deepcopy(state))
    assert [len(group["params"]) for group in plain.param_groups] == [10]


LAYOUTS = [torch.channels_last, torch.contiguous_format]


def _step(kind: type, weight: torch.Tensor, state: dict | None, **settings: object) -> tuple:
    """Take three steps with given gradients, which lie as the weight does."""
    generator = torch.Generator().manual_seed(1)
    weight = nn.Parameter(weight.clone(memory_format=torch.preserve_format))
    optimizer = kind([weight], lr=1e-2, **settings)
    if state is not None:
        optimizer.load_state_dict(optimizer.state_dict() | {"state": copy.deepcopy(state)})
    for _ in range(3):
        weight.grad = torch.empty_like(weight).copy_(torch.randn(6, 5, 3, 3, generator=generator))
        optimizer.step()
    return weight.detach(), optimizer.state_dict()["state"]


@pytest.mark.parametrize("settings", [{}, {"amsgrad": True}], ids=str)
@pytest.mark.parametrize(("before", "then"), [LAYOUTS, LAYOUTS[::-1]], ids=str)
def test_a_state_of_another_memory_layout_goes_on_as_it_would_unfused(before, then, settings):
    weight = torch.randn(6, 5, 3, 3, generator=torch.Generator().manual_seed(0))
    weight, state = _step(
        ChannelsLastAdamW, weight.to(memory_format=before), None, fused=True, **settings
    )
    weight = weight.to(memory_format=then)
    found, _ = _step(ChannelsLastAdamW, weight, state, fused=True, **settings)
    wanted, _ = _step(torch.optim.AdamW, weight, state, fused=False, **settings)
    torch.testing.assert_close(found, wanted, rtol=1e-5, atol=1e-6)


def test_no_kernel_is_copied():
    # What the class is for: if torch mends its kernel, this test still holds and the class can go.
    net = _net()
    optimizer = _train(net, ChannelsLastAdamW)
    with torch.profiler.profile(
        activities=[torch.profiler.ProfilerActivity.CPU], record_shapes=True
    ) as profile:
        optimizer.step()
    copies = [event for event in profile.events() if event.name == "aten::copy_"]
    # The step count is made on the spot; nothing of the size of a weight is moved.
    assert [event.input_shapes[0] for event in copies if event.input_shapes[0]] == []
