"""Every shipped configuration runs through the real command line."""

import csv
from pathlib import Path

import pytest
import SimpleITK as sitk
import torch

from muscletransfer.cli import main
from muscletransfer.transfer import inspect_file

CONFIGS = Path(__file__).parents[2] / "examples" / "configs"
PRETEXTS = ["jigsaw", "reconstruction", "classification", "segmentation"]
PRETEXTS += ["rotation", "masked", "simclr", "multitask"]
SMALL = ["--data.init_args.batch_size=4", "--data.init_args.preprocessing.init_args.size=64"]
QUIET = ["--trainer.logger=false", "--trainer.enable_progress_bar=false"]


@pytest.fixture(scope="module")
def workplace(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("cli")
    arguments = ["--patients", "16", "--size", "96", "--other-levels", "3"]
    assert main(["phantom", str(folder / "phantom"), *arguments]) == 0
    return folder


def fit(name: str, root: str, *more: str) -> Path:
    arguments = ["fit", "--config", str(CONFIGS / f"{name}.yaml"), *SMALL, *QUIET]
    assert (
        main([*arguments, "--trainer.max_steps=2", f"--trainer.default_root_dir={root}", *more])
        == 0
    )
    return sorted(Path(root).rglob("*.ckpt"))[-1]


@pytest.fixture
def here(workplace: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(workplace)
    return workplace


def test_there_is_a_configuration_for_each() -> None:
    assert {path.stem for path in CONFIGS.glob("*.yaml")} >= {*PRETEXTS, "finetune"}


@pytest.mark.slow
@pytest.mark.parametrize("name", PRETEXTS)
def test_pretext(name: str, here: Path) -> None:
    checkpoint = fit(name, f"runs/{name}", "--data.init_args.steps_per_epoch=2")
    assert inspect_file(checkpoint).task == name


def test_a_final_model_without_held_out_patients(
    here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    final = ["--data.init_args.fold=null", "--data.init_args.train_patients=all"]
    last = fit("finetune", "runs/final", "--data.init_args.steps_per_epoch=2", *final)
    assert last.name == "last.ckpt"
    assert f"last checkpoint (nobody validated): {last.resolve()}" in capsys.readouterr().out
    assert main(["inspect", str(last)]) == 0
    shown = capsys.readouterr().out
    assert "patients=16" in shown
    assert "held_out=nobody" in shown


@pytest.mark.slow
def test_finetune_test_predict(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    source = fit("segmentation", "runs/source", "--data.init_args.steps_per_epoch=2")
    small = ["--data.init_args.train_patients=5", "--data.init_args.steps_per_epoch=2"]
    best = fit(
        "finetune",
        "runs/tuned",
        *small,
        f"--model.init_args.weights={source}",
        "--model.init_args.transfer=encoder+decoder",
    )
    assert f"best checkpoint: {here}" in capsys.readouterr().out
    source.unlink()  # from here on the pretext file is not needed

    common = ["--config", str(CONFIGS / "finetune.yaml"), *SMALL, *QUIET, *small]
    common += [f"--ckpt_path={best}", "--trainer.default_root_dir=runs/scored"]
    assert main(["validate", *common]) == 0
    assert main(["test", *common]) == 0
    with (here / "runs" / "scored" / "cases.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 4  # one fold of four
    assert all(0 <= float(row["dice"]) <= 1 for row in rows)

    assert main(["predict", *common]) == 0
    written = sorted((here / "runs" / "scored" / "predictions").glob("*.nii.gz"))
    assert written
    image = sitk.ReadImage(str(next((here / "phantom" / "images").glob("*.nii.gz"))))
    assert sitk.ReadImage(str(written[0])).GetSize()[:2] == image.GetSize()[:2]

    capsys.readouterr()
    assert main(["inspect", str(best)]) == 0
    told = capsys.readouterr().out
    assert "segmentation" in told
    assert "P0001" not in told
    assert "P0001" not in str(torch.load(best, weights_only=True, map_location="cpu").keys())


def test_missing_checkpoint_is_one_line(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    common = ["--config", str(CONFIGS / "finetune.yaml"), "--ckpt_path=nowhere.ckpt"]
    assert main(["test", *common]) == 2
    assert "nowhere.ckpt: there is no such file" in capsys.readouterr().err
