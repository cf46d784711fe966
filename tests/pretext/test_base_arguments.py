"""Each task of the library takes the arguments of the base class and hands all of them on."""

import inspect

import numpy as np
import pytest
from pretext_toys import TINY

import muscletransfer.pretext
from muscletransfer.errors import SettingError, WeightsError
from muscletransfer.pretext import PretextTask, RotationPretext

TASKS = [
    value
    for name in muscletransfer.pretext.__all__
    if isinstance(value := getattr(muscletransfer.pretext, name), type)
    and issubclass(value, PretextTask)
    and value is not PretextTask
]
OWN = {
    "ClassificationPretext": {"num_classes": 2},
    "SegmentationPretext": {"num_classes": 2},
    "MultiTaskPretext": {"tasks": {"rotation": {}, "simclr": {}}},
}
# A task knows by itself what its decoder needs of an encoder.
SHARED = set(inspect.signature(PretextTask).parameters) - {"encoder_kwargs"}


def make(task, **settings):
    return task(encoder=TINY, **OWN.get(task.__name__, {}), **settings)


def test_every_task_is_here():
    assert len(TASKS) == 8


@pytest.mark.parametrize("task", TASKS)
def test_signatures_agree_with_the_base_class(task):
    wanted = inspect.signature(PretextTask).parameters
    given = inspect.signature(task).parameters
    assert set(given) >= SHARED
    for name in SHARED:
        assert given[name].default == wanted[name].default, name
        assert given[name].annotation == wanted[name].annotation, name
        assert f"\n    {name}: " in (inspect.getdoc(task) or ""), name


@pytest.mark.parametrize("task", TASKS)
def test_every_argument_arrives(task):
    plain = {"lr": 0.02, "weight_decay": 0.03, "warmup_steps": 4, "seed": 5, "channels_last": False}
    made = make(task, in_channels=2, depth=3, **plain)
    assert {name: getattr(made, name) for name in plain} == plain
    assert (made.encoder.spec.in_channels, made.encoder.spec.depth) == (2, 3)
    with pytest.raises(SettingError, match="stem is 'fitting'"):
        make(task, stem="fitting")
    with pytest.raises(WeightsError, match=r"gone\.safetensors"):
        make(task, depth=3, weights="gone.safetensors")


def test_an_array_is_kept_as_a_list():
    class Weighted(RotationPretext):
        def __init__(self, shares, **settings):
            super().__init__(encoder=TINY, **settings)

    for given in (np.array([1.0, 2.0]), [1.0, 2.0]):
        assert dict(Weighted(given).hparams) == {"shares": [1.0, 2.0]}
