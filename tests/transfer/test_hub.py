"""``"hf-hub:org/name"`` reads the hub's cache; without file and network it says what to do."""

import pytest
import torch

from muscletransfer import create_encoder, load_encoder, save_encoder
from muscletransfer.errors import WeightsError

from .helpers import randomise

NAME = "timm/test_resnet"


@pytest.fixture
def published(hub_cache, tmp_path):
    encoder = randomise(create_encoder(NAME))
    path = save_encoder(encoder, tmp_path / "e.safetensors")
    hub_cache.add("org/muscle", {"encoder.safetensors": path.read_bytes()}, commit="b" * 40)
    return encoder


@pytest.mark.parametrize("revision", ["", "@main", "@" + "b" * 40])
def test_a_cached_repository(published, revision):
    encoder = create_encoder(NAME)
    report = load_encoder(encoder, f"hf-hub:org/muscle{revision}")
    assert report.complete
    assert report.source == f"hf-hub:org/muscle{revision}"
    for key, value in published.state_dict().items():
        assert torch.equal(encoder.state_dict()[key], value)


def test_neither_cache_nor_network(hub_cache):
    with pytest.raises(WeightsError) as caught:
        load_encoder(create_encoder(NAME), "hf-hub:org/other")
    message = str(caught.value)
    for part in ("org/other", "encoder.safetensors", str(hub_cache.root), "save_encoder"):
        assert part in message


@pytest.mark.parametrize("name", ["", "muscle", "a/b/c", "/name", "org/"])
def test_names_of_no_repository(name, hub_cache):
    with pytest.raises(WeightsError, match="wanted 'hf-hub:org/name'"):
        load_encoder(create_encoder(NAME), f"hf-hub:{name}")


def test_a_damaged_copy_is_named(hub_cache):
    hub_cache.add("org/muscle", {"encoder.safetensors": b"\x10\0\0\0\0\0\0\0{"})
    with pytest.raises(WeightsError, match=r"encoder\.safetensors.*damaged"):
        load_encoder(create_encoder(NAME), "hf-hub:org/muscle")
