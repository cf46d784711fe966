"""What an author of another package can get wrong names the package, the member and the way out."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from pretext_toys import TinyEncoder, loader, trainer
from smallest_task import Mean
from torch import nn

from muscletransfer.encoders import register_encoder
from muscletransfer.errors import ContractError, SettingError

HERE = "module 'test_broken_tasks' (not an installed distribution)"


def failure(task, error=ContractError, steps=2):
    with pytest.raises(error) as caught:
        trainer(steps).fit(task, loader(image=torch.rand(8, 1, 32, 32)))
    assert HERE in str(caught.value)
    return str(caught.value)


class NoHead(Mean):
    def __init__(self):
        super().__init__()
        del self.head


class InnerHead(Mean):
    def __init__(self):
        super().__init__()
        self.encoder.classifier = nn.Sequential(nn.Linear(32, 1))


class DottedHead(Mean):
    def __init__(self):
        super().__init__()
        setattr(self, "encoder.top", nn.Linear(32, 1))


class NotFinite(Mean):
    def compute_loss(self, outputs, targets):
        return super().compute_loss(outputs, targets) * torch.tensor(0.0).log()


class Unused(Mean):
    def __init__(self):
        super().__init__()
        self.forgotten = nn.Linear(2, 2)


def test_no_head():
    assert "NoHead has no self.head" in failure(NoHead())


@pytest.mark.parametrize(("task", "member"), [(InnerHead, "classifier"), (DottedHead, "top")])
def test_head_inside_the_encoder(task, member):
    message = failure(task())
    assert f"{task.__name__} put self.encoder.{member} into the encoder" in message
    assert f"self.{member} = ..." in message
    assert f"{member}.0" not in message


def test_loss_that_is_not_finite_from_the_start():
    message = failure(NotFinite(), SettingError)
    assert "The loss of NotFinite" in message
    assert "compute_loss itself: a division by 0" in message


def test_unused_parameters_are_allowed_on_one_process():
    trainer(2).fit(Unused(), loader(image=torch.rand(8, 1, 32, 32)))


def on_two_processes():
    """Run by the test below: train a task with an unused parameter under DDP, print its error."""
    settings = {"devices": 2, "strategy": "ddp"}
    try:
        trainer(2, **settings).fit(Unused(), loader(1, image=torch.rand(8, 1, 32, 32)))
    except ContractError as error:
        print("FOUND", error, flush=True)
        os._exit(0)  # the other process is told nothing by torch, and need not be
    os._exit(1)


def test_unused_parameters_on_two_processes():
    done = subprocess.run(
        [sys.executable, "-W", "ignore", __file__],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
        cwd=Path(__file__).parent,
        capture_output=True,
        text=True,
        timeout=120,
    )
    message = next(line for line in done.stdout.splitlines() if "FOUND" in line)
    assert "Unused" in message
    assert "self.forgotten.weight, self.forgotten.bias" in message
    assert "requires_grad_(False)" in message
    assert "ddp_find_unused_parameters_true" in message


class Liar(TinyEncoder):
    def __init__(self, in_channels=1, depth=3):
        super().__init__(in_channels, depth)
        self.out_channels = [in_channels, 8, 16, 33]


register_encoder("tests/liar", override=True)(Liar)


def test_encoder_with_wrong_out_channels():
    with pytest.raises(ContractError) as caught:
        Mean("tests/liar")
    message = str(caught.value)
    assert "'tests/liar'" in message
    assert HERE in message
    assert "Set out_channels to [1, 8, 16, 32]" in message


if __name__ == "__main__":
    on_two_processes()
