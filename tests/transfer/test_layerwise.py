"""Optimiser groups: every parameter once, rates falling towards the stem."""

import pytest
import torch
from torch import nn

from muscletransfer.decoders import build_segmentation_model
from muscletransfer.encoders import create_encoder
from muscletransfer.errors import ContractError
from muscletransfer.transfer import encoder_stages, freeze, layerwise_groups

NAMES = ["timm/resnet18", "timm/test_convnext", "smp/mit_b0", "smp/mobilenet_v2", "timm/test_vit"]


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("decay", [1.0, 0.7])
def test_every_parameter_once(name, decay):
    encoder = create_encoder(name, 1)
    rest = [nn.Conv2d(8, 4, 3), nn.BatchNorm2d(4)]
    groups = layerwise_groups(encoder, rest, lr=1e-3, decay=decay)
    given = [id(p) for group in groups for p in group["params"]]
    wanted = [id(p) for module in [encoder, *rest] for p in module.parameters()]
    assert len(given) == len(set(given))
    assert set(given) == set(wanted)
    names = [group["name"] for group in groups]
    assert len(names) == len(set(names))
    torch.optim.AdamW(groups)


def test_stages_of_a_resnet_are_its_layers():
    encoder = create_encoder("timm/resnet18", 1)
    found = {}
    for stage, members in encoder_stages(encoder).items():
        for key, _ in members:
            found.setdefault(key.split(".")[1], set()).add(stage)
    assert found == {
        "conv1": {1},
        "bn1": {1},
        "layer1": {2},
        "layer2": {3},
        "layer3": {4},
        "layer4": {5},
    }


def test_rates_fall_from_the_decoder_to_the_stem():
    encoder = create_encoder("timm/resnet18", 1)
    head = nn.Conv2d(512, 1, 1)
    rate = {
        id(p): group["lr"]
        for group in layerwise_groups(encoder, [head], lr=1.0, decay=0.5)
        for p in group["params"]
    }
    model = encoder.model
    parts = [head, model.layer4, model.layer3, model.layer2, model.layer1, model.conv1]
    for k, part in enumerate(parts):
        assert {rate[id(p)] for p in part.parameters()} == {0.5**k}


def test_norm_and_bias_do_not_decay():
    encoder, head = create_encoder("timm/resnet18", 1), nn.Conv2d(512, 1, 1)
    for group in layerwise_groups(encoder, [head], lr=1.0, decay=0.5):
        if group["name"].endswith("no decay"):
            assert group["weight_decay"] == 0
            assert all(p.ndim == 1 for p in group["params"])
        else:
            assert "weight_decay" not in group  # the optimiser's own
            assert all(p.ndim > 1 for p in group["params"])


def test_nothing_of_the_encoder_changes():
    encoder = create_encoder("timm/resnet18", 1).train()
    freeze(encoder.model.layer1)
    before = {key: value.clone() for key, value in encoder.state_dict().items()}
    flags = [p.requires_grad for p in encoder.parameters()]
    torch.manual_seed(3)
    expected = torch.rand(2)
    torch.manual_seed(3)
    stages = encoder_stages(encoder)
    assert torch.equal(torch.rand(2), expected)
    assert len(stages) == 5  # frozen parameters have a stage as well
    assert [p.requires_grad for p in encoder.parameters()] == flags
    assert all(p.grad is None for p in encoder.parameters())
    assert all(torch.equal(v, before[k]) for k, v in encoder.state_dict().items())


def test_shared_parameters_are_counted_once():
    model = build_segmentation_model("timm/resnet18", "unet")
    groups = layerwise_groups(model.encoder, [model.decoder, model.head, model], 1e-3, 0.9)
    assert sum(len(group["params"]) for group in groups) == len(list(model.parameters()))


@pytest.mark.parametrize(("lr", "decay"), [(1e-3, 0.0), (1e-3, 1.5), (0.0, 0.5), (-1.0, 0.5)])
def test_rates_that_make_no_sense(lr, decay):
    with pytest.raises(ContractError, match="decay in"):
        layerwise_groups(create_encoder("timm/resnet18"), [], lr, decay)


def test_a_bias_of_two_dimensions_does_not_decay_either():
    class Attention(nn.Module):
        def __init__(self):
            super().__init__()
            self.relative_position_bias_table = nn.Parameter(torch.zeros(9, 4))
            self.weight = nn.Parameter(torch.zeros(4, 4))

    head = Attention()
    groups = layerwise_groups(nn.Identity(), [head], lr=1.0, stage_of={})
    decay = {id(p): "weight_decay" not in g for g in groups for p in g["params"]}
    assert decay == {id(head.relative_position_bias_table): False, id(head.weight): True}
