"""Packages import their public names on first use, and nobody can tell."""

import ast
import importlib
import subprocess
import sys
from pathlib import Path

import pytest

import muscletransfer
from muscletransfer.lazy import lazy_names, load_names

ROOT = Path(muscletransfer.__file__).parent
LAZY = [
    ".".join(["muscletransfer", *path.parent.relative_to(ROOT).parts])
    for path in sorted(ROOT.rglob("__init__.py"))
    if "lazy_names(" in path.read_text()
]


def names_in_type_checking_block(source: str) -> dict[str, str]:
    """Name -> module of the imports that a type checker sees."""
    found = {}
    for node in ast.parse(source).body:
        if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING":
            for line in node.body:
                assert isinstance(line, ast.ImportFrom)
                found |= {alias.asname or alias.name: str(line.module) for alias in line.names}
    return found


def test_the_packages_that_listing_needs_are_lazy() -> None:
    wanted = {"", ".data", ".decoders", ".encoders", ".pretext", ".transfer"}
    assert {f"muscletransfer{name}" for name in wanted} <= set(LAZY)


@pytest.mark.parametrize("package", LAZY)
def test_type_checker_table_and_all_say_the_same(package: str) -> None:
    module = importlib.import_module(package)
    seen = names_in_type_checking_block(Path(str(module.__file__)).read_text())
    table = {name: f"{package}.{home}" for home, names in module._HOMES.items() for name in names}
    assert seen == table
    others = {name for name in module.__all__ if name not in table}
    assert others <= set(vars(module))
    assert set(table) <= set(module.__all__)
    assert len(module.__all__) == len(set(module.__all__))


@pytest.mark.parametrize("package", LAZY)
def test_no_lazy_name_is_a_submodule_too(package: str) -> None:
    module = importlib.import_module(package)
    folder = Path(str(module.__file__)).parent
    submodules = {path.stem for path in folder.glob("*.py")}
    submodules |= {path.parent.name for path in folder.glob("*/__init__.py")}
    assert not submodules & {name for names in module._HOMES.values() for name in names}


@pytest.mark.parametrize("package", LAZY)
def test_every_name_is_found_listed_and_kept(package: str) -> None:
    module = importlib.import_module(package)
    assert set(dir(module)) >= set(module.__all__)
    for name in module.__all__:
        assert getattr(module, name) is vars(module)[name]
    with pytest.raises(AttributeError, match="has no attribute 'NoSuchName'"):
        module.NoSuchName  # noqa: B018 - the access is the test
    with pytest.raises(ImportError, match="cannot import name 'NoSuchName'"):
        exec(f"from {package} import NoSuchName")


def test_imports_of_every_form_in_a_fresh_process() -> None:
    script = """
import sys
import muscletransfer.pretext, muscletransfer.transfer, muscletransfer.decoders
import muscletransfer.encoders, muscletransfer.data
heavy = [m for m in ("torch", "lightning", "numpy", "timm", "monai") if m in sys.modules]
assert not heavy, heavy
from muscletransfer.pretext import *
from muscletransfer.transfer import restoring, load_encoder
from muscletransfer.pretext import JigsawPretext as again
import muscletransfer as mt
assert JigsawPretext is again is mt.JigsawPretext
assert callable(restoring) and callable(load_encoder)
print("all found")
"""
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=False, timeout=120
    )
    assert done.stdout.strip() == "all found", done.stderr


def test_a_home_is_imported_once_and_only_when_asked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    package = tmp_path / "mt_lazy_toy"
    package.mkdir()
    (package / "__init__.py").write_text(
        "from muscletransfer.lazy import lazy_names\n"
        "__all__ = ['ONE', 'TWO']\n"
        "__getattr__, __dir__ = lazy_names(__name__, {'a': ['ONE'], 'b': ['TWO']})\n"
    )
    (package / "a.py").write_text("ONE = object()\n")
    (package / "b.py").write_text("raise RuntimeError('b was imported')\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    toy = importlib.import_module("mt_lazy_toy")
    assert {"ONE", "TWO"} <= set(dir(toy))
    assert "mt_lazy_toy.a" not in sys.modules
    assert toy.ONE is toy.ONE
    assert "ONE" in vars(toy)
    with pytest.raises(RuntimeError, match="b was imported"):
        load_names(toy)


def test_the_function_is_no_magic() -> None:
    find, listed = lazy_names("muscletransfer", {"errors": ["DataError"]})
    assert find("DataError") is muscletransfer.errors.DataError
    assert "DataError" in listed()
