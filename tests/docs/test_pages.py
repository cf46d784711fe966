"""Every code block of README and docs runs, in order, page by page."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
ENVIRONMENT = {**os.environ, "MPLBACKEND": "Agg"}
BLOCK = re.compile(r"^```(python|bash)\n(.*?)^```$", re.M | re.S)
PAGES = ["README.md", *sorted(str(p.relative_to(ROOT)) for p in ROOT.glob("docs/*.md"))]
# Blocks that set up the machine or take minutes; .ci/run runs both README commands.
NOT_HERE = ("pip install", "muscletransfer fit --config examples/configs/jigsaw.yaml\n")


def blocks(page: str, language: str) -> list[str]:
    found = [text for kind, text in BLOCK.findall((ROOT / page).read_text()) if kind == language]
    return [text for text in found if not text.startswith(NOT_HERE)]


@pytest.mark.slow
@pytest.mark.parametrize("page", [p for p in PAGES if blocks(p, "python")])
def test_python_blocks_run(page: str, tmp_path: Path) -> None:
    script = tmp_path / "page.py"
    script.write_text("\n\n".join(blocks(page, "python")))
    done = subprocess.run(
        [sys.executable, str(script)],
        cwd=tmp_path,
        env=ENVIRONMENT,
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr[-3000:]


@pytest.mark.slow
@pytest.mark.parametrize("page", [p for p in PAGES if blocks(p, "bash")])
def test_shell_blocks_run(page: str, tmp_path: Path) -> None:
    shutil.copytree(ROOT / "examples" / "configs", tmp_path / "examples" / "configs")
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    done = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", "\n".join(blocks(page, "bash"))],
        cwd=tmp_path,
        env={**ENVIRONMENT, "PATH": path},
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr[-3000:]


@pytest.mark.parametrize("page", PAGES)
def test_internal_links_lead_somewhere(page: str) -> None:
    text = (ROOT / page).read_text()
    for target in re.findall(r"\]\(([^)#]+)[^)]*\)", text):
        if "://" not in target:
            assert ((ROOT / page).parent / target).exists(), f"{page} links to {target}"
