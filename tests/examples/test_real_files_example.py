"""Real DICOM and NIfTI from folder to masks, through the command line, in the quick form."""

from __future__ import annotations

import csv
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from muscletransfer.data import Manifest, read_ct, read_mask
from muscletransfer.transfer import inspect_file

VARIABLE = "MUSCLETRANSFER_REAL_DATA"
SCRIPT = Path(__file__).parents[2] / "examples" / "real_files.py"
PAGE = Path(__file__).parents[2] / "docs" / "real_files.md"

needs_images = pytest.mark.skipif(
    not os.environ.get(VARIABLE), reason=f"{VARIABLE} names no folder of real images"
)


def run(*arguments: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, str(SCRIPT), *arguments],
        cwd=cwd,
        env={**os.environ, "OMP_NUM_THREADS": "1", "MPLBACKEND": "Agg"},
        capture_output=True,
        text=True,
        timeout=500,
    )


@pytest.fixture(scope="module")
def quick(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("files")
    done = run(os.environ[VARIABLE], "--quick", cwd=folder)
    assert done.returncode == 0, done.stderr[-3000:]
    return folder / "real_files_run"


def read(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


@pytest.mark.slow
@needs_images
def test_every_series_is_indexed_and_one_patient_is_one_patient(quick: Path) -> None:
    manifest = Manifest.read(quick / "index" / "manifest.csv")
    shapes = {read_ct(row.image).shape for row in manifest.rows}
    assert {shape[0] for shape in shapes} == {35, 3, 112, 30, 12, 13}
    assert len(manifest.patients) == 5  # the volume and its upper part are of one
    left_out = {Path(row["file"]).name for row in read(quick / "index" / "problems.csv")}
    assert {"total_multilabel.nii.gz", "skeletal_muscle_upper30.nii.gz"} <= left_out


@pytest.mark.slow
@needs_images
def test_the_final_model_learned_from_the_labelled_patient_and_says_so(quick: Path) -> None:
    labelled = Manifest.read(quick / "l3" / "manifest.csv", need_masks=True)
    assert (len(labelled), len(labelled.patients)) == (15, 1)
    (checkpoint,) = (quick / "final").rglob("*.ckpt")
    assert checkpoint.name == "last.ckpt"
    record = inspect_file(checkpoint)
    assert record.data["held_out"] == "nobody"
    assert record.data["label_budget"] == {"patients": 1, "slices": 15}
    assert record.parent is not None
    # one volume, less than a tenth of the slices, validates the jigsaw
    assert (record.parent.task, record.parent.data["patients"]) == ("jigsaw", 4)


@pytest.mark.slow
@needs_images
def test_masks_of_the_other_patients_lie_on_their_own_grids(quick: Path) -> None:
    rows = read(quick / "predicted" / "measures.csv")
    assert len(rows) == 4
    for row in rows:
        reference = read_ct(quick / row["image"])
        mask = read_mask(quick / "predicted" / row["mask"], reference)  # raises on another grid
        used = np.flatnonzero((mask.labels != 0).any(axis=(1, 2))).tolist()
        assert used in ([], [int(row["slice_index"])])
        assert set(mask.classes) <= {0, 1, 2}


@pytest.mark.slow
@needs_images
def test_the_page_is_of_this_run_and_names_no_place_of_this_machine(quick: Path) -> None:
    page = (quick / "real_files.md").read_text()
    assert "quick form" in page
    assert "held_out=nobody" in page
    assert str(quick) not in page
    assert str(Path(os.environ[VARIABLE]).resolve()) not in page
    areas = [line for line in page.splitlines() if line.startswith("| ") and "slice" not in line]
    assert len(areas) >= 6


@needs_images
def test_a_run_does_not_mix_with_another(tmp_path: Path) -> None:
    (tmp_path / "real_files_run").mkdir()
    (tmp_path / "real_files_run" / "old").touch()
    done = run(os.environ[VARIABLE], cwd=tmp_path)
    assert done.returncode == 2
    assert "holds files already; name another --output" in done.stderr


def test_the_page_in_docs_is_of_a_whole_run() -> None:
    page = PAGE.read_text(encoding="utf-8")
    assert "real_files.py DATA_FOLDER\n" in page
    assert "quick form" not in page
