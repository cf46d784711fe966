"""The whole demo at a tiny size: every stage runs and the report holds what it should."""

import csv
import dataclasses
import math
import re
from pathlib import Path

import pytest

from muscletransfer.demo import run_demo
from muscletransfer.demo.settings import QUICK
from muscletransfer.errors import DataError

TINY = dataclasses.replace(
    QUICK,
    source_patients=4,
    target_patients=24,
    native_size=96,
    network_size=32,
    pretext_steps=2,
    finetune_steps=2,
    val_every=1,
    encoder="timm/resnet10t",
)


@pytest.fixture(scope="module")
def output(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("demo")
    (folder / "runs" / "mine").mkdir(parents=True)
    (folder / "runs" / "mine" / "result.json").write_text("{}")
    assert run_demo(folder, settings=TINY) == folder / "report.html"
    return folder


def test_the_table_has_every_arm_and_the_observers(output: Path) -> None:
    with (output / "table.csv").open() as file:
        rows = list(csv.DictReader(file))
    *arms, band = rows
    wanted = {(s, n) for s in ("random", "jigsaw", "segmentation") for n in ("5", "10")}
    assert {(row["source"], row["n"]) for row in arms} == wanted
    for row in arms:
        assert row["cases"] == "12"  # one of two folds of 24
        assert 0 <= float(row["Dice"]) <= 1
        assert float(row["SMA error (%)"]) >= 0
        assert not math.isnan(float(row["RMS DTA (mm)"]))
    low, high = map(float, band["Dice"].split(" to "))
    assert 0.7 < low <= high <= 1
    assert band["source"].startswith("3 observers")


def test_the_page_is_whole_and_says_that_it_is_synthetic(output: Path) -> None:
    page = (output / "report.html").read_text()
    assert "Every image here is synthetic" in page
    assert "short form" in page
    assert page.count("data:image/png;base64,") == 2
    assert not re.findall(r'(?:src|href)="(?!data:)', page)  # nothing outside the file
    for name in ("jigsaw", "segmentation"):
        assert re.search(rf"\b{name}\b", page)
    assert {p.name for p in output.glob("*.png")} == {"learning_curve.png", "overlays.png"}


def test_a_second_run_uses_the_cohorts_and_gives_the_same_table(
    output: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = (output / "table.csv").read_bytes()
    run_demo(output, quick=True, settings=TINY)
    assert (output / "table.csv").read_bytes() == before
    assert "Dice near 0 and missed muscles are expected" in capsys.readouterr().out


def test_runs_that_are_not_the_demo_s_stay(output: Path) -> None:
    assert (output / "runs" / "mine" / "result.json").read_text() == "{}"


def test_refused_cohorts_leave_the_runs_before(output: Path) -> None:
    before = sorted(output.rglob("*.ckpt"))
    assert len(before) > 2
    with pytest.raises(DataError):
        run_demo(output, settings=dataclasses.replace(TINY, native_size=64))
    assert sorted(output.rglob("*.ckpt")) == before
