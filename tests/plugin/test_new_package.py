"""What ``muscletransfer new pretext`` writes: built, installed, tested and trained by its name."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
from plugin_help import build_and_install, listed, run, run_own_tests

from muscletransfer.cli import main
from muscletransfer.data.synthetic import make_cohort
from muscletransfer.transfer import inspect_file

NAME = "mylab/which-way"


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("new")
    assert main(["new", "pretext", NAME, "--output", str(folder / "written")]) == 0
    return build_and_install(folder / "written", folder)


def test_it_is_listed(site: Path, tmp_path: Path) -> None:
    assert listed("pretexts", "mylab/*", cwd=tmp_path, site=site) == [NAME]


@pytest.mark.slow
def test_its_tests_are_green(site: Path) -> None:
    told = run_own_tests(site.parent / "source", site=site)
    assert " passed" in told
    assert "failed" not in told
    assert "skipped" not in told


@pytest.mark.slow
def test_it_trains_by_name_as_its_readme_says(site: Path, tmp_path: Path) -> None:
    make_cohort(tmp_path / "phantom", patients=8, size=64, other_levels=1, seed=0)
    readme = (site.parent / "source" / "README.md").read_text()
    (line,) = [text.strip() for text in readme.splitlines() if "muscletransfer fit" in text]
    words = line.split()[1:]
    assert NAME in words
    words[words.index("--trainer.max_steps") + 1] = "2"
    words[words.index("--data.preprocessing.size") + 1] = "32"
    quick = ["--data.batch_size=4", "--model.encoder=timm/resnet10t", "--trainer.accelerator=cpu"]
    quick += ["--trainer.logger=false", "--trainer.enable_progress_bar=false"]
    command = [sys.executable, "-m", "muscletransfer", *words, *quick]
    run(command, cwd=tmp_path, site=site, MUSCLETRANSFER_CACHE=str(tmp_path / "cache"))
    (checkpoint,) = tmp_path.rglob("*.ckpt")
    assert inspect_file(checkpoint).task == NAME
