"""The wheel installs and runs outside the checkout."""

import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("dist")
    build = [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", str(out)]
    subprocess.run([*build, str(ROOT)], check=True, capture_output=True, text=True)
    (found,) = out.glob("*.whl")
    return found


def test_wheel_holds_the_package_and_nothing_else(wheel: Path) -> None:
    names = zipfile.ZipFile(wheel).namelist()
    assert "muscletransfer/py.typed" in names
    tops = {name.split("/")[0] for name in names}
    assert all(top.startswith("muscletransfer") for top in tops), tops


def test_wheel_runs_outside_the_checkout(wheel: Path, tmp_path: Path) -> None:
    site = tmp_path / "site"
    pip = [sys.executable, "-m", "pip", "install", "-q", "--no-deps", "--no-index"]
    subprocess.run([*pip, "--target", str(site), str(wheel)], check=True, capture_output=True)
    environment = {**os.environ, "PYTHONPATH": str(site)}
    script = "import muscletransfer as mt; print(mt.__file__); print(*mt.list_pretexts())"
    done = subprocess.run(
        [sys.executable, "-c", script],
        cwd=tmp_path,
        env=environment,
        check=True,
        capture_output=True,
        text=True,
    )
    home, names = done.stdout.splitlines()
    assert Path(home).is_relative_to(site)
    assert {"jigsaw", "reconstruction", "classification", "segmentation"} <= set(names.split())
    helped = subprocess.run(
        [sys.executable, str(site / "bin" / "muscletransfer"), "--help"],
        cwd=tmp_path,
        env=environment,
        check=True,
        capture_output=True,
        text=True,
    )
    assert "demo" in helped.stdout
    plugin = tmp_path / "plugin"
    command = [sys.executable, str(site / "bin" / "muscletransfer"), "new", "pretext", "order"]
    subprocess.run(
        [*command, "--output", str(plugin)],
        cwd=tmp_path,
        env=environment,
        check=True,
        capture_output=True,
    )
    assert (plugin / "src" / "muscletransfer_order" / "task.py").exists()
