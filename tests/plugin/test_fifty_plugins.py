"""Fifty installed packages are listed by name, and not one of them is imported."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

COUNT = 50
GROUPS = {
    "encoders": "muscletransfer.encoders",
    "decoders": "muscletransfer.decoders",
    "pretexts": "muscletransfer.pretexts",
    "weights": "muscletransfer.weights",
}
HEAVY = ["torch", "lightning", "timm", "segmentation_models_pytorch", "monai", "numpy", "pandas"]


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Install them: a dist-info folder each, and a module that must never run."""
    folder = tmp_path_factory.mktemp("site")
    for number in range(COUNT):
        info = folder / f"mt_many_{number}-1.0.dist-info"
        info.mkdir()
        (info / "METADATA").write_text(
            f"Metadata-Version: 2.1\nName: mt-many-{number}\nVersion: 1.0\n"
        )
        lines = [
            f"[{group}]\nmany/{what}-{number} = mt_many_{number}:Thing\n"
            for what, group in GROUPS.items()
        ]
        (info / "entry_points.txt").write_text("\n".join(lines))
        (folder / f"mt_many_{number}.py").write_text("raise SystemExit('a plug-in was imported')\n")
    return folder


def run(site: Path, script: str) -> list[str]:
    done = subprocess.run(
        [sys.executable, "-c", script],
        env={**os.environ, "PYTHONPATH": str(site)},
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout.splitlines()


@pytest.mark.parametrize("what", GROUPS)
def test_all_are_listed_and_nothing_is_imported(site: Path, what: str) -> None:
    script = (
        "import sys\n"
        "from muscletransfer.cli import main\n"
        f"assert main(['list', '{what}', 'many/*']) == 0\n"
        f"loaded = [m for m in {HEAVY!r} if m in sys.modules]\n"
        "assert not loaded, loaded\n"
        "assert not [m for m in sys.modules if m.startswith('mt_many')]\n"
    )
    assert run(site, script) == sorted(f"many/{what}-{number}" for number in range(COUNT))


def test_the_broken_one_that_is_asked_for_is_named(site: Path) -> None:
    info = site / "mt_sick-2.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: mt-sick\nVersion: 2.0\n")
    (info / "entry_points.txt").write_text("[muscletransfer.pretexts]\nsick = mt_sick:Task\n")
    (site / "mt_sick.py").write_text("import a_module_that_is_not_there\n")
    script = (
        "import muscletransfer as mt\n"
        "try:\n"
        "    mt.create_pretext('sick')\n"
        "except mt.errors.PluginError as error:\n"
        "    print(error)\n"
    )
    (told,) = run(site, script)
    assert "'mt-sick 2.0'" in told
    assert "a_module_that_is_not_there" in told
