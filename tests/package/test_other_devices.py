"""Every step computes where its batch is, and asks an accelerator for nothing on the way.

No accelerator is needed: torch's fake tensors know the device they would be on and refuse what
mixes two; copies between devices are counted by watching the operators. (Backward is left out, as
torch starts the device for it.)
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch._subclasses.fake_tensor import DataDependentOutputException, FakeTensorMode
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

import muscletransfer as mt
from muscletransfer.data import PreprocessingSpec
from muscletransfer.data.augmentation import Augmentation
from muscletransfer.data.augmentation import batch as batches
from muscletransfer.data.datamodules.on_device import finish_batch
from muscletransfer.losses import build_loss, list_losses
from muscletransfer.pretext import create_pretext

THERE = torch.device("cuda", 0)
SIDE = 64


class Copies(TorchDispatchMode):
    """Operators that have tensors on two devices, or read a number out of one."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []

    def __torch_dispatch__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Any = None
    ) -> Any:
        out = func(*args, **(kwargs or {}))
        devices = {t.device for t in tree_leaves((args, kwargs, out)) if isinstance(t, Tensor)}
        if len(devices) > 1:
            self.found.append(str(func))
        return out


class FakeGenerator:
    """A generator of the other device, as far as it is asked."""

    device = THERE

    def manual_seed(self, seed: int) -> FakeGenerator:
        return self


class There:
    """Tensors and modules as they would be on the other device."""

    def __init__(self) -> None:
        self.mode = FakeTensorMode()

    def tensor(self, given: Tensor) -> Tensor:
        fake = self.mode.from_tensor(given.detach())
        with self.mode:
            return fake.to(THERE)

    def module(self, given: nn.Module) -> nn.Module:
        for part in given.modules():
            for name, value in list(part._parameters.items()):
                if value is not None:
                    part._parameters[name] = nn.Parameter(self.tensor(value), value.requires_grad)
            for name, value in list(part._buffers.items()):
                if value is not None:
                    part._buffers[name] = self.tensor(value)
        return given

    def copies(self, work: Callable[[], object]) -> list[str]:
        with self.mode, Copies() as seen:
            work()
        return seen.found


@pytest.fixture
def there(monkeypatch: pytest.MonkeyPatch) -> There:
    for name in ("rand", "randn", "randint", "randperm"):
        draw = getattr(torch, name)

        def drawn(*args: Any, draw: Any = draw, generator: Any = None, **kwargs: Any) -> Tensor:
            own = {} if isinstance(generator, FakeGenerator) else {"generator": generator}
            return draw(*args, **own, **kwargs)

        monkeypatch.setattr(torch, name, drawn)

    return There()


def batch(there: There, channels: int = 1) -> dict[str, Any]:
    generator = torch.default_generator.manual_seed(0)
    image = torch.rand(4, channels, SIDE, SIDE, generator=generator)
    tensors = {
        "image": image,
        "mask": (image[:, 0] > 0.5).long(),
        "label": torch.tensor([0, 1, 0, 1]),
        "case": torch.arange(4),
    }
    return {name: there.tensor(value) for name, value in tensors.items()}


TASKS = {
    "jigsaw": {"grid": 2},
    "reconstruction": {"corruption": "mask", "patch_size": 8},
    "classification": {"num_classes": 2},
    "segmentation": {"num_classes": 2},
    "rotation": {},
    "masked": {"masking": "filled"},  # sparse, it asks at each size of map what is visible
    "simclr": {},
}


def test_every_task_is_here() -> None:
    own = {name for name in mt.list_pretexts() if "/" not in name}
    assert set(TASKS) == own - {"multitask"}


@pytest.mark.parametrize("name", TASKS)
def test_a_pretext_step_stays_on_its_device(name: str, there: There) -> None:
    task = create_pretext(name, encoder="timm/resnet10t", in_channels=1, **TASKS[name])
    there.module(task)
    task._device = THERE
    if name == "jigsaw":  # sent once, at its first step
        task._permutations = there.tensor(task._permutations)
    task._generator = FakeGenerator()  # type: ignore[assignment]
    data = batch(there)

    def step() -> None:
        inputs, targets = task.make_targets(data)
        outputs = task(inputs)
        assert task.compute_loss(outputs, targets).device == THERE
        task.add_metrics(outputs, targets)

    assert there.copies(step) == []


@pytest.mark.parametrize("decoder", ["unet", "fpn", "deeplabv3plus"])
@pytest.mark.parametrize("num_classes", [1, 3])
def test_a_fine_tuning_step_stays_on_its_device(
    num_classes: int, decoder: str, there: There, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = mt.SegmentationFineTuner("timm/resnet10t", decoder, num_classes=num_classes)
    there.module(model)
    data = batch(there)

    @contextlib.contextmanager
    def no_stream(*_: Any, **__: Any) -> Iterator[None]:
        yield  # the state of a device that is not there cannot be kept

    monkeypatch.setattr(type(model), "_step_stream", no_stream)
    monkeypatch.setattr(type(model), "log", lambda *_, **__: None)
    for name in ("global_step", "current_epoch"):
        monkeypatch.setattr(type(model), name, 0)
    assert there.copies(lambda: model.training_step(data, 0)) == []


@pytest.mark.parametrize("num_classes", [1, 3])
@pytest.mark.parametrize("loss", list_losses())
def test_a_loss_stays_on_its_device(loss: str, num_classes: int, there: There) -> None:
    function = there.module(build_loss(loss, num_classes))
    data = batch(there)
    logits = there.tensor(torch.zeros(4, num_classes, SIDE, SIDE))
    asks = loss in ("tversky", "generalized_dice")  # MONAI's own look for values that are none
    with pytest.raises(DataDependentOutputException) if asks else contextlib.nullcontext():
        assert there.copies(lambda: function(logits, data["mask"])) == []


@pytest.mark.parametrize(
    ("spec", "shape", "copies"),
    [
        # One for where all pixels are read, one for what is done to their values.
        (PreprocessingSpec(size=SIDE), (4, SIDE, SIDE), 2),
        # And one more each for the mean and the standard deviation, at the first batch.
        (PreprocessingSpec(size=SIDE, mean=0.5, std=0.2, channels=3), (4, SIDE, SIDE), 4),
    ],
)
def test_a_batch_is_finished_on_its_device(
    spec: PreprocessingSpec,
    shape: tuple[int, ...],
    copies: int,
    there: There,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    from muscletransfer.data.preprocessing import per_channel

    stored = {"image": torch.zeros(shape, dtype=torch.int16)}
    stored["mask"] = torch.zeros(4, SIDE, SIDE, dtype=torch.uint8)
    raw: dict[str, Any] = {name: there.tensor(value) for name, value in stored.items()}
    raw |= {"epoch": 0, "step": 0}
    done: dict[str, Any] = {}

    def finish() -> None:
        done.update(finish_batch(raw, spec, Augmentation(blur=1.0), seed=0))

    # The noise's generator is of the other device, and its seed is read on the CPU.
    monkeypatch.setattr(batches, "_normal", lambda like, _: torch.randn_like(like))
    per_channel._kept.cache_clear()
    try:
        assert len(there.copies(finish)) == copies
        assert len(there.copies(finish)) == 2
    finally:
        per_channel._kept.cache_clear()  # of tensors that are none
    assert done["image"].device == done["mask"].device == THERE
    assert done["image"].shape == (4, spec.channels, SIDE, SIDE)
