"""Frozen means frozen: gradients, statistics, dropout, through train(), to(), copies."""

import copy
import io
import pickle

import pytest
import torch
from torch import nn

from muscletransfer.transfer import freeze, is_frozen, unfreeze


def small_net() -> nn.Sequential:
    torch.manual_seed(0)
    return nn.Sequential(nn.Conv2d(1, 4, 3), nn.BatchNorm2d(4), nn.Dropout(0.5), nn.Conv2d(4, 2, 1))


def buffers(module):
    return {name: value.clone() for name, value in module.named_buffers()}


def assert_does_not_move(module, image):
    before, weights = buffers(module), [p.clone() for p in module.parameters()]
    first, second = module(image), module(image)
    assert torch.equal(first, second)  # no dropout
    assert not first.requires_grad
    for name, value in module.named_buffers():
        assert torch.equal(value, before[name]), name
    assert all(torch.equal(a, b) for a, b in zip(weights, module.parameters(), strict=True))


def test_unfrozen_net_would_move():
    net, image = small_net().train(), torch.randn(2, 1, 8, 8)
    before = buffers(net)
    assert not torch.equal(net(image), net(image))
    assert any(not torch.equal(v, before[n]) for n, v in net.named_buffers())


@pytest.mark.parametrize(
    "then",
    [
        lambda net: net.train(),
        lambda net: nn.Sequential(net, nn.Linear(1, 1)).train()[0],
        lambda net: net.to(torch.float32).train(),
        lambda net: copy.deepcopy(net).train(),
        lambda net: pickle.loads(pickle.dumps(net)).train(),
        lambda net: net.requires_grad_(False).eval().train(),
        lambda net: [net[1].train(), net][1],
    ],
)
def test_stays_frozen(then):
    net = small_net()
    freeze(net)
    after = then(net)
    assert is_frozen(after)
    assert not any(part.training for part in after.modules())
    assert_does_not_move(after, torch.randn(2, 1, 8, 8))


def test_copies_do_not_share_their_state():
    net = small_net()
    freeze(net)
    twin = copy.deepcopy(net)
    unfreeze(twin)
    assert twin.train().training
    assert is_frozen(net)
    assert not net.train().training


def test_keys_and_class_are_unchanged():
    net = small_net()
    keys, kind = list(net.state_dict()), type(net)
    freeze(net)
    assert list(net.state_dict()) == keys
    assert type(net) is kind
    assert "train" not in dict(net.named_modules())
    small_net().load_state_dict(net.state_dict(), strict=True)
    buffer = io.BytesIO()
    torch.save(net.state_dict(), buffer)


def test_unfreeze_restores_gradients_and_the_mode_that_was_asked_for():
    net = small_net()
    net[3].weight.requires_grad_(False)
    freeze(net)
    freeze(net)  # twice does no harm
    assert not any(p.requires_grad for p in net.parameters())
    net.train()
    unfreeze(net)
    assert not is_frozen(net)
    assert all(part.training for part in net.modules())
    assert [n for n, p in net.named_parameters() if not p.requires_grad] == ["3.weight"]
    freeze(net)
    net.eval()
    unfreeze(net)
    assert not net.training
    unfreeze(net)  # nothing to undo
    assert net.train()[1].training


def test_one_part_can_be_unfrozen():
    net = small_net()
    freeze(net)
    unfreeze(net[3])
    model = nn.Sequential(net).train()
    assert [part.training for part in model[0]] == [False, False, False, True]
    assert net[3].weight.requires_grad
    assert not is_frozen(net)
    freeze(net)
    assert is_frozen(net)


def test_shared_parameters_come_back():
    net = nn.Sequential(nn.Linear(2, 2), nn.Linear(2, 2))
    net[1].weight = net[0].weight
    freeze(net)
    unfreeze(net)
    assert all(p.requires_grad for p in net.parameters())


def test_the_rest_of_the_model_learns():
    net = small_net()
    freeze(net)
    model = nn.Sequential(net, nn.Conv2d(2, 1, 1)).train()
    model(torch.randn(2, 1, 8, 8)).sum().backward()
    assert model[1].weight.grad is not None
    assert all(p.grad is None for p in net.parameters())
