"""Imports go one way; the package and its command line start light."""

import ast
import re
import subprocess
import sys
from functools import cache
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

import muscletransfer

ROOT = Path(muscletransfer.__file__).parent

# Lower layers first. A module may import its own layer and those before it.
LAYERS = [
    {
        "_version",
        "errors",
        "plain",
        "lazy",
        "folders",
        "deprecation",
        "class_paths",
        "quick_exit",
        "processors",
    },
    {
        "registry",
        "hardware",
        "freed_memory",
        "checkpoint_io",
        "schedule",
        "randomness",
        "optimizer",
        "own_optimizer",
        "losses",
    },
    {"data", "metrics", "measures", "agreement"},
    {"observers"},
    {"encoders"},
    {"decoders"},
    {"transfer"},
    {"pretext", "finetune"},
    {"testing", "report", "prediction"},
    {"demo", "study", "scaffold"},
    {"cli", "__main__"},
]
# These must stay usable without any model code.
MODEL_FREE = {"data", "metrics", "measures", "agreement", "observers"}
MODEL_CODE = {
    "encoders",
    "decoders",
    "transfer",
    "pretext",
    "finetune",
    "prediction",
    "study",
    "demo",
    "cli",
}


def home_of(module: str) -> str | None:
    parts = module.split(".")
    return parts[1] if parts[0] == "muscletransfer" and len(parts) > 1 else None


@cache
def imports_of(path: Path) -> tuple[tuple[str, tuple[str, ...]], ...]:
    """Return what a file imports, inside functions and for type checkers too.

    A module with the names taken from it; none for the module itself.
    """
    found: list[tuple[str, tuple[str, ...]]] = []
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom) and node.module and node.level == 0:
            found.append((node.module, tuple(alias.name for alias in node.names)))
        elif isinstance(node, ast.Import):
            found += [(alias.name, ()) for alias in node.names]
    return tuple(found)


def packages_of(path: Path) -> set[str]:
    """Return the full names by which `home_of` finds what a file imports."""
    return {
        full
        for module, names in imports_of(path)
        for full in ([f"{module}.{n}" for n in names] if module == "muscletransfer" else [module])
    }


def module_graph(root: Path) -> dict[str, set[str]]:
    """Return which modules of a package each of them imports; a package is a module too.

    A name taken from a package leads through it: to the homes that it imports names from.
    """
    paths = {full_name(path, root): path for path in root.rglob("*.py")}
    graph: dict[str, set[str]] = {}
    for name, path in paths.items():
        wanted = {
            full if full in paths else module
            for module, names in imports_of(path)
            for full in ([f"{module}.{n}" for n in names] or [module])
        }
        graph[name] = (wanted & set(paths)) - {name}
    return graph


def full_name(path: Path, root: Path) -> str:
    parts = [root.name, *path.relative_to(root).with_suffix("").parts]
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def edges() -> set[tuple[str, str, str]]:
    found = set()
    for path in ROOT.rglob("*.py"):
        relative = path.relative_to(ROOT)
        home = relative.parts[0].removesuffix(".py")
        if home == "__init__":
            continue
        for module in packages_of(path):
            other = home_of(module)
            if (
                other
                and other != home
                and (ROOT / other).exists() | (ROOT / f"{other}.py").exists()
            ):
                found.add((home, other, str(relative)))
    return found


def level(home: str) -> int:
    for index, layer in enumerate(LAYERS):
        if home in layer:
            return index
    pytest.fail(f"muscletransfer/{home} is in no layer: add it to LAYERS where it belongs")


def test_every_module_has_a_layer() -> None:
    homes = {p.stem for p in ROOT.iterdir() if p.suffix == ".py" or (p / "__init__.py").exists()}
    for home in homes - {"__init__", "py"}:
        level(home)


def test_no_back_edge() -> None:
    back = {edge for edge in edges() if level(edge[1]) > level(edge[0])}
    assert not back, "imports that point upwards: " + "; ".join(
        f"{file} imports {other}" for _, other, file in sorted(back)
    )


def test_pretext_and_finetune_do_not_know_each_other() -> None:
    siblings = {("pretext", "finetune"), ("finetune", "pretext")}
    assert not {edge for edge in edges() if edge[:2] in siblings}


def test_data_and_metrics_never_see_a_model() -> None:
    seen = {edge for edge in edges() if edge[0] in MODEL_FREE and edge[1] in MODEL_CODE}
    assert not seen


def test_no_module_needs_itself() -> None:
    """Imports for type checkers and inside functions count: types and calls go one way too."""
    graph = module_graph(ROOT)
    assert len(list(TopologicalSorter(graph).static_order())) == len(graph)


@pytest.mark.parametrize(
    "back",
    [
        "from muscletransfer.one import a",
        "import muscletransfer.one",
        "from muscletransfer import one",
        "from muscletransfer.lazy import a",
        "def f():\n    from muscletransfer.one import a",
        "if TYPE_CHECKING:\n    from muscletransfer.one import a",
    ],
)
def test_a_cycle_is_seen(tmp_path: Path, back: str) -> None:
    root = tmp_path / "muscletransfer"
    (root / "lazy").mkdir(parents=True)
    (root / "__init__.py").touch()
    (root / "lazy" / "__init__.py").write_text(
        "if TYPE_CHECKING:\n    from muscletransfer.one import a\n"
    )
    (root / "one.py").write_text("from muscletransfer.two import b\na = 1\n")
    (root / "two.py").write_text(f"{back}\nb = 2\n")
    with pytest.raises(CycleError, match=r"muscletransfer\.one.*muscletransfer\.two"):
        TopologicalSorter(module_graph(root)).prepare()


def test_no_relative_imports() -> None:
    for path in ROOT.rglob("*.py"):
        assert not re.search(r"^\s*from \.", path.read_text(), re.M), path


def test_files_stay_small() -> None:
    sizes = sorted((len(p.read_text().splitlines()), str(p)) for p in ROOT.rglob("*.py"))
    too_long = [(count, name) for count, name in sizes if count > 400]
    assert not too_long
    assert sizes[len(sizes) // 2][0] <= 150


@pytest.mark.parametrize("start", ["import muscletransfer", "import muscletransfer.cli"])
def test_start_is_light(start: str) -> None:
    heavy = ["torch", "lightning", "monai", "timm", "pandas", "scipy", "SimpleITK", "numpy"]
    script = f"{start}; import sys; print([m for m in {heavy!r} if m in sys.modules])"
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "[]"
