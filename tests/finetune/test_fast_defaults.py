"""What is fast by default gives what plain float32 gives, within stated bounds; each has a flag."""

import pytest
import torch
from finetune_toys import ToyData, tiny, trainer
from lightning.pytorch import Callback

from muscletransfer.decoders import use_fast_upsampling
from muscletransfer.finetune import SegmentationFineTuner
from muscletransfer.hardware import recommended_precision, supports_bf16_cpu
from muscletransfer.optimizer import ChannelsLastAdamW

# The bounds that docs/performance.md states; the rates of the tests are ten times the defaults.
ROUNDING_LOSS = 5e-4  # relative, of a step's loss: layout, fused step and fast upsampling
ROUNDING = 2e-3  # the same, of the largest weight: AdamW divides by what may be rounding itself
BF16_LOSS, BF16_DICE = 0.03, 0.02  # relative, of each of the first steps; absolute, of the test
EXACT = {"encoder_kwargs": {"drop": 0.0}}  # dropout's draws follow the layout


class Losses(Callback):
    """Keeps the loss of each step."""

    def __init__(self):
        self.found = []

    def on_train_batch_end(self, trainer, pl_module, outputs, batch, batch_idx):
        self.found.append(float(outputs["loss"]))


def trained(folder, epochs, *, precision="32-true", plain=False, **settings):
    """A model, its losses, its test Dice and its optimiser; plain is without what is fast."""
    model = SegmentationFineTuner(**tiny(**EXACT, **settings))
    if plain:
        use_fast_upsampling(model.model, enabled=False)
        model.use_optimizer(torch.optim.AdamW, foreach=False, fused=False)
    losses = Losses()
    run = trainer(folder, max_epochs=epochs, precision=precision, callbacks=[losses])
    run.fit(model, datamodule=ToyData())
    (optimizer,) = run.optimizers
    dice = run.test(model, datamodule=ToyData(), verbose=False)[0]["test_dice"]
    return model, losses.found, dice, optimizer


@pytest.fixture(scope="module")
def plain(tmp_path_factory):
    folder = tmp_path_factory.mktemp("plain")
    return trained(folder, 40, plain=True, channels_last=False)


def test_layout_fused_step_and_upsampling_differ_by_rounding(tmp_path):
    exact, losses, _, slow = trained(tmp_path, 3, plain=True, channels_last=False)
    fast, own, _, quick = trained(tmp_path, 3)
    assert type(quick) is ChannelsLastAdamW
    assert quick.defaults["fused"]
    assert type(slow) is torch.optim.AdamW
    assert not slow.defaults["fused"]
    kernels = [p for p in fast.parameters() if p.ndim == 4 and p.shape[1] > 1 and p.shape[-1] > 1]
    assert all(k.is_contiguous(memory_format=torch.channels_last) for k in kernels)
    assert own == pytest.approx(losses, rel=ROUNDING_LOSS)
    weights = dict(exact.named_parameters())
    largest = max(float(p.detach().abs().max()) for p in weights.values())
    for name, parameter in fast.named_parameters():
        assert float((parameter - weights[name]).detach().abs().max()) <= ROUNDING * largest, name


def test_bf16_learns_the_same(tmp_path, plain):
    _, losses, dice, _ = plain
    _, own, fast_dice, _ = trained(tmp_path, 40, precision="bf16-mixed")
    assert own != losses  # it was another precision
    assert own[:4] == pytest.approx(losses[:4], rel=BF16_LOSS)
    assert dice > 0.9
    assert fast_dice == pytest.approx(dice, abs=BF16_DICE)


def test_weights_and_their_updates_stay_float32_under_bf16(tmp_path):
    model, *_, optimizer = trained(tmp_path, 1, precision="bf16-mixed")
    kept = list(model.parameters())
    kept += [v for state in optimizer.state.values() for v in state.values()]
    assert {one.dtype for one in kept} == {torch.float32}


def test_the_machine_decides_and_a_flag_overrules_it(tmp_path):
    chosen = recommended_precision("cpu")
    assert (chosen == "bf16-mixed") == supports_bf16_cpu()
    for flag in ("32-true", "bf16-mixed"):
        assert trainer(tmp_path, precision=flag).precision == flag
