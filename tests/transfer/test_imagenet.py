"""ImageNet weights through timm's and smp's own loaders, from files in their cache formats."""

import io

import pytest
import segmentation_models_pytorch as smp
import timm
import torch

from muscletransfer.encoders import EncoderSpec, create_encoder
from muscletransfer.errors import ChannelMismatchError, TransferError, WeightsError
from muscletransfer.transfer import load_encoder, resolve_weights

from .helpers import randomise

SMP_REVISION = smp.encoders.encoders["resnet18"]["pretrained_settings"]["imagenet"]["revision"]
SMP_CONFIG = {
    "mean": [0.485, 0.456, 0.406],
    "std": [0.229, 0.224, 0.225],
    "input_space": "RGB",
    "input_range": [0, 1],
}


def test_timm_values_arrive(hub_cache):
    published = randomise(timm.create_model("resnet18"))
    hub_cache.add_model("timm/resnet18.a1_in1k", published.state_dict())
    encoder = create_encoder("timm/resnet18", in_channels=3)
    report = load_encoder(encoder, "imagenet")
    expected = {f"model.{k}": v for k, v in published.state_dict().items() if "fc." not in k}
    assert encoder.state_dict().keys() == expected.keys()
    for key, value in encoder.state_dict().items():
        assert torch.equal(value, expected[key]), key
    assert report.complete
    assert set(report.loaded) == set(expected)


def test_timm_features_are_those_of_the_published_model(hub_cache):
    published = randomise(timm.create_model("resnet18")).eval()
    hub_cache.add_model("timm/resnet18.a1_in1k", published.state_dict())
    encoder = create_encoder("timm/resnet18", in_channels=3).eval()
    load_encoder(encoder, "imagenet")
    image = torch.rand(1, 3, 64, 64, generator=torch.Generator().manual_seed(1))
    torch.testing.assert_close(encoder(image)[-1], published.forward_features(image))


def test_timm_record_is_data(hub_cache):
    hub_cache.add_model("timm/resnet18.a1_in1k", timm.create_model("resnet18").state_dict())
    record = load_encoder(create_encoder("timm/resnet18", 3), "imagenet").provenance
    assert (record.task, record.licence) == ("imagenet", "apache-2.0")
    assert record.data == {"dataset": "ImageNet-1k"}
    assert record.preprocessing["mean"] == [0.485, 0.456, 0.406]
    assert record.hyperparameters["tag"] == "a1_in1k"
    assert record.hyperparameters["paper"] == "arXiv:2110.00476"
    assert "timm/resnet18.a1_in1k" in record.source


def test_timm_tag_in_the_name_chooses_the_file(hub_cache):
    tagged = randomise(timm.create_model("resnet18"), seed=3)
    hub_cache.add_model("timm/resnet18.tv_in1k", tagged.state_dict())
    encoder = create_encoder("timm/resnet18.tv_in1k", in_channels=3)
    report = load_encoder(encoder, "imagenet")
    assert report.provenance.hyperparameters["tag"] == "tv_in1k"
    assert torch.equal(encoder.model.conv1.weight, tagged.conv1.weight)


def test_shallow_and_dilated_encoders_take_the_same_file(hub_cache):
    published = randomise(timm.create_model("resnet18"))
    hub_cache.add_model("timm/resnet18.a1_in1k", published.state_dict())
    for options in ({"depth": 3}, {"output_stride": 8}):
        encoder = create_encoder("timm/resnet18", in_channels=3, **options)
        assert load_encoder(encoder, "imagenet").complete
        assert torch.equal(encoder.model.layer2[0].conv1.weight, published.layer2[0].conv1.weight)


def test_another_layout_of_names_arrives_too(hub_cache):
    # features_only renames stages.0 to stages_0; a plain state would not fit
    published = randomise(timm.create_model("test_convnext"))
    hub_cache.add_model("timm/test_convnext.r160_in1k", published.state_dict())
    encoder = create_encoder("timm/test_convnext", in_channels=3)
    assert load_encoder(encoder, "imagenet").complete
    values = {tuple(v.flatten()[:3].tolist()) for v in published.state_dict().values()}
    assert all(tuple(v.flatten()[:3].tolist()) in values for v in encoder.state_dict().values())


def test_old_pickle_format_of_the_hub(hub_cache):
    published = randomise(timm.create_model("test_resnet"))
    buffer = io.BytesIO()
    torch.save(published.state_dict(), buffer)
    hub_cache.add("timm/test_resnet.r160_in1k", {"pytorch_model.bin": buffer.getvalue()})
    # the hub's record that model.safetensors does not exist there
    missing = hub_cache.root / "models--timm--test_resnet.r160_in1k/.no_exist" / ("a" * 40)
    missing.mkdir(parents=True)
    (missing / "model.safetensors").touch()
    encoder = create_encoder("timm/test_resnet", in_channels=3)
    assert load_encoder(encoder, "imagenet").complete


def test_file_that_lacks_tensors_is_no_silent_random_start(hub_cache):
    state = timm.create_model("test_resnet").state_dict()
    lost = [key for key in state if key.startswith("layer4.0.conv1")]
    assert lost
    hub_cache.add_model(
        "timm/test_resnet.r160_in1k", {k: v for k, v in state.items() if k not in lost}
    )
    encoder = create_encoder("timm/test_resnet", in_channels=3)
    before = {key: value.clone() for key, value in encoder.state_dict().items()}
    with pytest.raises((TransferError, WeightsError), match=r"layer4\.0\.conv1"):
        load_encoder(encoder, "imagenet")
    assert all(torch.equal(v, before[k]) for k, v in encoder.state_dict().items())


def test_smp_values_arrive(hub_cache):
    published = randomise(smp.encoders.get_encoder("resnet18", weights=None))
    hub_cache.add_model(
        "smp-hub/resnet18.imagenet", published.state_dict(), SMP_REVISION, SMP_CONFIG
    )
    encoder = create_encoder("smp/resnet18", in_channels=3)
    report = load_encoder(encoder, "imagenet")
    assert report.complete
    for key, value in published.state_dict().items():
        assert torch.equal(encoder.state_dict()[f"model.{key}"], value), key
    assert report.provenance.preprocessing == {k: SMP_CONFIG[k] for k in ("mean", "std")}
    assert report.provenance.hyperparameters["revision"] == SMP_REVISION


def test_smp_normalisation_of_another_range_is_brought_to_0_1(hub_cache):
    published = smp.encoders.get_encoder("resnet18", weights=None)
    config = SMP_CONFIG | {"input_range": [0, 255], "mean": [127.5] * 3, "std": [51.0] * 3}
    hub_cache.add_model("smp-hub/resnet18.imagenet", published.state_dict(), SMP_REVISION, config)
    record = load_encoder(create_encoder("smp/resnet18", 3), "imagenet").provenance
    assert record.preprocessing == {"mean": [0.5] * 3, "std": [0.2] * 3}


def test_three_channels_into_one_needs_a_word(hub_cache):
    published = randomise(timm.create_model("resnet18")).eval()
    hub_cache.add_model("timm/resnet18.a1_in1k", published.state_dict())
    encoder = create_encoder("timm/resnet18", in_channels=1).eval()
    with pytest.raises(ChannelMismatchError, match="3-channel images, the encoder takes 1"):
        load_encoder(encoder, "imagenet")
    report = load_encoder(encoder, "imagenet", stem="adapt")
    assert report.stem == "adapted 3->1 (model.conv1.weight)"
    assert any("mean 0.449, std 0.226" in note for note in report.notes)
    grey = torch.rand(1, 1, 64, 64, generator=torch.Generator().manual_seed(1))
    expected = published.forward_features(grey.expand(-1, 3, -1, -1))
    found = encoder(grey)[-1]
    assert (found - expected).abs().max() <= 1e-5 * expected.abs().max()


def test_no_network_and_no_file_says_what_was_tried(hub_cache):
    with pytest.raises(WeightsError) as caught:
        load_encoder(create_encoder("timm/resnet18", 3), "imagenet")
    message = str(caught.value)
    assert "timm/resnet18.a1_in1k" in message
    assert str(hub_cache.root) in message
    assert "save_encoder" in message
    with pytest.raises(WeightsError, match=r"smp-hub/resnet18\.imagenet"):
        load_encoder(create_encoder("smp/resnet18", 3), "imagenet")


def test_damaged_cache_is_named(hub_cache):
    hub_cache.add("timm/test_resnet.r160_in1k", {"model.safetensors": b"\x10\0\0\0\0\0\0\0{"})
    with pytest.raises(WeightsError, match="damaged must be deleted"):
        load_encoder(create_encoder("timm/test_resnet", 3), "imagenet")


def test_models_without_weights_say_so(hub_cache):
    untrained = sorted(set(timm.list_models("resnet*")) - set(timm.list_pretrained("resnet*")))
    name = next(n for n in untrained if not timm.is_model_pretrained(n))
    with pytest.raises(WeightsError, match="publishes no pretrained weights"):
        load_encoder(create_encoder(f"timm/{name}", 3), "imagenet")
    with pytest.raises(WeightsError, match="only 'instagram'"):
        resolve_weights("imagenet", EncoderSpec("smp/resnext101_32x48d"))
    with pytest.raises(WeightsError, match="Register a source"):
        resolve_weights("imagenet", EncoderSpec("mine/tiny"))


def test_loading_leaves_the_global_random_state_alone(hub_cache, monkeypatch):
    hub_cache.add_model("timm/test_resnet.r160_in1k", timm.create_model("test_resnet").state_dict())
    encoder = create_encoder("timm/test_resnet", 3)
    torch.manual_seed(5)
    expected = torch.rand(3)
    torch.manual_seed(5)
    seeds = []  # of the accelerators, if there were any
    monkeypatch.setattr(torch.cuda, "manual_seed_all", seeds.append)
    load_encoder(encoder, "imagenet")
    assert seeds == []
    assert torch.equal(torch.rand(3), expected)


def test_loading_is_the_same_whatever_device_models_are_built_on(hub_cache):
    state = timm.create_model("test_resnet").state_dict()
    hub_cache.add_model("timm/test_resnet.r160_in1k", state)
    spec = create_encoder("timm/test_resnet", 3).spec
    with torch.device("meta"):  # stands for an accelerator, whose draws have a seed of their own
        loaded = resolve_weights("imagenet", spec).encoder_state
    assert {tensor.device.type for tensor in loaded.values()} == {"cpu"}
