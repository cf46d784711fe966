"""A load is strict, changes nothing when it fails, and says what it did."""

import functools

import pytest
import torch
from torch import nn

from muscletransfer import (
    Provenance,
    TransferReport,
    create_encoder,
    list_weights,
    load_encoder,
    register_weights,
    save_encoder,
)
from muscletransfer.decoders import build_segmentation_model, create_decoder
from muscletransfer.errors import (
    ChannelMismatchError,
    ContractError,
    DuplicateNameError,
    SettingError,
    TransferError,
    UnknownNameError,
    WeightsError,
)
from muscletransfer.finetune.assembly import move_weights
from muscletransfer.transfer import LoadedWeights, load_decoder

from .helpers import randomise

NAME = "timm/test_resnet"
FIRST = "model.conv1.0.weight"


@pytest.fixture
def encoder():
    return create_encoder(NAME)


@pytest.fixture(scope="module")
def source():
    return randomise(create_encoder(NAME)).state_dict()


def weights(state, channels=1, **fields):
    return LoadedWeights("mine", state, channels, Provenance(task="mine"), **fields)


def unchanged_after(encoder, call, error):
    before = {key: value.clone() for key, value in encoder.state_dict().items()}
    with pytest.raises(error) as caught:
        call()
    assert all(torch.equal(value, before[key]) for key, value in encoder.state_dict().items())
    return str(caught.value)


def test_nothing_asked_for_nothing_loaded(encoder):
    before = {key: value.clone() for key, value in encoder.state_dict().items()}
    report = load_encoder(encoder, None)
    assert report == TransferReport(source="random")
    assert report.summary() == "random: 0 tensors loaded, stem unchanged"
    assert all(torch.equal(value, before[key]) for key, value in encoder.state_dict().items())


def test_report_of_a_whole_load(encoder, source):
    report = load_encoder(encoder, weights(source, notes=("seen twice",)))
    assert report.complete
    assert report.source == "mine"
    assert report.loaded == tuple(source)
    assert (report.missing, report.unexpected, dict(report.mismatched)) == ((), (), {})
    assert report.provenance.task == "mine"
    lines = report.summary().splitlines()
    assert lines == [f"mine: {len(source)} tensors loaded, stem unchanged", "  note: seen twice"]


def partial_state(source):
    """Lacks one key, has one too many, and one of another shape."""
    state = dict(source)
    lost = state.popitem()[0]
    state["extra.weight"] = torch.zeros(3)
    state[FIRST] = torch.zeros(2, 1, 3, 3)
    return state, lost


def test_strict_by_default_and_the_error_lists_the_keys(encoder, source):
    state, lost = partial_state(source)
    message = unchanged_after(encoder, lambda: load_encoder(encoder, weights(state)), TransferError)
    assert "nothing was loaded" in message
    assert f"missing in the weights (1): {lost}" in message
    assert "unexpected in the weights (1): extra.weight" in message
    shape = tuple(encoder.state_dict()[FIRST].shape)
    assert f"of another shape (1): {FIRST} ((2, 1, 3, 3) in the weights, {shape} in" in message
    assert "strict=False" in message


def test_partial_only_when_asked_and_all_is_in_the_report(encoder, source):
    state, lost = partial_state(source)
    before = {key: encoder.state_dict()[key].clone() for key in (lost, FIRST)}
    report = load_encoder(encoder, weights(state), strict=False)
    after = encoder.state_dict()
    assert not report.complete
    assert (report.missing, report.unexpected) == ((lost,), ("extra.weight",))
    assert dict(report.mismatched) == {FIRST: ((2, 1, 3, 3), tuple(after[FIRST].shape))}
    assert all(torch.equal(after[key], value) for key, value in before.items())
    assert all(torch.equal(after[key], source[key]) for key in report.loaded)
    assert set(report.loaded) == set(source) - {lost, FIRST}
    summary = report.summary()
    assert all(word in summary for word in (lost, "extra.weight", FIRST, "(2, 1, 3, 3)"))


def test_long_lists_are_cut_in_the_text_and_whole_in_the_report(encoder, source):
    state = dict(list(source.items())[:3])
    report = load_encoder(encoder, weights(state), strict=False)
    assert len(report.missing) == len(source) - 3
    assert f"and {len(source) - 3 - 8} more" in report.summary()


def test_nothing_that_fits_is_an_error_even_when_partial(encoder):
    call = functools.partial(
        load_encoder, encoder, weights({"other.weight": torch.zeros(1)}), strict=False
    )
    assert "No key fits this encoder" in unchanged_after(encoder, call, TransferError)


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_weights_of_a_diverged_run(encoder, source, value):
    state = {key: tensor.clone() for key, tensor in source.items()}
    state[FIRST].view(-1)[0] = value
    message = unchanged_after(encoder, lambda: load_encoder(encoder, weights(state)), TransferError)
    assert f"not finite (NaN or infinity) in 1 tensors, first {FIRST}" in message


def test_weights_of_another_encoder(encoder, tmp_path):
    path = save_encoder(create_encoder("timm/test_convnext"), tmp_path / "e.safetensors")
    message = unchanged_after(encoder, lambda: load_encoder(encoder, path), TransferError)
    assert (
        "weights of the encoder 'timm/test_convnext', the model has 'timm/test_resnet'" in message
    )


def test_a_pretrained_tag_is_the_same_encoder(tmp_path):
    path = save_encoder(create_encoder("timm/resnet18.a1_in1k"), tmp_path / "e.safetensors")
    assert load_encoder(create_encoder("timm/resnet18"), path).complete


def test_options_that_keep_the_parameters_are_noted(tmp_path):
    path = save_encoder(create_encoder("timm/resnet18"), tmp_path / "e.safetensors")
    report = load_encoder(create_encoder("timm/resnet18", output_stride=8), path)
    assert report.complete
    assert report.notes == ("encoder option output_stride: default in the weights, 8 here",)


def test_another_depth_is_named_beside_the_keys(tmp_path):
    path = save_encoder(create_encoder(NAME), tmp_path / "e.safetensors")
    shallow = create_encoder(NAME, depth=4)
    message = unchanged_after(shallow, lambda: load_encoder(shallow, path), TransferError)
    assert "encoder depth: 5 in the weights, 4 here" in message
    assert "unexpected in the weights" in message
    assert load_encoder(shallow, path, strict=False).missing == ()


def test_stem_policies_by_name(encoder, source):
    with pytest.raises(ContractError, match="'strict' or 'adapt', found 'sum'"):
        load_encoder(encoder, weights(source), stem="sum")
    colour = randomise(create_encoder(NAME, 3)).state_dict()
    message = unchanged_after(
        encoder, lambda: load_encoder(encoder, weights(colour, 3)), ChannelMismatchError
    )
    assert "3-channel images, the encoder takes 1. Pass stem='adapt'" in message
    assert "in_channels=3" in message


def test_adapted_stem_says_which_normalisation_is_nearest(encoder):
    colour = randomise(create_encoder(NAME, 3)).state_dict()
    record = Provenance(
        task="mine", preprocessing={"mean": [0.4, 0.5, 0.6], "std": [0.1, 0.2, 0.3]}
    )
    report = load_encoder(encoder, LoadedWeights("mine", colour, 3, record), stem="adapt")
    assert report.stem == f"adapted 3->1 ({FIRST})"
    assert any("mean 0.5, std 0.2 is nearest" in note for note in report.notes)


def test_decoders_that_are_not_there_or_another(tmp_path):
    model = build_segmentation_model(NAME, "unet")
    alone = save_encoder(model, tmp_path / "alone.safetensors")
    both = save_encoder(model, tmp_path / "both.safetensors", include_decoder=True)
    fpn = create_decoder("fpn", model.encoder)
    with pytest.raises(TransferError, match=r"holds no decoder.*include_decoder=True"):
        load_decoder(model.decoder, alone)
    with pytest.raises(TransferError, match="holds the decoder 'unet', the model has 'fpn'"):
        load_decoder(fpn, both)
    thin = create_decoder("unet", model.encoder, decoder_channels=(64, 32, 16, 8, 4))
    with pytest.raises(TransferError, match=r"of another shape[\s\S]*decoder option decoder_chan"):
        load_decoder(thin, both)
    assert load_decoder(thin, None) == TransferReport(source="random")


def test_registered_sources():
    @register_weights("tests/ones", override=True)
    def ones(spec):
        state = create_encoder(spec.name, 3, spec.depth).state_dict()
        state = {key: torch.ones_like(value) for key, value in state.items()}
        return LoadedWeights("ones", state, 3, Provenance(task="ones"))

    assert "tests/ones" in list_weights("tests/*")
    encoder = create_encoder(NAME)
    report = load_encoder(encoder, "tests/ones", stem="adapt")
    assert report.source == "ones"
    assert encoder.state_dict()[FIRST].unique().tolist() == [3.0]  # summed over the channels
    register_weights("tests/none", override=True)(lambda spec: {"w": 1})
    with pytest.raises(ContractError, match="returned a dict; it must return LoadedWeights"):
        load_encoder(encoder, "tests/none")
    with pytest.raises(UnknownNameError, match="'tests/ones'"):
        load_encoder(encoder, "tests-ones")
    with pytest.raises(DuplicateNameError, match="'coco' is taken twice"):
        register_weights("coco")(lambda spec: None)


def test_modules_without_spec_or_channels(tmp_path):
    class Mine(nn.Module):
        out_channels, output_stride = (1, 4), 2

        def __init__(self):
            super().__init__()
            self.conv = nn.Conv2d(1, 4, 3, stride=2, padding=1)

    first, second = randomise(Mine()), Mine()
    path = save_encoder(first, tmp_path / "e.safetensors")
    assert load_encoder(second, path).complete
    assert torch.equal(first.conv.weight, second.conv.weight)
    with pytest.raises(ContractError, match="neither `spec`"):
        load_encoder(nn.ReLU(), path)


def test_a_source_is_asked_once_and_for_the_encoder_of_the_model(source):
    asked = []

    @register_weights("for-one-encoder", override=True)
    def serve(spec):
        asked.append(spec.name)
        if spec.name != NAME:
            raise WeightsError(f"nothing for {spec.name}")
        return weights(source)

    model = build_segmentation_model(NAME, "fcn")
    with pytest.raises(TransferError, match=r"holds no decoder\. Use transfer='encoder'"):
        move_weights(model, "for-one-encoder", "encoder+decoder", "strict")
    assert asked == [NAME]
    with pytest.raises(TransferError, match=r"\(nothing for any\).*resolve_weights\('for-one-enc"):
        load_decoder(model.decoder, "for-one-encoder")


@pytest.mark.parametrize("given", [{"class_path": "x"}, 5])
def test_weights_that_are_no_text_say_what_is_wanted(encoder, given):
    with pytest.raises(SettingError, match=r"weights is .*wanted None, a source \(.*imagenet"):
        load_encoder(encoder, given)


def test_equal_decoders_are_not_told_apart_by_lists_and_tuples(tmp_path):
    model = build_segmentation_model(
        "timm/test_resnet", decoder_kwargs={"decoder_channels": [32, 16, 16, 8, 8]}
    )
    path = save_encoder(model, tmp_path / "m.safetensors", include_decoder=True)
    assert load_decoder(model.decoder, str(path)).notes == ()
