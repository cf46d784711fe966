"""The example on real images, run as a user runs it, in its quick form."""

from __future__ import annotations

import csv
import math
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from PIL import Image

VARIABLE = "MUSCLETRANSFER_REAL_DATA"
SCRIPT = Path(__file__).parents[2] / "examples" / "real_ct.py"
ARMS = {
    "random",
    "random, encoder frozen",
    "jigsaw",
    "reconstruction",
    "reconstruction + decoder",
    "segmentation",
    "segmentation + decoder",
    "classification",
}
COPY = "nearest labelled slice, copied"

needs_images = pytest.mark.skipif(
    not os.environ.get(VARIABLE), reason=f"{VARIABLE} names no folder of real images"
)


def run(*arguments: str | Path, cwd: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, str(SCRIPT), *map(str, arguments)],
        cwd=cwd,
        env={**os.environ, "OMP_NUM_THREADS": "1", "MPLBACKEND": "Agg"},
        capture_output=True,
        text=True,
        timeout=500,
    )


@pytest.fixture(scope="module")
def quick(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("real")
    done = run(os.environ[VARIABLE], "--quick", cwd=folder)
    assert done.returncode == 0, done.stderr[-3000:]
    return folder / "real_ct_run"


def tables(page: str) -> list[list[dict[str, str]]]:
    """Every Markdown table of a page, a dict a row."""
    found = []
    for block in re.findall(r"(?:^\|.*\n)+", page, re.M):
        header, _, *rows = [
            [cell.strip() for cell in line.strip("|\n").split("|")] for line in block.splitlines()
        ]
        assert all(len(row) == len(header) for row in rows), block
        found.append([dict(zip(header, row, strict=True)) for row in rows])
    return found


@needs_images
@pytest.mark.slow
def test_page_is_complete(quick: Path) -> None:
    page = (quick / "results.md").read_text()
    pretext, ct, longer, mr, classes = tables(page)
    assert {row["source task"] for row in pretext} == {
        "jigsaw",
        "reconstruction",
        "segmentation",
        "classification",
    }
    assert {row["start"] for row in ct} == ARMS | {COPY}
    assert {row["start"] for row in mr} == {row["start"] for row in classes} == ARMS
    assert {row["start"] for row in longer} == {"random", "segmentation + decoder"}
    for row in (*pretext, *ct, *longer, *mr, *classes):
        assert all(row.values()), row
        assert not re.search(r"\b(nan|inf|None)\b", " ".join(row.values())), row
    assert "### What this does not show" in page
    assert "one patient" in page.lower()
    assert "quick form" in page
    assert os.environ[VARIABLE] not in page
    assert "RMS DTA (mm)" in ct[0]
    assert "RMS DTA (pixels)" in mr[0]


@needs_images
@pytest.mark.slow
def test_every_run_is_scored_on_unseen_cases(quick: Path) -> None:
    with (quick / "results" / "runs.csv").open() as file:
        rows = list(csv.DictReader(file))
    by_data = {data: [row for row in rows if row["data"] == data] for data in ("ct", "mr")}
    assert {row["arm"] for row in by_data["ct"]} == ARMS | {COPY}
    assert {row["arm"] for row in by_data["mr"]} == ARMS
    for row in rows:
        assert 0 <= float(row["median_dice"]) <= 1
        assert not math.isnan(float(row["median_distance"]))
        assert 0 < int(row["cases"]) >= int(row["missed"])
    copied = next(row for row in rows if row["arm"] == COPY)
    # another block of one patient: alike, but far from the same slice
    assert 0.3 < float(copied["median_dice"]) < 0.95
    # the blocks lie apart, so no test slice has a training slice beside it
    with (quick / "ct_slices_of_one_patient.csv").open() as file:
        listed = [(row["block"], int(row["slice_index"])) for row in csv.DictReader(file)]
    lower, upper = ([k for name, k in listed if name == block] for block in ("lower", "upper"))
    assert min(upper) - max(lower) >= 5


@needs_images
@pytest.mark.slow
def test_images_are_pointed_at_and_figures_drawn(quick: Path) -> None:
    with (quick / "pretext_manifest.csv").open() as file:
        images = [Path(row["image"]) for row in csv.DictReader(file)]
    data = Path(os.environ[VARIABLE]).resolve()
    assert len(images) == 4
    assert all(image.is_relative_to(data) for image in images)
    drawn = re.findall(r"!\[[^\]]+\]\(([^)]+)\)", (quick / "results.md").read_text())
    assert len(drawn) == 4
    for name in drawn:
        with Image.open(quick / name) as image:
            colours = image.convert("L").getextrema()
        assert colours[1] - colours[0] > 100, name


@needs_images
@pytest.mark.slow
def test_finished_stages_are_kept(quick: Path) -> None:
    before = {path: path.stat().st_mtime_ns for path in (quick / "stages").glob("*.json")}
    gone = next(path for path in before if path.name.startswith("ct_random_n"))
    gone.unlink()
    done = run(os.environ[VARIABLE], "--quick", "--part", "ct", cwd=quick.parent)
    assert done.returncode == 0, done.stderr[-3000:]
    assert done.stdout.count(": kept") == 14
    for path, when in before.items():
        assert (path.stat().st_mtime_ns == when) == (path != gone), path


def test_a_folder_without_the_images_is_refused(tmp_path: Path) -> None:
    done = run(tmp_path, cwd=tmp_path)
    assert done.returncode == 2
    assert "lacks ct_dicom" in done.stderr
    assert not (tmp_path / "real_ct_run").exists()
