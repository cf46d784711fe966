"""Every benchmark runs through its command line at a tiny size; none is forgotten."""

from __future__ import annotations

import importlib.util
import json
import math
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

FOLDER = Path(__file__).parents[2] / "examples" / "benchmarks"
TINY = ["--encoder", "resnet10t", "--size", "32", "--batch", "2"]
# In four tests, so that two workers share them; {out} is a folder of the test.
GROUPS: dict[str, dict[str, str | list[str]]] = {
    "training": {
        "training_speed.py": "--rounds 1 --steps 1 --loops plain bare fit",
        "prediction.py": "--slices 4 --rounds 1 --steps 1 --size 64 --native 96",
        "monai_training.py": [
            *TINY,
            *["--rounds", "1", "--steps", "1", "--workers", "0", "--hows", "fp32"],
        ],
        "augmentation.py": [*TINY, *["--repeats", "1", "--steps", "1"]],
        "contrastive.py": "--batch 2 --size 32 --repeats 1",
        "puzzles.py": "--batch 2 --size 128 --repeats 1",
        "profile_steps.py": [*TINY, *["--steps", "1", "--native", "64"]],
    },
    "data": {
        "cache.py": "2 1 4",
        "growth.py": "--slices 4 8 --size 32 --repeats 1",
        "indexing.py": "8 1",
        "phantom.py": "--patients 1 --size 48 --workers 1 --repeats 1",
        "distance.py": "--patients 1 --observers 1 --size 128 --repeats 1",
        "observers.py": "--cases 3 --observers 3 --size 96",
        "startup.py": "--runs 1",
        "listing.py": "--runs 1 --plugins 2",
    },
    "processes": {
        "memory.py": [*TINY, *["--steps", "1", "--slices", "4", "--rounds", "1"]],
        "two_processes.py": [
            *TINY,
            *["--steps", "1", "--cases", "2", "--rounds", "1", "--sides", "two under DDP"],
        ],
        "dicom_to_model.py": [
            *TINY,
            *["--native", "64", "--seeds", "1", "--dice", "0.01", "--most", "2", "--every", "1"],
            *["--sides", "ours", "MONAI, fp32"],
        ],
    },
    "studies": {
        "study_engine.py": "--only overhead --counts 2 3",
        "study_planning.py": "--runs 50 --times 1",
        "study_report.py": "--patients 12 --repeats 1 --ns 2 4",
        "study_statistics.py": "--sources 2 --patients 12 --repeats 2",
        "quality_flags.py": "--cases 30 --steps 1 --folds 1 --workers 1",
        "wrong_level.py": "--seeds 0 --ordinary 4 --others 1 --steps 1",
    },
}
# Those that write pages, and the command that runs the others; tested below.
PAGES = {"performance_page.py", "scaling.py", "measure.py"}
# What is compared with where it is installed: script, module, a figure that then must be there.
PEERS = [
    ("augmentation.py", "batchgenerators", "batchgenerators, same steps"),
    ("augmentation.py", "batchgenerators", "batchgenerators, nnU-Net's 2-D recipe"),
    ("contrastive.py", "lightly", "lightly, one by one"),
    ("distance.py", "surface_distance", "one pair, surface-distance"),
    ("monai_training.py", "monai", "MONAI, fp32, 0 workers"),
]
# What each of these must say, so that its figures are not taken for what they are not.
SAID = {
    "cache.py": "loop / index and cache, two builders",
    "distance.py": "symmetric mean of the distances, not their root mean square",
    "puzzles.py": "the loader processes after the turns, not in turn",
    "growth.py": "the smaller cohort first, not in turn",
    "augmentation.py": "the step after the turns, not in turn",
}
OTHER_JSON = {"quality_flags.py", "wrong_level.py"}  # tables of their own, not for the page


def test_no_benchmark_is_forgotten() -> None:
    tested = {name for group in GROUPS.values() for name in group} | PAGES
    scripts = {p.name for p in FOLDER.glob("*.py") if '__name__ == "__main__"' in p.read_text()}
    assert tested == scripts


def run(*command: str | Path) -> str:
    done = subprocess.run(
        [sys.executable, "-W", "ignore", *map(str, command)],
        env={**os.environ, "OMP_NUM_THREADS": "1", "MPLBACKEND": "Agg"},
        capture_output=True,
        text=True,
        timeout=600,
    )
    assert done.returncode == 0, f"{done.stdout[-2000:]}\n{done.stderr[-4000:]}"
    return done.stdout


def check(name: str, record: dict[str, Any]) -> None:
    """A record can be shown, says what made it, and every figure is a number."""
    assert record["command"].startswith(f"python examples/benchmarks/{name}"), record["command"]
    assert record["figures"], name
    for figure in record["figures"]:
        assert math.isfinite(figure["value"]), (name, figure)
    notes = {figure["what"]: figure["note"] for figure in record["figures"]}
    told = " ".join([*notes, *notes.values(), *record["remarks"]])
    assert SAID.get(name, "") in told
    for script, module, what in PEERS:
        if script == name:
            present = importlib.util.find_spec(module) is not None
            assert any(figure["what"] == what for figure in record["figures"]) == present, what
            assert ("is not installed" in told) != present, told


@pytest.mark.slow
@pytest.mark.timeout(900)
@pytest.mark.parametrize("group", GROUPS)
def test_benchmarks_run(group: str, tmp_path: Path) -> None:
    jobs = []
    for name, words in GROUPS[group].items():
        arguments = words.split() if isinstance(words, str) else words
        written = tmp_path / f"{Path(name).stem}.json"
        jobs.append([str(FOLDER / name), [*arguments, "--json", str(written)]])
    (tmp_path / "jobs").mkdir()
    (tmp_path / "jobs" / "jobs.json").write_text(json.dumps(jobs))
    told = run(Path(__file__).with_name("run_benchmarks.py"), tmp_path / "jobs" / "jobs.json")
    print(told)
    found = json.loads((tmp_path / "jobs" / "jobs.found.json").read_text())
    failed = {name: why for name, why in found.items() if why is not None}
    assert not failed, "\n\n".join(f"{name}\n{why}" for name, why in failed.items())
    for name in set(GROUPS[group]) - OTHER_JSON:
        check(name, json.loads((tmp_path / f"{Path(name).stem}.json").read_text()))
    if not set(GROUPS[group]) & OTHER_JSON:
        page = tmp_path / "page.md"
        run(FOLDER / "performance_page.py", tmp_path, page)
        headings = page.read_text().count("\n## ")
        assert headings == 1 + len(jobs)  # what is fast by itself, then each benchmark


@pytest.mark.parametrize(("script", "module", "what"), PEERS)
def test_peer_is_compared_with(script: str, module: str, what: str) -> None:
    if importlib.util.find_spec(module) is None:
        pytest.skip(
            f"{module} is not installed, so {script} leaves out {what!r}; "
            "examples/benchmarks/peers/environment.py makes an environment that has it"
        )
    sys.path.insert(0, str(FOLDER))
    try:
        from peers import same_augmentation
        from peers.installed import installed
        from record import Record
    finally:
        sys.path.remove(str(FOLDER))
    record = Record("peers")
    assert installed(record, module, module.replace("_", "-"))
    assert record.remarks[0][-2].isdigit(), record.remarks
    assert callable(same_augmentation.nnunet_transform)


def test_environment_of_the_peers_sees_these_packages(tmp_path: Path) -> None:
    (tmp_path / "none.txt").write_text("")
    script = FOLDER / "peers" / "environment.py"
    python = run(script, tmp_path / "own", "--requirements", tmp_path / "none.txt").strip()
    code = "import sys, muscletransfer, numpy; print(sys.prefix)"
    assert Path(run_with(python, code)) == tmp_path / "own"
    again = subprocess.run([sys.executable, script, tmp_path / "own"], capture_output=True)
    assert again.returncode != 0
    assert b"is an environment already" in again.stderr


def run_with(python: str, code: str) -> str:
    done = subprocess.run([python, "-c", code], capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def test_page_says_what_is_missed_left_out_and_not_of_a_gpu(tmp_path: Path) -> None:
    figure = {"what": "a", "value": 2.0, "unit": "ms", "wanted": 1.0, "least": False, "note": ""}
    record = {"title": "T", "command": "c", "machine": "m", "load": 0.0, "date": "d"}
    record |= {"figures": [figure], "remarks": ["x is not installed"], "tables": {"t": "r"}}
    (tmp_path / "1.json").write_text(json.dumps({**record, "accelerator": ""}))
    run(FOLDER / "performance_page.py", tmp_path, tmp_path / "page.md")
    page = (tmp_path / "page.md").read_text()
    assert "0 of 1 limits are met." in page
    assert "- T: a is 2 ms, wanted at most 1 ms" in page
    assert "x is not installed" in page
    assert "```text\nr\n```" in page
    assert "No GPU was at hand" in page
    (tmp_path / "2.json").write_text(json.dumps({**record, "accelerator": "NVIDIA H200"}))
    run(FOLDER / "performance_page.py", tmp_path, tmp_path / "page.md")
    page = (tmp_path / "page.md").read_text()
    assert "measured on NVIDIA H200" in page
    assert "- T: a is 2 ms, wanted at most 1 ms" in page
    assert "- T, on NVIDIA H200: a is 2 ms, wanted at most 1 ms" in page
    assert [line for line in page.splitlines() if line.startswith("## T")] == [
        "## T",
        "## T, on NVIDIA H200",
    ]


def test_every_figure_of_the_page_has_its_command() -> None:
    names = {
        p.stem.removesuffix("_gpu") for p in (FOLDER.parents[1] / "docs/performance").iterdir()
    }
    listed = dict(line.split(": ") for line in run(FOLDER / "measure.py", "--list").splitlines())
    assert names <= set(listed)
    for words in listed.values():
        assert (FOLDER / words.split()[0]).is_file()
