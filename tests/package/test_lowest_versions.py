"""The lowest versions that are promised are the ones that `.ci/lowest` installs."""

import importlib.util
import re
import tomllib
from pathlib import Path
from types import ModuleType

import pytest
from packaging.requirements import Requirement
from packaging.version import Version

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def script() -> ModuleType:
    spec = importlib.util.spec_from_file_location("lowest", ROOT / ".ci" / "lowest_versions.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_every_dependency_is_pinned_to_its_lower_bound(script: ModuleType) -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    pinned = {
        Requirement(line).name: Requirement(line)
        for line in script.constraints(ROOT / "pyproject.toml")
    }
    wanted = [*project["dependencies"], *project["optional-dependencies"]["dicom"]]
    assert set(pinned) == {Requirement(text).name for text in wanted}
    for text in wanted:
        (bound,) = Requirement(text).specifier
        (pin,) = pinned[Requirement(text).name].specifier
        assert (bound.operator, pin.operator) == (">=", "==")
        assert Version(bound.version) == Version(pin.version)


@pytest.mark.parametrize("text", ["torch", "torch>=2.6,<3", "torch~=2.6", "torch>2.6"])
def test_a_bound_of_another_form_is_not_guessed_at(script: ModuleType, text: str) -> None:
    with pytest.raises(ValueError, match="wanted one lower bound"):
        script.lowest(text)


def test_each_lower_bound_has_its_reason() -> None:
    """A bound without a reason can neither be raised nor lowered with a good conscience."""
    lines = (ROOT / "pyproject.toml").read_text().splitlines()
    start = lines.index("dependencies = [")
    for line in lines[start + 1 : lines.index("]", start)]:
        assert re.search(r'>=.*",\s+# \S{2,}', line), (
            f"pyproject.toml: {line.strip()} says no reason"
        )


def test_one_package_has_one_lower_bound() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    groups = [project["dependencies"], *project["optional-dependencies"].values()]
    bounds: dict[str, set[str]] = {}
    for text in (text for group in groups for text in group):
        bounds.setdefault(Requirement(text).name.lower(), set()).add(
            str(Requirement(text).specifier)
        )
    assert not {name: found for name, found in bounds.items() if len(found) > 1}
