"""Files that are missing, damaged, foreign, altered or hostile are refused by name."""

import json
import pickle
import random
import zipfile

import pytest
import safetensors.torch
import torch

from muscletransfer import create_encoder, load_encoder, save_encoder
from muscletransfer.decoders import build_segmentation_model
from muscletransfer.errors import UnknownNameError, WeightsError
from muscletransfer.transfer import (
    CHECKPOINT_KEY,
    inspect_file,
    read_artifact,
    resolve_weights,
)

from .test_files import RECORD, write_checkpoint


@pytest.fixture(scope="module")
def exported(tmp_path_factory):
    folder = tmp_path_factory.mktemp("exported")
    return save_encoder(
        create_encoder("timm/test_resnet"), folder / "encoder.safetensors", provenance=RECORD
    )


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory):
    from muscletransfer.decoders import build_segmentation_model

    model = build_segmentation_model("timm/test_resnet", "fcn")
    return write_checkpoint(model, tmp_path_factory.mktemp("checkpoint") / "last.ckpt")


@pytest.fixture
def file(request, exported, checkpoint, tmp_path):
    """A copy to be damaged."""
    source = {"safetensors": exported, "ckpt": checkpoint}[request.param]
    copy = tmp_path / source.name
    copy.write_bytes(source.read_bytes())
    return copy


BOTH = pytest.mark.parametrize("file", ["safetensors", "ckpt"], indirect=True)


def refused(path, message):
    """Reading, inspecting and loading all refuse, and the encoder keeps its values."""
    encoder = create_encoder("timm/test_resnet")
    before = {key: value.clone() for key, value in encoder.state_dict().items()}
    for read in (read_artifact, inspect_file, lambda p: load_encoder(encoder, p)):
        with pytest.raises(WeightsError, match=message) as caught:
            read(path)
        assert str(path) in str(caught.value)
    assert all(torch.equal(value, before[key]) for key, value in encoder.state_dict().items())


def test_whole_files_are_read(exported, checkpoint):
    assert inspect_file(exported).task == "jigsaw"
    assert inspect_file(checkpoint).task == "jigsaw"


def test_the_suffix_does_not_matter(exported, tmp_path):
    renamed = tmp_path / "encoder.ckpt"
    renamed.write_bytes(exported.read_bytes())
    assert (
        read_artifact(renamed).encoder_state.keys() == read_artifact(exported).encoder_state.keys()
    )


@BOTH
@pytest.mark.parametrize("keep", [0.0, 0.001, 0.5, 0.999])
def test_cut_short(file, keep):
    content = file.read_bytes()
    file.write_bytes(content[: int(len(content) * keep)])
    refused(file, "cannot be read: it is damaged, cut short|holds pickled Python objects")


@BOTH
def test_one_flipped_bit_of_a_tensor(file):
    state = read_artifact(file).encoder_state
    value = next(v for k, v in state.items() if v.ndim == 4).contiguous().view(torch.uint8)
    needle = value.flatten()[:64].numpy().tobytes()
    content = bytearray(file.read_bytes())
    place = content.find(needle)
    assert place > 0
    content[place + 5] ^= 1
    file.write_bytes(bytes(content))
    refused(file, r"encoder's tensors have SHA-256 \w{64}, the file states \w{64}|damaged")


def test_text_and_nothing(tmp_path):
    (tmp_path / "notes.ckpt").write_text("not weights")
    refused(tmp_path / "notes.ckpt", r"\(11 bytes\) cannot be read: it is damaged")
    (tmp_path / "empty.safetensors").touch()
    refused(tmp_path / "empty.safetensors", r"\(0 bytes\) cannot be read")


def test_names_that_are_not_there(exported, tmp_path):
    refused(exported.with_name("encodr.safetensors"), r"No such file.*encoder\.safetensors")
    refused(tmp_path / "no" / "such.ckpt", "folder .* does not exist")
    refused(exported.parent, r"is a folder.*encoder\.safetensors")


def test_names_that_are_neither_source_nor_file():
    encoder = create_encoder("timm/test_resnet")
    with pytest.raises(UnknownNameError, match=r"weight source 'imagenett'.*'imagenet'.*ckpt file"):
        load_encoder(encoder, "imagenett")


class Opens:
    """What a hostile file holds: loading it would run this call."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return (open, (self.path, "w"))


@pytest.mark.parametrize("where", ["whole", "inside", "state"])
def test_a_pickle_that_would_run_code_does_not(where, tmp_path):
    trace = tmp_path / "it-ran"
    hostile = Opens(str(trace))
    path = tmp_path / "hostile.ckpt"
    if where == "whole":
        path.write_bytes(pickle.dumps(hostile, protocol=2))
    elif where == "inside":
        torch.save({"state_dict": {"w": torch.zeros(1)}, CHECKPOINT_KEY: hostile}, path)
    else:
        torch.save({"state_dict": {"encoder.w": hostile}, CHECKPOINT_KEY: {}}, path)
    refused(path, "pickled Python objects, which are code.*not loaded.*Unsupported")
    assert not trace.exists()


def test_a_pickled_module_is_named(tmp_path):
    torch.save(torch.nn.Linear(1, 1), tmp_path / "module.pt")
    refused(tmp_path / "module.pt", "torch.nn.modules.linear.Linear")


@pytest.mark.parametrize("kind", ["pth", "safetensors"])
def test_foreign_weights_show_keys_and_the_way(kind, tmp_path):
    state = {"backbone.conv.weight": torch.zeros(1), "head.bias": torch.zeros(1)}
    path = tmp_path / f"foreign.{kind}"
    if kind == "pth":
        torch.save(state, path)
    else:
        safetensors.torch.save_file(state, path)
    refused(path, r"not a file of muscletransfer.*Keys seen \(2\): backbone.conv.*save_encoder")


def test_foreign_lightning_checkpoints_show_the_keys_of_their_state(tmp_path):
    content = {"state_dict": {"net.w": torch.zeros(1)}, "epoch": 3}
    torch.save(content, tmp_path / "other.ckpt")
    refused(tmp_path / "other.ckpt", r"Keys seen \(1\): net\.w")
    torch.save([1, 2], tmp_path / "list.ckpt")
    refused(tmp_path / "list.ckpt", "holds a list, not a checkpoint")


def rewrite(path, change):
    """Change the block in the metadata of an exported file and write it whole again."""
    with safetensors.safe_open(path, framework="pt") as file:
        block = json.loads(file.metadata()[CHECKPOINT_KEY])
        state = {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118
    text = change(block)
    metadata = {CHECKPOINT_KEY: text if isinstance(text, str) else json.dumps(block)}
    safetensors.torch.save_file(state, path, metadata=metadata)


@pytest.mark.parametrize("file", ["safetensors"], indirect=True)
@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda b: b.update(format=99), "format 99.*this version reads format 1"),
        (lambda b: b.pop("encoder_prefix") and None, "lacks 'encoder_prefix'"),
        (lambda b: b["provenance"].update(mood="good"), r"unknown fields \['mood'\]"),
        (lambda b: b.update(encoder_prefix="net."), "stands under 'net.', but no key"),
        (lambda b: b["provenance"].update(sha256="0" * 64), "the file states 0000"),
        (lambda b: b["provenance"].update(sha256=None), "the file states None"),
        (lambda b: "{not json", "damaged"),
        (lambda b: "[1]", "block is a list, no mapping"),
        (lambda b: b.update(encoder=None), "encoder specification must be a mapping, found None"),
        (lambda b: b["encoder"].update(depth=9), "depth is 9; wanted a whole number from 1 to 5"),
        (lambda b: b.update(decoder={"kwargs": {}}), "decoder specification.*missing 'name'"),
        (lambda b: b.update(provenance=3), "provenance record: it is 3, no mapping"),
    ],
)
def test_blocks_that_were_edited(file, change, message):
    rewrite(file, change)
    refused(file, message)


def test_weights_of_a_file_carry_its_spec(exported):
    loaded = resolve_weights(str(exported), create_encoder("timm/test_resnet").spec)
    assert loaded.source == "encoder.safetensors"
    assert loaded.encoder_spec["name"] == "timm/test_resnet"
    assert loaded.in_channels == 1


def test_one_flipped_bit_of_the_decoder(tmp_path):
    model = build_segmentation_model("timm/resnet10t", "unet", 1, depth=3)
    path = save_encoder(model, tmp_path / "both.safetensors", include_decoder=True)
    state = read_artifact(path).decoder_state
    kernel = next(v for v in state.values() if v.ndim == 4).contiguous().view(torch.uint8)
    content = bytearray(path.read_bytes())
    place = content.find(kernel.flatten()[:64].numpy().tobytes())
    assert place > 0
    content[place + 5] ^= 1
    path.write_bytes(bytes(content))
    with pytest.raises(WeightsError, match="decoder's tensors have SHA-256"):
        read_artifact(path)


def test_flipped_bytes_are_refused_in_words(checkpoint, tmp_path):
    content = checkpoint.read_bytes()
    with zipfile.ZipFile(checkpoint) as archive:
        pickled = next(i for i in archive.infolist() if i.filename.endswith("data.pkl"))
    start = pickled.header_offset + 30 + len(pickled.filename)
    draw, path = random.Random(0), tmp_path / "flipped.ckpt"
    refusals = 0
    for _ in range(150):
        damaged = bytearray(content)
        damaged[start + draw.randrange(pickled.file_size)] = draw.randrange(256)
        path.write_bytes(damaged)
        try:
            read_artifact(path)
        except WeightsError:
            refusals += 1
    assert refusals > 50


@pytest.mark.parametrize("content", [b"\x80\x02}e\x02K", b"\x80\x02hN}\x01J(KJ{h", b"\x80\x02G(]"])
def test_pickles_that_go_wrong_are_refused_in_words(content, tmp_path):
    path = tmp_path / "x.ckpt"
    path.write_bytes(content)
    refused(path, "cannot be read: it is damaged, cut short")


@pytest.mark.parametrize(
    ("place", "value"),
    [
        (("encoder_prefix",), None),
        (("decoder_prefix",), 5),
        (("decoder",), {"name": "fcn", "kwargs": 5}),
        (("provenance", "data"), None),
        (("provenance", "versions"), "x"),
        (("provenance", "hyperparameters"), [1]),
        (("provenance", "encoder"), {"name": "tiny", "kwargs": 5}),
        (("provenance",), {"task": "a", 5: 1, "b": 2}),
    ],
    ids=str,
)
def test_blocks_of_another_kind_are_refused_in_words(checkpoint, place, value, tmp_path):
    content = torch.load(checkpoint, weights_only=True)
    *path, last = place
    part = content[CHECKPOINT_KEY]
    for key in path:
        part = part[key]
    part[last] = value
    torch.save(content, tmp_path / "edited.ckpt")
    refused(tmp_path / "edited.ckpt", "block cannot be read")


def test_a_state_that_is_no_tensor_is_refused_in_words(checkpoint, tmp_path):
    content = torch.load(checkpoint, weights_only=True)
    content["state_dict"][5] = "somebody else's"  # not of our parts
    torch.save(content, tmp_path / "more.ckpt")
    assert inspect_file(tmp_path / "more.ckpt").task == "jigsaw"
    prefix = content[CHECKPOINT_KEY]["encoder_prefix"]
    name = next(k for k in content["state_dict"] if str(k).startswith(prefix))
    content["state_dict"][name] = 5
    torch.save(content, tmp_path / "edited.ckpt")
    refused(tmp_path / "edited.ckpt", "of its encoder is no tensor")
