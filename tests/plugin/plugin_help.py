"""Build a package as a user would, install it into a fresh folder, run processes that see it."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

PIP = [sys.executable, "-m", "pip", "--disable-pip-version-check", "--no-input", "-q"]
SECONDS = 240  # for a loaded machine; each takes a few


def run(
    command: list[str], *, cwd: Path, site: Path | None = None, **environment: str
) -> subprocess.CompletedProcess[str]:
    """Run a process that must succeed, with ``site`` on its path and nothing else added."""
    inherited = {key: value for key, value in os.environ.items() if key != "PYTHONPATH"}
    path = {} if site is None else {"PYTHONPATH": str(site)}
    done = subprocess.run(
        command,
        cwd=cwd,
        env={**inherited, **path, **environment},
        capture_output=True,
        text=True,
        check=False,
        timeout=SECONDS,
    )
    assert done.returncode == 0, f"{command}\n{done.stdout[-3000:]}\n{done.stderr[-3000:]}"
    return done


def build_and_install(source: Path, folder: Path) -> Path:
    """Build the wheel of a copy of ``source`` and install it; return the folder it is in."""
    copy = folder / "source"
    shutil.copytree(source, copy, ignore=shutil.ignore_patterns("__pycache__", ".pytest_cache"))
    offline = ["--no-deps", "--no-index"]
    wheels = folder / "dist"
    build = [*PIP, "wheel", "--no-build-isolation", *offline, "-w", str(wheels), str(copy)]
    run(build, cwd=folder)
    (wheel,) = wheels.glob("*.whl")
    run([*PIP, "install", *offline, "--target", str(folder / "site"), str(wheel)], cwd=folder)
    return folder / "site"


def listed(what: str, pattern: str, *, cwd: Path, site: Path) -> list[str]:
    """Ask the command line for names."""
    command = [sys.executable, "-m", "muscletransfer", "list", what, pattern]
    return run(command, cwd=cwd, site=site).stdout.splitlines()


def run_own_tests(package: Path, *, site: Path) -> str:
    """Run the tests that a package brings, on the installed copy; return pytest's last words."""
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "tests"]
    return run(command, cwd=package, site=site).stdout
