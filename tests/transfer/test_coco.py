"""COCO weights from files as torchvision keeps them, in a temporary TORCH_HOME."""

import pickle

import pytest
import torch
from torchvision.models import segmentation

from muscletransfer.encoders import EncoderSpec, create_encoder
from muscletransfer.errors import WeightsError
from muscletransfer.transfer import load_encoder, resolve_weights

from .helpers import randomise

FCN_FILE = "fcn_resnet50_coco-1167a1af.pth"


def published_model(name="fcn_resnet50"):
    model = getattr(segmentation, name)(
        weights=None, weights_backbone=None, num_classes=21, aux_loss=True
    )
    return randomise(model).eval()


@pytest.fixture(scope="module")
def fcn():
    return published_model()


@pytest.fixture
def fcn_file(fcn, torch_home):
    torch.save(fcn.state_dict(), torch_home / FCN_FILE)
    return torch_home / FCN_FILE


@pytest.mark.parametrize("name", ["timm/resnet50", "smp/resnet50"])
def test_values_arrive_in_the_same_resnet(name, fcn, fcn_file):
    encoder = create_encoder(name, in_channels=3)
    report = load_encoder(encoder, "coco")
    assert report.complete
    backbone = fcn.backbone.state_dict()
    assert encoder.state_dict().keys() == {f"model.{key}" for key in backbone}
    for key, value in backbone.items():
        assert torch.equal(encoder.state_dict()[f"model.{key}"], value), key


def test_features_at_output_stride_8_are_those_of_torchvision(fcn, fcn_file):
    encoder = create_encoder("timm/resnet50", in_channels=3, output_stride=8).eval()
    assert load_encoder(encoder, "coco").complete
    image = torch.rand(1, 3, 64, 64, generator=torch.Generator().manual_seed(0))
    expected = fcn.backbone(image)["out"]
    torch.testing.assert_close(encoder(image)[-1], expected, rtol=1e-4, atol=1e-5)


def test_shallow_grey_encoder(fcn, fcn_file):
    encoder = create_encoder("timm/resnet50", in_channels=1, depth=4).eval()
    report = load_encoder(encoder, "coco", stem="adapt")
    assert report.complete
    assert any("below the encoder's depth" in note for note in report.notes)
    grey = torch.rand(1, 1, 64, 64, generator=torch.Generator().manual_seed(0))
    stem = fcn.backbone
    expected = stem.relu(stem.bn1(stem.conv1(grey.expand(-1, 3, -1, -1))))
    assert (encoder(grey)[1] - expected).abs().max() <= 1e-5 * expected.abs().max()


def test_record_is_data(fcn_file):
    record = load_encoder(create_encoder("timm/resnet50", 3), "coco").provenance
    assert record.task == "coco"
    assert record.source == "https://download.pytorch.org/models/fcn_resnet50_coco-1167a1af.pth"
    assert record.preprocessing["std"] == [0.229, 0.224, 0.225]
    assert "BSD-3-Clause" in record.licence
    assert record.hyperparameters["num_classes"] == 21
    assert "arXiv 1411.4038" in record.hyperparameters["paper"]


def test_loading_leaves_the_global_random_state_alone(fcn_file):
    encoder = create_encoder("timm/resnet50", 3)
    torch.manual_seed(5)
    expected = torch.rand(3)
    torch.manual_seed(5)
    load_encoder(encoder, "coco")
    assert torch.equal(torch.rand(3), expected)


def test_deeplabv3_is_another_source(torch_home):
    model = published_model("deeplabv3_resnet50")
    torch.save(model.state_dict(), torch_home / "deeplabv3_resnet50_coco-cd0a2569.pth")
    encoder = create_encoder("smp/resnet50", in_channels=3)
    report = load_encoder(encoder, "coco-deeplabv3")
    assert torch.equal(encoder.model.conv1.weight, model.backbone.conv1.weight)
    assert report.provenance.task == "coco-deeplabv3"
    with pytest.raises(WeightsError, match="fcn_resnet50_coco"):
        load_encoder(encoder, "coco")


def constants_of(name):
    """A state in the format of the published file, a number for each tensor (so a small file)."""
    with torch.device("meta"):
        model = getattr(segmentation, name)(
            weights=None, weights_backbone=None, num_classes=21, aux_loss=True
        )
    return {
        key: torch.tensor(float(place)).to(value.dtype).expand(value.shape)
        for place, (key, value) in enumerate(model.state_dict().items())
    }


@pytest.mark.parametrize("namespace", ["timm", "smp"])
@pytest.mark.parametrize(
    ("source", "model", "file"),
    [
        ("coco", "fcn_resnet101", "fcn_resnet101_coco-7ecb50ca.pth"),
        ("coco-deeplabv3", "deeplabv3_resnet101", "deeplabv3_resnet101_coco-586e9e4e.pth"),
        ("coco-deeplabv3", "deeplabv3_resnet50", "deeplabv3_resnet50_coco-cd0a2569.pth"),
    ],
)
def test_each_published_file_fills_its_resnet(source, model, file, namespace, torch_home):
    state = constants_of(model)
    torch.save(state, torch_home / file)
    loaded = resolve_weights(source, EncoderSpec(f"{namespace}/{model.rpartition('_')[2]}"))
    backbone = {k: v for k, v in state.items() if k.startswith("backbone.")}
    assert len(loaded.encoder_state) == len(backbone)
    for key, value in backbone.items():
        assert torch.equal(loaded.encoder_state[f"model.{key.removeprefix('backbone.')}"], value), (
            key
        )


@pytest.mark.parametrize(
    ("source", "file"),
    [
        ("coco", "fcn_resnet101_coco-7ecb50ca.pth"),
        ("coco-deeplabv3", "deeplabv3_resnet101_coco-586e9e4e.pth"),
    ],
)
def test_no_network_and_no_file_says_what_was_tried(source, file, torch_home):
    with pytest.raises(WeightsError) as caught:
        resolve_weights(source, EncoderSpec("timm/resnet101"))
    message = str(caught.value)
    assert f"https://download.pytorch.org/models/{file}" in message
    assert str(torch_home / file) in message
    assert "save_encoder" in message
    assert not list(torch_home.iterdir())


@pytest.mark.parametrize("name", ["timm/resnet18", "smp/resnet34", "timm/resnet50d", "mine/tiny"])
def test_only_the_encoders_for_which_it_exists(name):
    with pytest.raises(WeightsError) as caught:
        resolve_weights("coco", EncoderSpec(name))
    for served in ("timm/resnet50", "timm/resnet101", "smp/resnet50", "smp/resnet101"):
        assert served in str(caught.value)


class Runs:
    def __reduce__(self):
        return (print, ("this ran",))


def test_a_cached_pickle_with_code_does_not_run(torch_home, capsys):
    (torch_home / FCN_FILE).write_bytes(pickle.dumps(Runs()))
    with pytest.raises(WeightsError, match="Weights only load failed"):
        resolve_weights("coco", EncoderSpec("timm/resnet50"))
    assert "this ran" not in capsys.readouterr().out


def test_a_file_that_was_cut_short_is_named(fcn_file):
    content = fcn_file.read_bytes()
    fcn_file.write_bytes(content[: len(content) // 2])
    with pytest.raises(WeightsError, match=FCN_FILE):
        resolve_weights("coco", EncoderSpec("timm/resnet50"))


def test_a_file_of_another_model_is_refused(fcn, fcn_file):
    state = {k: v for k, v in fcn.state_dict().items() if not k.startswith("backbone.layer4.2")}
    torch.save(state, fcn_file)
    with pytest.raises(WeightsError, match=r"Missing key|Error\(s\) in loading"):
        resolve_weights("coco", EncoderSpec("timm/resnet50"))
