"""Names that are no UTF-8: ITK would end the process, so each case is tried in one of its own."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
import SimpleITK as sitk

from muscletransfer.study.plan.ids import content_key

ODD = os.fsdecode(b"caf\xe9")

TRIED = """
import os, sys
from pathlib import Path
import SimpleITK as sitk
from muscletransfer import read_ct
from muscletransfer.data.indexing.volumes import scan_volume
from muscletransfer.data.io.grids import read_grid
from muscletransfer.data.io.write import save_image
from muscletransfer.data.manifest.slices import count_slices
from muscletransfer.errors import DataError
folder = Path(sys.argv[1])
odd = folder / os.fsdecode(b"caf\\xe9.nii.gz")
calls = {
    "read_ct": lambda: read_ct(odd),
    "read_grid": lambda: read_grid(odd),
    "count_slices": lambda: count_slices(odd),
    "save_image": lambda: save_image(sitk.Image(4, 3, 2, sitk.sitkInt16), odd),
}
for name, call in calls.items():
    try:
        call()
    except DataError as error:
        print(name, type(error).__name__, error)
for values in (True, False):
    print("scan_volume", scan_volume(str(odd), values).reason)
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """One ordinary volume, and a copy under a name that is no UTF-8."""
    image = sitk.GetImageFromArray(sitk.GetArrayFromImage(sitk.Image(4, 3, 2, sitk.sitkInt16)))
    place = tmp_path / "scans"
    place.mkdir()
    sitk.WriteImage(image - 1000, str(place / "plain.nii.gz"))
    (place / f"{ODD}.nii.gz").write_bytes((place / "plain.nii.gz").read_bytes())
    return place


def python(*arguments: str, cwd: Path | None = None) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, *arguments], capture_output=True, text=True, timeout=300, cwd=cwd
    )


def test_every_reader_and_the_writer_say_so(folder: Path) -> None:
    done = python("-c", TRIED, str(folder))
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    told = [line.split()[0] for line in lines if "no UTF-8" in line]
    assert told == ["read_ct", "read_grid", "count_slices", "save_image"] + 2 * ["scan_volume"]
    assert r"caf\xe9.nii.gz: a name that is no UTF-8" in lines[0]
    assert "convmv" in lines[0]
    assert [line.split()[1] for line in lines[:4]] == 3 * ["ImageReadError"] + ["DataError"]


def test_predict_skips_the_file_and_goes_on(folder: Path) -> None:
    code = (
        "import sys; from muscletransfer.prediction.cases import find_cases\n"
        "found = find_cases([sys.argv[1]])\n"
        "print([c.name for c in found.cases], [(p.image, p.message) for p in found.problems])\n"
    )
    done = python("-c", code, str(folder))
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("['plain'] [(")
    assert "a name that is no UTF-8" in done.stdout


def test_data_index_of_such_a_root_is_one_line(folder: Path) -> None:
    odd = folder.parent / ODD
    folder.rename(odd)
    manifest = folder.parent / "manifest.csv"
    for source, cwd in ((str(odd), None), (".", odd)):
        command = ["-m", "muscletransfer", "data", "index", source, "-o", str(manifest)]
        done = python(*command, cwd=cwd)
        assert done.returncode == 2, done.stderr
        assert done.stderr.startswith("error: ")
        assert "no UTF-8" in done.stderr
    assert not manifest.exists()


def test_a_study_in_such_a_folder_is_an_error(folder: Path) -> None:
    odd = folder.parent / ODD
    odd.mkdir()
    (odd / "s.yaml").write_text(
        "data: {phantom: {patients: 4, size: 32, other_levels: 0}, num_folds: 2}\n"
        "train_patients: [2]\nsources: [random]\n"
    )
    done = python("-m", "muscletransfer", "study", "run", "s.yaml", cwd=odd)
    assert done.returncode == 2, done.stderr
    assert done.stderr.splitlines()[-1].startswith("error: ")
    assert "no UTF-8" in done.stderr


def test_ids_of_such_names_differ_and_those_of_others_stay() -> None:
    assert content_key(ODD) != content_key(os.fsdecode(b"caf\xea"))
    assert content_key(["Größe", 1]) == (
        "13278c9d52d42e823f2a7c41092e02cd11ea18219612bb4914c76f4e08ce8d2f"
    )
