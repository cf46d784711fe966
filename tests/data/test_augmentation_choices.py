"""What the argument ``augmentation`` may be: a name, an object, a function, the path of one."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from low_data_modules import draw_cohorts, module

from muscletransfer.data.augmentation import Augmentation
from muscletransfer.data.augmentation.choosing import augmentation_of
from muscletransfer.errors import (
    ContractError,
    DataError,
    PluginError,
    SettingError,
    UnknownNameError,
)

PARTS = """
def mirror(image, mask, generator):
    return image.flip(-1), None if mask is None else mask.flip(-1)

class Shift:
    def __init__(self, pixels=1):
        self.pixels = pixels
    def __call__(self, image, mask, generator):
        return image.roll(self.pixels, -1), None if mask is None else mask.roll(self.pixels, -1)

number = 3
"""


@pytest.fixture(autouse=True)
def own_parts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "shearing_parts.py").write_text(PARTS)
    (tmp_path / "broken_parts.py").write_text("import nothing_of_this_name_at_all\nraise OSError")
    monkeypatch.syspath_prepend(tmp_path)
    for name in ("shearing_parts", "broken_parts"):
        monkeypatch.delitem(sys.modules, name, raising=False)


@pytest.mark.parametrize(
    ("given", "moved"),
    [
        ("shearing_parts.mirror", lambda image: image.flip(-1)),
        ("shearing_parts.Shift", lambda image: image.roll(1, -1)),
        ({"class_path": "shearing_parts.Shift", "init_args": {"pixels": 3}},
         lambda image: image.roll(3, -1)),
    ],
)  # fmt: skip
def test_paths_lead_to_functions_and_classes(given: Any, moved: Any, tmp_path: Path) -> None:
    image, mask = torch.rand(2, 1, 8, 8), torch.ones(2, 8, 8, dtype=torch.uint8)
    augment = augmentation_of(given)
    assert augment is not None
    found, _ = augment(image, mask, torch.Generator())
    torch.testing.assert_close(found, moved(image))
    root = draw_cohorts(tmp_path / "cohort")
    assert module(root, augmentation=given).augmentation.name == augment.name


@pytest.mark.parametrize(
    ("given", "error", "message"),
    [
        ("natrual", UnknownNameError, "Did you mean natural"),
        ("shearing_parts.miror", UnknownNameError, "unknown augmentation 'shearing_parts.miror'"),
        ("shearing_parts.number", UnknownNameError, "augmentation=3 is not known"),
        ("broken_parts.any", PluginError, "failed to import"),
        ({"class_path": "shearing_parts.Shift", "init_args": {"pixel": 3}}, ContractError,
         "It takes: pixels"),
        ({"class_path": "shearing_parts.mirror", "init_args": {"a": 3}}, SettingError,
         "takes no init_args"),
        ({"init_args": {}}, SettingError, "class_path with init_args"),
    ],
)  # fmt: skip
def test_what_leads_nowhere_says_so(given: Any, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        augmentation_of(given)


@pytest.mark.parametrize(
    ("image", "mask", "message"),
    [
        (torch.zeros(2, 8, 8, dtype=torch.int16), None, "on_after_batch_transfer"),
        (torch.zeros(2, 1, 8, 8, dtype=torch.int16), None, r"wanted \(B, C, H, W\) floats"),
        (torch.zeros(2, 1, 8, 8), torch.zeros(2, 1, 8, 8), "without a channel axis"),
        (torch.zeros(2, 1, 8, 8), torch.zeros(2, 8, 9), r"wanted masks of \(2, 8, 8\)"),
    ],
)
def test_shapes_that_do_not_fit_are_named(
    image: torch.Tensor, mask: torch.Tensor | None, message: str
) -> None:
    with pytest.raises(DataError, match=message):
        Augmentation()(image, mask, torch.Generator())
