"""`muscletransfer data prepare`: each layout from the command line, through to a training run."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from muscletransfer.cli import main
from muscletransfer.cli.data_prepare import structure_table
from muscletransfer.data import Manifest
from muscletransfer.data.archives.miniatures import write_miniature
from muscletransfer.errors import DataError, SettingError


def test_saros_with_its_options(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    root = write_miniature("saros", tmp_path / "saros", patients=2, size=48)
    (root / "Segmentation Info.csv").rename(tmp_path / "table.csv")
    command = ["data", "prepare", "saros", str(root), "-o", str(tmp_path / "out"), "--quiet"]
    options = ["--info", str(tmp_path / "table.csv"), "--slices", "abdomen", "--torso"]
    assert main([*command, *options, "-s", "muscle=2", "-s", "bone=1"]) == 0
    assert "6 slices of 2 patients" in capsys.readouterr().out
    facts = json.loads((tmp_path / "out/manifest.json").read_text())
    assert facts["classes"] == {"1": "bone", "2": "muscle"}
    assert main([*command, "-s", "musle"]) == 2
    assert "Did you mean 'muscle'" in capsys.readouterr().err


@pytest.mark.slow
def test_totalsegmentator_to_a_trained_model(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    write_miniature("totalsegmentator", tmp_path / "data", patients=5, size=64)
    assert main(["data", "prepare", "totalsegmentator", "data", "-o", "l3", "--quiet"]) == 0
    assert main(["data", "check", "l3/manifest.csv", "--quiet"]) == 0
    assert "split train: 3 patients" in capsys.readouterr().out
    assert main(
        [
            "fit", "--model=muscletransfer.SegmentationFineTuner", "--model.num_classes=3",
            "--data=muscletransfer.LowDataModule", "--data.manifest=l3/manifest.csv",
            "--data.split=l3/split.json", "--data.batch_size=2", "--data.cache_dir=cache",
            "--data.num_classes=3",
            "--data.preprocessing.class_path=muscletransfer.data.PreprocessingSpec",
            "--data.preprocessing.init_args.size=64",
            "--trainer.max_steps=2", "--trainer.logger=false",
            "--trainer.enable_progress_bar=false", "--trainer.accelerator=cpu",
            "--trainer.enable_checkpointing=false",
        ]
    ) == 0  # fmt: skip


def test_planned_with_links(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    root = write_miniature("planned", tmp_path / "export", patients=1, size=128)
    command = ["data", "prepare", "planned", str(root), "-o", str(tmp_path / "out"), "--quiet"]
    assert main(command) == 2
    assert "wanted the ROI that is to be outlined" in capsys.readouterr().err
    links = tmp_path / "links.csv"
    assert main([*command, "-s", "Muscle L3", "--links", str(links), "--licence", "ours"]) == 0
    assert "MINI000" in links.read_text()
    assert links.stat().st_mode & 0o077 == 0
    (patient,) = Manifest.read(tmp_path / "out/manifest.csv").patients
    assert patient.endswith("-0001")
    assert json.loads((tmp_path / "out/manifest.json").read_text())["licence"] == "ours"


def test_structures_from_the_command_line() -> None:
    assert structure_table(["a", "b"]) == {"a": 1, "b": 2}
    assert structure_table(["a=b=3"]) == {"a=b": 3}
    for wrong in (["a=0"], ["a=255"], ["=1"], ["a=x"], ["a=1", "b"], ["a=1", "a=2"]):
        with pytest.raises(SettingError, match="wanted"):
            structure_table(wrong)


def test_miniatures_refuse_what_cannot_work(tmp_path: Path) -> None:
    with pytest.raises(SettingError, match="wanted one of saros, totalsegmentator, planned"):
        write_miniature("amos", tmp_path / "a")  # type: ignore[arg-type]
    with pytest.raises(SettingError, match="wanted 1 to 999"):
        write_miniature("saros", tmp_path / "a", patients=0)
    (tmp_path / "b").mkdir()
    (tmp_path / "b/file").touch()
    with pytest.raises(DataError, match="holds files already"):
        write_miniature("saros", tmp_path / "b")
