"""One name in, all others made from it; what cannot be a name is refused."""

import keyword
import sys
from pathlib import Path

import pytest

from muscletransfer.errors import DuplicateNameError, SettingError
from muscletransfer.scaffold import PluginNames


@pytest.mark.parametrize(
    ("name", "distribution", "task_class"),
    [
        ("order", "muscletransfer-order", "OrderPretext"),
        ("mylab/order", "muscletransfer-mylab-order", "OrderPretext"),
        ("my-lab/which_way-2", "muscletransfer-my-lab-which-way-2", "WhichWay2Pretext"),
        ("dense-pretext", "muscletransfer-dense-pretext", "DensePretext"),
        ("class", "muscletransfer-class", "ClassPretext"),
        ("torch", "muscletransfer-torch", "TorchPretext"),
    ],
)
def test_names(name: str, distribution: str, task_class: str) -> None:
    names = PluginNames(name)
    assert (names.distribution, names.task_class) == (distribution, task_class)
    assert names.module == distribution.replace("-", "_")
    for made in (names.module, names.task_class):
        assert made.isidentifier()
        assert not keyword.iskeyword(made)
    names.check_free()


@pytest.mark.parametrize(
    "name",
    [
        *["", " ", "Order", "two words", "1st", "-x", "x-", "x--y", "_x", "a/b/c", "/a", "a/"],
        *["..", "../x", "a.b", "a\\b", "größe", "x\n", "x" * 61, "$name", "a'b", 'a"b', "*"],
    ],
)
def test_unusable_names_say_which_are(name: str) -> None:
    with pytest.raises(SettingError, match="such as 'which-way' or 'mylab/which-way'") as caught:
        PluginNames(name)
    assert repr(name) in str(caught.value)


def test_a_task_of_that_name_is_there() -> None:
    with pytest.raises(DuplicateNameError, match=r"'jigsaw' already.*'mylab/jigsaw'"):
        PluginNames("jigsaw").check_free()


def test_a_package_of_that_name_is_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "muscletransfer_taken.py").write_text("raise RuntimeError('imported')\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    with pytest.raises(DuplicateNameError, match="'muscletransfer_taken' is installed already"):
        PluginNames("taken").check_free()
    assert "muscletransfer_taken" not in sys.modules
