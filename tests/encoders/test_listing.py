"""Every encoder of timm and segmentation-models-pytorch has a name here, and no network is used."""

import fnmatch
import socket
import subprocess
import sys

import pytest
import timm
import torch
from segmentation_models_pytorch.encoders import get_encoder_names

from muscletransfer import create_encoder, list_encoders
from muscletransfer.encoders import smp_encoders, timm_encoders
from muscletransfer.errors import UnknownNameError


def test_the_list_is_that_of_the_libraries_themselves():
    ours = [name for name in list_encoders() if name.startswith(("timm/", "smp/"))]
    theirs = [f"timm/{m}" for m in timm.list_models()] + [f"smp/{m}" for m in get_encoder_names()]
    assert ours == sorted(theirs)


def test_each_listed_name_is_known():
    for namespace in (timm_encoders, smp_encoders):
        assert all(namespace.is_known(model) for model in namespace.names())


@pytest.mark.parametrize(
    "pattern", ["timm/resnet*", "smp/*", "*vit_tiny*", "t*net18", "smp/mit_b?"]
)
def test_patterns(pattern):
    found = list_encoders(pattern)
    assert found == [name for name in list_encoders() if fnmatch.fnmatchcase(name, pattern)]
    assert found


def test_a_pattern_that_nothing_matches():
    assert list_encoders("timm/no-such-*") == []
    assert list_encoders("Timm/resnet18") == []


def test_a_pattern_of_one_library_does_not_import_the_other():
    script = (
        "import sys, muscletransfer as mt; mt.list_encoders('timm/resnet*'); "
        "print('segmentation_models_pytorch' in sys.modules)"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True, timeout=120
    )
    assert done.stdout.strip() == "False"


@pytest.mark.parametrize(
    ("name", "near"),
    [
        ("resnet18", "'timm/resnet18'"),
        ("timm/resnt18", "'timm/resnet18'"),
        ("timm/convnext_tinny", "'timm/convnext_tiny'"),
        ("smp/mit_b9", "'smp/mit_b"),
        ("timm/mit_b0", "'smp/mit_b0'"),
        ("ResNet50", "'timm/resnet50'"),
    ],
)
def test_unknown_names_offer_close_ones(name, near):
    with pytest.raises(UnknownNameError) as caught:
        create_encoder(name)
    assert near in str(caught.value)
    assert f"Unknown encoder {name!r}" in str(caught.value)
    assert "register_encoder" in str(caught.value)


def test_unknown_tag_offers_those_there_are():
    with pytest.raises(UnknownNameError, match=r"no weights tagged 'a1_in1kk'.*resnet18\.a1_in1k"):
        create_encoder("timm/resnet18.a1_in1kk")


@pytest.mark.parametrize("name", ["timm/resnet18", "timm/resnet18.a1_in1k", "smp/mit_b0"])
def test_building_opens_no_connection_and_reads_no_weights(name, monkeypatch):
    def refuse(*args, **kwargs):
        raise AssertionError("an encoder was about to use the network or a weight file")

    monkeypatch.setattr(socket, "socket", refuse)
    monkeypatch.setattr(socket, "create_connection", refuse)
    monkeypatch.setattr(torch, "load", refuse)
    monkeypatch.setattr("safetensors.torch.load_file", refuse)
    monkeypatch.setattr("timm.models._builder.load_pretrained", refuse)
    torch.manual_seed(0)
    first = create_encoder(name).state_dict()
    torch.manual_seed(1)
    other = create_encoder(name).state_dict()
    kernels = [key for key, value in first.items() if value.ndim == 4]
    assert not any(torch.equal(first[key], other[key]) for key in kernels)  # from the seed alone
