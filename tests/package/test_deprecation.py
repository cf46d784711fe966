"""Deprecated things warn once a call site, keep working, and go in the version they name."""

import inspect
import json
import subprocess
import sys
import types
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple, Self

import lightning as L
import pytest
import torch

import muscletransfer
from muscletransfer.deprecation import (
    DeprecatedUseWarning,
    Deprecation,
    deprecated,
    deprecated_argument,
    deprecated_names,
    overdue,
    record,
    registered_deprecations,
)
from muscletransfer.errors import SettingError
from muscletransfer.testing import TINY_ENCODER

VERSIONS = {"since": "0.2", "removal": "0.4"}


@pytest.fixture(autouse=True)
def own_registry(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(record, "_REGISTERED", [])


def warned(call: Callable[[], Any]) -> tuple[Any, list[warnings.WarningMessage]]:
    """Call twice from one line, as Python's default filter sees it."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("default")
        for _ in range(2):
            result = call()
    return result, caught


def test_a_function_warns_where_it_is_called_once_a_line() -> None:
    @deprecated(**VERSIONS, instead="double")
    def twice(number: int) -> int:
        """Double a number."""
        return 2 * number

    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("default")
        for _ in range(3):
            assert twice(4) == 8
        first_line = inspect.currentframe().f_lineno - 1
        assert twice(number=1) == 2
    assert [w.lineno for w in caught] == [first_line, first_line + 2]
    assert {w.filename for w in caught} == {__file__}
    assert {w.category for w in caught} == {DeprecatedUseWarning}
    assert str(caught[0].message).endswith(
        "twice is deprecated since 0.2 and will be removed in 0.4. Use double instead."
    )
    assert list(inspect.signature(twice).parameters) == ["number"]
    assert twice.__doc__ == (
        "Double a number.\n\n.. deprecated:: 0.2\n   Will be removed in 0.4. Use double instead."
    )


def test_a_class_stays_a_class_and_warns_when_it_is_made() -> None:
    class Base:
        def __init__(self, size: int = 1) -> None:
            self.size = size

    @deprecated(**VERSIONS)
    class Old(Base):
        pass

    class Derived(Old):
        def __init__(self) -> None:
            super().__init__(size=7)

    made, caught = warned(lambda: Old(3))
    assert isinstance(made, Old)
    assert made.size == 3
    assert isinstance(made, Base)
    assert len(caught) == 1
    assert caught[0].filename == __file__
    derived, caught = warned(Derived)
    assert derived.size == 7
    assert len(caught) == 1
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert Base().size == 1  # the parent is not deprecated


def test_a_mixin_lets_the_class_behind_it_be_made() -> None:
    @deprecated(**VERSIONS)
    class Mixin:
        pass

    class Base:
        def __init__(self, size: int) -> None:
            self.size = size

    class Both(Mixin, Base):
        pass

    made, caught = warned(lambda: Both(3))
    assert made.size == 3
    assert len(caught) == 1


def test_a_class_that_is_made_in_new() -> None:
    @deprecated(**VERSIONS)
    class Point(NamedTuple):
        x: int

    @deprecated(**VERSIONS)
    class Other:
        def __new__(cls, size: int) -> Self:
            made = super().__new__(cls)
            made.size = size
            return made

    @deprecated(**VERSIONS)
    class Plain:
        pass

    for make, field in ((Point, "x"), (Other, "size")):
        made, caught = warned(lambda make=make: make(3))
        assert getattr(made, field) == 3
        assert len(caught) == 1
    with pytest.raises(TypeError), pytest.warns(DeprecatedUseWarning):
        Plain(3)


def test_methods_and_static_methods() -> None:
    class Tool:
        @deprecated(**VERSIONS)
        def old(self) -> str:
            return "method"

        @staticmethod
        @deprecated(**VERSIONS)
        def older() -> str:
            return "static"

    (first, caught), (second, more) = warned(Tool().old), warned(Tool.older)
    assert (first, second, len(caught), len(more)) == ("method", "static", 1, 1)
    assert "Tool.old is" in str(caught[0].message)


def test_a_renamed_argument_arrives_under_its_new_name() -> None:
    @deprecated_argument("rate", new="lr", convert=lambda value: value / 100, **VERSIONS)
    def fit(steps: int, lr: float = 0.5) -> tuple[int, float]:
        return steps, lr

    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert fit(3) == (3, 0.5)
        assert fit(3, 0.1) == fit(3, lr=0.1) == (3, 0.1)
    result, caught = warned(lambda: fit(3, rate=20))
    assert result == (3, 0.2)
    assert len(caught) == 1
    assert caught[0].filename == __file__
    assert "fit(rate) is deprecated since 0.2" in str(caught[0].message)
    assert "Use lr instead" in str(caught[0].message)
    for arguments, keywords in (((3,), {"lr": 1.0}), ((3, 1.0), {})):
        with pytest.warns(DeprecatedUseWarning), pytest.raises(SettingError, match="old and its"):
            fit(*arguments, **keywords, rate=20)
    with pytest.raises(TypeError, match="rats"):
        fit(3, rats=20)


def test_an_argument_without_a_successor_is_ignored() -> None:
    @deprecated_argument("threads", **VERSIONS)
    def load(path: str) -> str:
        return path

    result, caught = warned(lambda: load("a", threads=4))
    assert (result, len(caught)) == ("a", 1)
    assert "Use" not in str(caught[0].message)


class Flip(muscletransfer.PretextTask):
    """A task of which two arguments were renamed, one of them twice."""

    @deprecated_argument("angle_degrees", new="angle", **VERSIONS)
    @deprecated_argument("turn", new="angle", convert=lambda turns: 360.0 * turns, **VERSIONS)
    @deprecated_argument("rate", new="lr", **VERSIONS)
    def __init__(self, encoder: Any = TINY_ENCODER, angle: float = 0.0, lr: float = 1e-3) -> None:
        super().__init__(encoder, lr=lr)
        self.angle = angle
        self.head = torch.nn.Conv2d(self.encoder.out_channels[-1], 1, 1)

    def make_targets(self, batch: dict[str, Any]) -> tuple[Any, Any]:
        return batch["image"], batch["image"]

    def compute_loss(self, outputs: Any, targets: Any) -> Any:
        return outputs.mean()


def test_a_task_and_its_checkpoint_know_the_new_names_only(tmp_path: Path) -> None:
    task, caught = warned(lambda: Flip(turn=0.25, rate=0.5))
    ours = [w for w in caught if w.category is DeprecatedUseWarning]
    assert sorted(str(w.message).split()[2] for w in ours) == ["Flip(rate)", "Flip(turn)"]
    assert {w.filename for w in ours} == {__file__}  # not the library's file that built the task
    assert (task.angle, task.lr) == (90.0, 0.5)
    stored = {name: task.hparams[name] for name in task.hparams}
    assert (stored["angle"], stored["lr"]) == (90.0, 0.5)
    assert not {"turn", "rate", "angle_degrees"} & set(stored)

    # What an older version wrote, with the old name, is read too.
    trainer = L.Trainer(max_steps=0, logger=False, enable_progress_bar=False)
    trainer.strategy.connect(task)
    trainer.save_checkpoint(tmp_path / "new.ckpt")
    checkpoint = torch.load(tmp_path / "new.ckpt", weights_only=True)
    checkpoint["hyper_parameters"]["angle_degrees"] = checkpoint["hyper_parameters"].pop("angle")
    torch.save(checkpoint, tmp_path / "old.ckpt")
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        again = [Flip.load_from_checkpoint(tmp_path / f"{name}.ckpt") for name in ("new", "old")]
    assert [t.angle for t in again] == [90.0, 90.0]
    assert sum(w.category is DeprecatedUseWarning for w in caught) == 1


def test_names_of_a_module(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    module = types.ModuleType("mt_moved_names")
    module.__getattr__ = deprecated_names(  # type: ignore[attr-defined]
        module.__name__,
        {"load_ct": "muscletransfer.data.read_ct"},
        **VERSIONS,
        otherwise=deprecated_names(module.__name__, {"old": "math.pi"}, **VERSIONS),
    )
    monkeypatch.setitem(sys.modules, module.__name__, module)
    found, caught = warned(lambda: module.load_ct)
    assert found is muscletransfer.read_ct
    assert len(caught) == 1
    assert caught[0].filename == __file__
    assert "Use muscletransfer.data.read_ct instead" in str(caught[0].message)
    user = tmp_path / "user.py"
    user.write_text("import warnings\n\nfrom mt_moved_names import old\n")
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("default")
        exec(compile(user.read_text(), str(user), "exec"), {"__name__": "user"})
    # "from" looks twice, once to see whether the name is there: one line, one warning
    assert [(w.filename, w.lineno) for w in caught] == [(str(user), 3)]
    with pytest.raises(AttributeError, match="'mt_moved_names' has no attribute 'load_mr'"):
        module.load_mr  # noqa: B018 - the access is the test


@pytest.mark.parametrize(
    ("since", "removal"), [("0.4", "0.4"), ("0.4", "0.4.0"), ("0.10", "0.9"), ("1.0", "0.9")]
)
def test_a_removal_comes_later(since: str, removal: str) -> None:
    with pytest.raises(SettingError, match="wanted a removal in a later version"):
        deprecated(since=since, removal=removal)(len)


def test_mistakes_of_the_author_fail_at_once() -> None:
    with pytest.raises(SettingError, match="not made of numbers"):
        deprecated(since="soon", removal="0.4")(len)
    with pytest.raises(SettingError, match="wanted 'lr' not among them"):
        deprecated_argument("lr", **VERSIONS)(lambda lr: lr)
    with pytest.raises(SettingError, match="and 'rate' among them"):
        deprecated_argument("lr", new="rate", **VERSIONS)(lambda speed: speed)
    assert registered_deprecations() == []


@pytest.mark.parametrize(
    ("version", "names"),
    [
        ("0.3.99", []),
        ("0.4.0.dev3", ["a"]),
        ("0.4rc1", ["a"]),
        ("0.4", ["a"]),
        ("0.9.1", ["a"]),
        ("0.10.0", ["a", "b"]),
        ("1.0+local", ["a", "b"]),
    ],
)
def test_overdue(version: str, names: list[str]) -> None:
    entries = [Deprecation("name", "a", "0.1", "0.4"), Deprecation("name", "b", "0.1", "0.10")]
    assert [entry.name for entry in overdue(version, entries)] == names


WALK = """
import importlib, json, pkgutil, muscletransfer
from muscletransfer.deprecation import deprecated, overdue, registered_deprecations
for module in pkgutil.walk_packages(muscletransfer.__path__, "muscletransfer."):
    if not module.name.endswith("__main__"):
        importlib.import_module(module.name)
ours = [entry.message() for entry in overdue()]
@deprecated(since="0.1", removal="0.2")
def late(): pass
print(json.dumps([ours, [entry.name for entry in overdue("0.2.0")]]))
"""


def test_nothing_outlives_the_version_of_its_removal() -> None:
    """Look through the whole package in a process where no other test has marked anything."""
    done = subprocess.run(
        [sys.executable, "-c", WALK], capture_output=True, text=True, check=True, timeout=200
    )
    ours, with_late = json.loads(done.stdout)
    assert "late" in with_late  # the look would have found something
    assert not ours, (
        f"muscletransfer is {muscletransfer.__version__}; remove what was to go by now: {ours}"
    )
