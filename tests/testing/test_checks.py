"""Every pretext task of ours keeps the contract; broken toys fail, each with its own message."""

import random

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import nn

import muscletransfer as mt
from muscletransfer.encoders import register_encoder
from muscletransfer.errors import ContractError, ImageSizeError, TransferError
from muscletransfer.pretext import ClassificationHead
from muscletransfer.testing import TINY_ENCODER, check_encoder, check_pretext_task, check_weights
from muscletransfer.testing.tiny import TinyEncoder
from muscletransfer.transfer import LoadedWeights, Provenance

SETTINGS = {
    "classification": {"num_classes": 3},
    "segmentation": {"num_classes": 3},
    "multitask": {"tasks": {"rotation": {}, "reconstruction": {"patch_size": 8}}},
}
OURS = [name for name in mt.list_pretexts() if "/" not in name]


@pytest.mark.parametrize("name", OURS)
def test_every_task_of_ours(name):
    report = check_pretext_task(name, **SETTINGS.get(name, {}))
    assert "checkpoint and export come back" in report.passed


@pytest.mark.parametrize("name", ["simclr", "multitask"])
def test_tasks_on_two_processes(name):
    settings = SETTINGS.get(name, {})
    report = check_pretext_task(name, channels=[1], processes=2, **settings)
    assert "two processes" in report.passed


@pytest.mark.parametrize("name", ["timm/resnet10t", "timm/convnext_atto", "smp/resnet18"])
def test_encoders_of_ours(name):
    assert check_encoder(name, channels=[1, 4]).subject == name


def test_tiny_encoder_itself():
    assert len(check_encoder(TINY_ENCODER).passed) == 21


# Toys, each broken in one way ---------------------------------------------------------------------


class Good(mt.PretextTask):
    """Guess the mean brightness.

    Args:
        scale: Multiplies the loss.
    """

    def __init__(self, encoder="timm/resnet18", in_channels=1, scale=1.0, **kwargs):
        super().__init__(encoder, in_channels, **kwargs)
        self.scale = scale
        self.head = ClassificationHead(self.encoder.out_channels[-1], 1)

    def make_targets(self, batch):
        return batch["image"], batch["image"].mean((1, 2, 3))

    def compute_loss(self, outputs, targets):
        return F.mse_loss(outputs[:, 0], targets)


class NoHead(Good):
    """Has no head."""

    def __init__(self, encoder="timm/resnet18", in_channels=1):
        super().__init__(encoder, in_channels)
        del self.head


class InnerHead(Good):
    """Has its head inside the encoder."""

    def __init__(self, encoder="timm/resnet18", in_channels=1):
        super().__init__(encoder, in_channels)
        self.encoder.top = nn.Linear(2, 2)


class NotFinite(Good):
    """Divides by zero."""

    def compute_loss(self, outputs, targets):
        return super().compute_loss(outputs, targets) / 0


class GlobalDraws(Good):
    """Draws from the global state."""

    def make_targets(self, batch):
        return batch["image"] + torch.rand(()), batch["image"].mean((1, 2, 3))


class NumpyDraws(Good):
    """Draws from NumPy."""

    def make_targets(self, batch):
        return batch["image"] + float(np.random.rand()), batch["image"].mean((1, 2, 3))


class OwnDraws(Good):
    """Draws from a generator that is not seeded by the step."""

    def make_targets(self, batch):
        shift = random.Random().random()
        return batch["image"] + shift, batch["image"].mean((1, 2, 3))


class InPlace(Good):
    """Changes the batch."""

    def make_targets(self, batch):
        return batch["image"].mul_(0.5), batch["image"].mean((1, 2, 3))


class Unused(Good):
    """Keeps a layer that it does not use."""

    def __init__(self, encoder="timm/resnet18", in_channels=1):
        super().__init__(encoder, in_channels)
        self.left_over = nn.Linear(2, 2)


class Undocumented(Good):
    """Takes an argument without a word."""

    def __init__(self, encoder="timm/resnet18", in_channels=1, secret=3):
        super().__init__(encoder, in_channels)


class GreyOnly(Good):
    """Cannot be told the channels."""

    def __init__(self, encoder="timm/resnet18"):
        super().__init__(encoder, 1)


class SquareOnly(Good):
    """Fails on images that are not square."""

    def make_targets(self, batch):
        image = batch["image"]
        return image + image.transpose(2, 3), image.mean((1, 2, 3))


class BadMetric(Good):
    """Logs NaN."""

    def add_metrics(self, outputs, targets):
        return {"ratio": torch.tensor(float("nan"))}


class BadMetricOfTraining(Good):
    """Logs NaN, in training alone."""

    def add_metrics(self, outputs, targets):
        return {"ratio": torch.tensor(float("nan"))} if self.stage == "train" else {}


@pytest.mark.parametrize(
    ("task", "message"),
    [
        (NoHead, "has no self.head"),
        (InnerHead, "put self.encoder.top into the encoder"),
        (NotFinite, "The loss of NotFinite is inf"),
        (GlobalDraws, "make_targets drew from torch's global generator.*generator=self.generator"),
        (NumpyDraws, "make_targets drew from NumPy's global generator"),
        (OwnDraws, "two puzzles from one state of self.generator"),
        (InPlace, r"changed batch\['image'\] in place. Clone it first"),
        (Unused, r"self.left_over.weight, self.left_over.bias.*requires_grad_\(False\)"),
        (Undocumented, "secret of Undocumented.__init__ is not documented"),
        (GreyOnly, "has no argument in_channels. Add it"),
        (SquareOnly, "an image of 64 x 96 pixels fails with RuntimeError.*raise ImageSizeError"),
        (BadMetricOfTraining, "train_ratio is not finite: mend add_metrics"),
        (BadMetric, "val_ratio is not finite: mend add_metrics"),
    ],
)
def test_broken_task(task, message):
    with pytest.raises(ContractError, match=rf"(?s)of module 'test_checks'.*{message}"):
        check_pretext_task(task, channels=[1])


def test_good_task_and_an_argument_that_is_an_object():
    assert check_pretext_task(Good, channels=[1]).subject == "Good"
    with pytest.raises(ContractError, match="arguments scale are objects"):
        check_pretext_task(Good, channels=[1], scale=nn.Identity())


def test_class_that_no_other_process_finds():
    class Local(Good):
        """Made in a function."""

    with pytest.raises(ContractError, match=r"Local is made inside a function"):
        check_pretext_task(Local, channels=[1], processes=2)


def test_everything_that_fails_is_listed():
    class Both(GlobalDraws, BadMetric):
        """Two faults."""

    with pytest.raises(ContractError, match=r"(?s)global generator.*ratio is not finite"):
        check_pretext_task(Both, channels=[1])


class LeftOver(TinyEncoder):
    def __init__(self, in_channels, depth):
        super().__init__(in_channels, depth)
        self.extra = nn.Linear(2, 2)


class Restless(TinyEncoder):
    def __init__(self, in_channels, depth):
        super().__init__(in_channels, depth)

    def forward(self, x):
        features = super().forward(x)
        return [*features[:-1], features[-1] + torch.rand(())]


class Forgetful(TinyEncoder):
    def __init__(self, in_channels, depth):
        super().__init__(in_channels, depth)
        self.gain = float(torch.rand(()))

    def forward(self, x):
        features = super().forward(x)
        return [*features[:-1], features[-1] * self.gain]


class WrongSizes(TinyEncoder):
    def __init__(self, in_channels, depth):
        super().__init__(in_channels, depth)

    def forward(self, x):
        if x.shape[-1] % 32:
            raise ImageSizeError("no")
        return super().forward(x)


class Unseeded(TinyEncoder):
    def __init__(self, in_channels, depth):
        super().__init__(in_channels, depth)
        nn.init.constant_(self.stages[0][1].weight, random.SystemRandom().random())


@pytest.mark.parametrize(
    ("encoder", "message"),
    [
        (LeftOver, "no feature depends on extra.weight, extra.bias"),
        (Restless, "forward in evaluation drew from torch's global generator"),
        (Forgetful, "gives other features.*register_buffer"),
        (WrongSizes, "does not say the size"),
        (Unseeded, "two builds after torch.manual_seed"),
    ],
)
def test_broken_encoder(encoder, message):
    name = f"test-checks/{encoder.__name__}"
    register_encoder(name, override=True)(encoder)
    with pytest.raises(ContractError, match=rf"(?s)of module 'test_checks'.*{message}"):
        check_encoder(name, channels=[1])


def source(**changes):
    def fetch(spec):
        if spec.name != "timm/resnet10t":
            raise changes.get("refusal", TransferError("There are weights for timm/resnet10t."))
        encoder = mt.create_encoder(spec.name, 3)
        state = {k: v * 0.1 * changes.get("factor", 1.0) for k, v in encoder.state_dict().items()}
        if "random" not in changes:
            state = {k: torch.full_like(v, 0.1) for k, v in state.items()}
        if "missing" in changes:
            state.popitem()
        licence = changes.get("licence", "CC0-1.0")
        return LoadedWeights("toy", state, 3, Provenance("toy", licence=licence))

    def quiet(spec):
        with torch.random.fork_rng(devices=[]):
            return fetch(spec)

    return fetch if "random" in changes else quiet


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"licence": None}, "lacks its task or licence"),
        ({"random": True}, "drew from torch's global generator"),
        ({"missing": True}, "missing"),
        ({"refusal": KeyError("tiny")}, "failed with KeyError.*Raise WeightsError"),
    ],
)
def test_broken_weights(changes, message):
    mt.register_weights("test-checks/broken", override=True)(source(**changes))
    with pytest.raises(ContractError, match=rf"(?s)test-checks/broken.*{message}"):
        check_weights("test-checks/broken", encoder="timm/resnet10t")


def test_good_weights():
    mt.register_weights("test-checks/good", override=True)(source())
    report = check_weights("test-checks/good", encoder="timm/resnet10t")
    assert len(report.passed) == 5
