"""The example of two whole studies: the page it writes, its files, and its quick form."""

from __future__ import annotations

import csv
import importlib
import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest

from muscletransfer.study import plan_study, read_config

VARIABLE = "MUSCLETRANSFER_REAL_DATA"
EXAMPLES = Path(__file__).parents[2] / "examples"
DOCS = EXAMPLES.parent / "docs"

needs_images = pytest.mark.skipif(
    not os.environ.get(VARIABLE), reason=f"{VARIABLE} names no folder of real images"
)


@pytest.fixture
def load(monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.syspath_prepend(str(EXAMPLES))

    def named(name: str) -> ModuleType:
        return importlib.import_module(name)

    return named


def test_each_part_replaces_itself_alone(load: Any, tmp_path: Path) -> None:
    put_part = load("results_page").put_part
    page = tmp_path / "docs" / "results.md"
    put_part(page, "real_ct", "# Later\n\n## Inner\n\nfirst")
    put_part(page, "study_phantom", "# Earlier\n\n# not a heading of its own\n")
    put_part(page, "real_ct", "# Later\n\n## Inner\n\nsecond\n")
    text = page.read_text()
    assert re.findall(r"^#+ .*", text, re.M) == [
        "# Results",
        "## Earlier",
        "## not a heading of its own",
        "## Later",
        "### Inner",
    ]
    assert "second" in text
    assert "first" not in text
    assert [path.name for path in page.parent.iterdir()] == ["results.md"]


@needs_images
@pytest.mark.parametrize(
    ("name", "runs", "pretexts"), [("cardiac_mr", 336, 9), ("phantom", 196, 9)]
)
def test_the_studies_are_the_ones_that_were_asked_for(
    name: str, runs: int, pretexts: int, tmp_path: Path
) -> None:
    shutil.copy(EXAMPLES / "real_study_parts" / f"{name}.yaml", tmp_path)
    (tmp_path / "data").symlink_to(os.environ[VARIABLE])
    plan = plan_study(read_config(tmp_path / f"{name}.yaml"))
    assert (len(plan.runs), len(plan.pretexts)) == (runs, pretexts)
    # photographs are shared by all folds; a task on the study's own patients is trained once a fold
    excluded = sorted(spec.excluded_patients > 0 for spec in plan.pretexts)
    assert excluded == [False] + [True] * (pretexts - 1)


@needs_images
def test_quick_form(tmp_path: Path) -> None:
    command = [sys.executable, str(EXAMPLES / "real_study.py"), os.environ[VARIABLE]]
    command += ["--quick", "--study", "phantom", "--workers", "2"]
    done = subprocess.run(
        command,
        cwd=tmp_path,
        env={**os.environ, "OMP_NUM_THREADS": "1", "MPLBACKEND": "Agg"},
        capture_output=True,
        text=True,
        timeout=500,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    page = tmp_path / "real_study_run" / "results.md"
    text = page.read_text()
    assert "**This is the quick form" in text
    assert "synthetic" in text
    assert "### Beside the observers" in text
    for link in re.findall(r"\]\((results/[^)]+)\)", text):
        assert (page.parent / link).is_file(), link
    assert text.count("| random |") == 4  # two n, in the table of results and beside the observers
    report = (page.parent / "results" / "study_phantom" / "report.html").read_text()
    assert str(tmp_path) not in report


def test_missing_images_are_named(tmp_path: Path) -> None:
    (tmp_path / "natural_camvid").mkdir()
    done = subprocess.run(
        [sys.executable, str(EXAMPLES / "real_study.py"), str(tmp_path), "--study", "cardiac_mr"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 2
    assert "lacks mr_cardiac_acdc, natural_imagenet_sample" in done.stderr
    assert not (tmp_path / "real_study_run").exists()


@pytest.mark.parametrize("name", ["phantom", "cardiac_mr"])
def test_the_page_in_docs_agrees_with_its_tables(name: str) -> None:
    beside = DOCS / "results" / f"study_{name}"
    with (beside / "summary.csv").open() as file:
        rows = [row for row in csv.DictReader(file) if row["metric"] == "dice"]
    text = (DOCS / "results.md").read_text().split(f"<!-- part: study_{name} -->")[1]
    section = text.split("### Every start and n")[1].split("\n### ")[0]
    shown = re.findall(r"^\| (\d+) \| ([^|]+) \| ([\d.]+) \(([\d.]+) to ([\d.]+)\)", section, re.M)
    assert "quick form" not in text.split("<!-- part:")[0]
    found = sorted((n, *numbers) for n, _, *numbers in shown)
    wanted = sorted(
        (row["n"], *(f"{float(row[key]):.3f}" for key in ("mean", "mean_low", "mean_high")))
        for row in rows
    )
    assert len(found) > 20
    assert found == wanted
    report = (beside / "report.html").read_text()
    assert "data:image/jpeg" not in report or name == "phantom"


def test_versions_of_all_runs_are_told(load: Any, tmp_path: Path) -> None:
    for name, threads in (("pretexts/a", 1), ("runs/b", 2)):
        result: dict[str, Any] = {"seconds": 1800.0, "device": "cpu", "precision": "32-true"}
        result |= {"threads": threads, "versions": {"torch": str(threads)}}
        (tmp_path / name).mkdir(parents=True)
        (tmp_path / name / "result.json").write_text(json.dumps(result))
    config = read_config(EXAMPLES / "real_study_parts" / "phantom.yaml")
    text = load("real_study_parts.prose").made(config, tmp_path, SimpleNamespace(n_runs=1))
    assert "(cpu, 32-true, 1, 2 thread(s); processor and load were not recorded)" in text
    assert text.endswith("torch 1; torch 2.")
