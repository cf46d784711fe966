"""What a job does: from a specification to weights, cases and masks, the same every time."""

from __future__ import annotations

import csv
import json
import math
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from jobs_by_hand import RECONSTRUCTION, Study, json_of, rows_of
from tiny_cases import SMALL_NET, ct_cases, grey_cases, photographs, study

from muscletransfer.data.manifest import Manifest, slices
from muscletransfer.data.manifest.rows import ManifestRow
from muscletransfer.errors import DataError
from muscletransfer.metrics import dice
from muscletransfer.study.plan.splits import StudySplits
from muscletransfer.study.results import read_masks
from muscletransfer.study.work import finetune, pretrain
from muscletransfer.study.work.best import KeepBest
from muscletransfer.study.work.finetune import build_data, build_model
from muscletransfer.transfer import inspect_file, read_artifact


@pytest.fixture(scope="module")
def done(place: Path, manifest: Path) -> Study:
    sources = ["random", {"name": "frozen", "freeze": "encoder"}, RECONSTRUCTION]
    return Study(study(manifest, sources=sources, loggers=["csv"]), place / "study")


def test_a_pre_training_leaves_weights_without_its_test_patients(done: Study) -> None:
    spec = done.plan.pretexts[0]
    folder = done.do(spec.id)
    names = {path.name for path in folder.iterdir()}
    assert names == {
        *("weights.safetensors", "metrics.csv", "result.json", "provenance.json", "spec.json"),
    }
    result = json_of(folder, "result.json")
    assert result["excluded_patients"] == 6
    assert result["train_patients"] == 5  # one of the others shows how well it was learnt
    assert (result["steps"], result["threads"]) == (3, 1)
    assert "val_loss" in result["scores"]
    artifact = read_artifact(folder / "weights.safetensors")
    assert artifact.decoder_state is not None
    assert artifact.provenance.task == "reconstruction"
    assert artifact.provenance.data["excluded_patients"] == 6
    assert json_of(folder, "spec.json") == spec.to_dict()
    for text in (path.read_text() for path in folder.iterdir() if path.suffix != ".safetensors"):
        assert not any(patient in text for patient in done.plan.cases.patients)


def test_a_run_writes_a_row_a_test_case_that_fits_its_masks(done: Study, manifest: Path) -> None:
    spec = done.spec(source="random", n=4, fold=1)
    folder = done.do(spec.id)
    test = StudySplits(done.plan.config, done.plan.cases).test(1)
    rows, masks = rows_of(folder), read_masks(folder / "masks.npz")
    assert sorted(row["patient"] for row in rows) == sorted(test)
    read = Manifest.read(manifest)
    for row in rows:
        case = int(row["case"])
        assert read.rows[case].patient_id == row["patient"]
        reference = np.asarray(_labels(read.rows[case]))
        assert masks[row["case"]].shape == reference.shape
        assert float(row["dice"]) == pytest.approx(dice(masks[row["case"]], reference), abs=1e-9)
        assert (row["class_name"], row["dta_unit"]) == ("muscle", "mm")
        assert float(row["sma_reference_cm2"]) > 0
        assert row["failed"] == str(math.isinf(float(row["dta_rms"])))
    result = json_of(folder, "result.json")
    assert (result["labels_train"], result["labels_validation"], result["steps"]) == (4, 0, 4)
    assert result["best_step"] == 4
    assert (folder / "metrics.csv").is_file()  # the logger that was asked for
    assert json_of(folder, "provenance.json")["data"]["fold"] == 1


def _labels(row: ManifestRow) -> Any:
    from muscletransfer.data import read_ct, read_mask

    return read_mask(row.mask, read_ct(row.image)).labels[0]


def test_what_is_transferred_is_what_the_source_learnt(done: Study) -> None:
    for transfer in ("encoder", "encoder+decoder"):
        spec = done.spec(source="reconstruction", n=2, fold=0, transfer=transfer)
        folder = done.do(spec.id)
        weights = done.folder / "pretexts" / spec.pretext / "weights.safetensors"
        learnt = read_artifact(weights)
        model = build_model(spec, str(weights))
        for key, value in learnt.encoder_state.items():
            assert torch.equal(model.model.encoder.state_dict()[key], value)
        same = [
            torch.equal(model.model.decoder.state_dict()[key], value)
            for key, value in learnt.decoder_state.items()
        ]
        assert all(same) == (transfer == "encoder+decoder")
        chain = json_of(folder, "provenance.json")
        assert chain["task"] == "segmentation-finetuning"
        assert chain["parent"]["task"] == "reconstruction"
        assert chain["parent"]["sha256"] == inspect_file(weights).sha256


def test_a_frozen_encoder_stays_as_it_was(place: Path, done: Study, manifest: Path) -> None:
    plain = study(manifest, sources=[{"name": "frozen", "freeze": "encoder"}], keep_weights=True)
    kept = Study(plain, place / "kept")
    spec = kept.spec(n=2, fold=0)
    assert spec.id == done.spec(source="frozen", n=2, fold=0).id
    folder = kept.do(spec.id)
    before = build_model(spec, None).model.encoder.state_dict()
    after = read_artifact(folder / "model.ckpt").encoder_state
    assert all(torch.equal(before[key], value) for key, value in after.items())
    assert inspect_file(folder / "model.ckpt").task == "segmentation-finetuning"


def test_the_same_job_gives_the_same_bytes_in_any_process(done: Study, tmp_path: Path) -> None:
    spec = done.spec(source="reconstruction", n=2, fold=0, transfer="encoder+decoder")
    here = done.do(spec.id)
    payload, out = tmp_path / "payload.json", tmp_path / "out"
    payload.write_text(json.dumps(done.payload(spec.id)))
    out.mkdir()
    script = (
        "import json, sys; from pathlib import Path; import torch;"
        "torch.manual_seed(99); torch.set_num_threads(2); torch.rand(5);"  # another history
        "from muscletransfer.study.work.finetune import fine_tune;"
        "fine_tune(json.loads(Path(sys.argv[1]).read_text()), Path(sys.argv[2]))"
    )
    subprocess.run(
        [sys.executable, "-c", script, str(payload), str(out)],
        check=True,
        timeout=240,
        env={**os.environ, "PYTHONHASHSEED": "11", "OMP_NUM_THREADS": "2"},
    )
    for name in ("cases.csv", "masks.npz"):
        assert (out / name).read_bytes() == (here / name).read_bytes()
    # and again here, after other work has moved the global random state
    torch.rand(3)
    again = tmp_path / "again"
    again.mkdir()
    pretext = done.jobs[spec.pretext]
    from muscletransfer.study.work.pretrain import pretrain

    pretrain(done.payload(spec.pretext), again)
    first = read_artifact(done.folder / pretext.folder / "weights.safetensors")
    second = read_artifact(again / "weights.safetensors")
    assert first.provenance.sha256 == second.provenance.sha256
    assert first.decoder_state is not None
    assert all(torch.equal(v, second.decoder_state[k]) for k, v in first.decoder_state.items())


def test_repeats_draw_other_patients_and_other_weights(place: Path, manifest: Path) -> None:
    repeated = Study(study(manifest, repeats=2), place / "repeats")
    first, second = (repeated.spec(n=4, fold=0, repeat=repeat) for repeat in (0, 1))
    splits = []
    for spec in (first, second):
        data = build_data(spec, repeated.jobs[spec.id].payload["where"])
        data.setup("fit")
        splits.append(data.split)
    assert splits[0].test == splits[1].test
    assert set(splits[0].train) != set(splits[1].train)
    kernels = [next(build_model(spec, None).parameters()) for spec in (first, second)]
    assert not torch.equal(*kernels)


def test_the_best_weights_are_those_of_the_best_validation(place: Path, manifest: Path) -> None:
    selection = {"rule": "best", "validation_patients": 2, "every": 2}
    tuned = {"steps": 6, "batch_size": 2, "lr": 0.01}
    chosen = Study(
        study(manifest, selection=selection, finetune=tuned, loggers=["csv"]), place / "best"
    )
    folder = chosen.run(n=2, fold=0)
    result = json_of(folder, "result.json")
    with (folder / "metrics.csv").open() as file:
        logged = [
            (int(row["step"]) + 1, float(row["val_dice"]))
            for row in csv.DictReader(file)
            if row["val_dice"]
        ]
    best = max(value for _, value in logged)
    assert [step for step, _ in logged] == [2, 4, 6]
    assert result["val_dice"] == pytest.approx(best)
    assert result["best_step"] == next(step for step, value in logged if value == best)
    assert (result["labels_train"], result["labels_validation"]) == (2, 2)
    # whether the test saw those weights: test_the_weights_that_are_tested_are_those_...
    assert json_of(folder, "provenance.json")["data"]["val_patients"] == 2


def test_several_classes_in_plain_images_without_spacing(place: Path) -> None:
    images = str(photographs(place / "photos"))
    plain = study(
        grey_cases(place / "grey", 6),
        train_patients=[2],
        sources=[
            {"pretext": "jigsaw", "data": {"images": [images, "manifest"]}},
            {"name": "photos", "pretext": "reconstruction", "data": {"images": images}},
        ],
    )
    plain["data"] |= {
        "where": {"role": "primary"},
        "class_names": ["disc", "corner"],
        "preprocessing": {"size": 32, "hu_window": None, "percentiles": [1, 99]},
    }
    mixed = Study(plain, place / "classes")
    assert {spec.fold for spec in mixed.plan.pretexts if spec.task == "jigsaw"} == {0, 1}
    assert {spec.fold for spec in mixed.plan.pretexts if spec.task == "reconstruction"} == {None}
    for source in ("jigsaw", "photos"):
        rows = rows_of(mixed.run(source=source, fold=0))
        assert {row["class_name"] for row in rows} == {"disc", "corner"}
        assert len(rows) == 2 * 3
        assert {row["dta_unit"] for row in rows} == {"px"}
        assert {row[key] for row in rows for key in ("sma_cm2", "smd_hu")} == {""}


def test_weights_from_a_file(place: Path, manifest: Path) -> None:
    others = ct_cases(place / "others", 6, first=70, prefix="X")
    source = {**RECONSTRUCTION, "data": {"images": str(others)}}
    whole = Study(study(manifest, sources=[source]), place / "whole")
    pretext = whole.plan.pretexts[0]
    file = whole.do(pretext.id) / "weights.safetensors"
    source = {"name": "mine", "weights": str(file), "transfers": ["encoder+decoder"]}
    mine = Study(study(manifest, sources=[source]), place / "mine")
    folder = mine.run(n=2, fold=0)
    # the same start, draw and seed as the run whose pre-training the study did itself
    spec = whole.spec(source="reconstruction", transfer="encoder+decoder", n=2, fold=0)
    assert spec.pretext == pretext.id
    assert (folder / "cases.csv").read_bytes() == (whole.do(spec.id) / "cases.csv").read_bytes()
    assert str(file.parent) not in (folder / "spec.json").read_text()


@pytest.mark.parametrize("decoder", [SMALL_NET["decoders"][0], {"name": "fpn"}])
def test_one_of_several_tasks_trains_the_decoder_that_is_taken_over(
    decoder: dict[str, Any], place: Path, manifest: Path
) -> None:
    tasks = {"jigsaw": None, "restore": {"name": "reconstruction"}}
    source = {"pretext": {"class_path": "multitask", "init_args": {"tasks": tasks}}}
    source |= {"data": {"images": "manifest"}, "transfers": ["encoder+decoder"]}
    plain = study(manifest, sources=[source], decoders=[decoder])
    several = Study(plain, place / f"several_{decoder['name']}")
    parent = json_of(several.run(n=2, fold=0), "provenance.json")["parent"]
    assert parent["task"] == "multitask"
    assert parent["decoder"]["name"] == several.plan.pretexts[0].decoder == decoder["name"]


def test_each_volume_of_a_source_task_is_looked_into_once(
    place: Path, manifest: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    volumes = ct_cases(place / "volumes", 5, first=80, prefix="X")
    rows = [line.rpartition(",")[0] for line in volumes.read_text().splitlines()]
    volumes.write_text("\n".join(rows) + "\n")
    source = {"pretext": "jigsaw", "data": {"images": str(volumes), "slices": "all"}}
    every = Study(study(manifest, sources=[source]), place / "every")
    (spec,) = every.plan.pretexts
    looked: list[Path] = []
    count = slices.count_slices
    monkeypatch.setattr(slices, "count_slices", lambda path: (looked.append(path), count(path))[1])
    data = pretrain.build_data(spec, every.jobs[spec.id].payload["where"], place)
    data.setup("fit")
    assert len(looked) == len(set(looked)) == 5


def test_a_task_that_draws_masks_gets_none_of_the_studys(place: Path, manifest: Path) -> None:
    source = {"pretext": "segmentation", "data": {"images": "manifest"}}
    cheating = Study(study(manifest, sources=[source]), place / "cheating")
    with pytest.raises(DataError, match="the images carry no mask"):
        cheating.do(cheating.plan.pretexts[0].id)


def test_the_weights_that_are_tested_are_those_that_were_chosen(place, manifest, monkeypatch):
    kept = {}

    class First(KeepBest):
        """As if no later validation had been better."""

        def on_validation_end(self, trainer, pl_module):
            if not kept:
                super().on_validation_end(trainer, pl_module)
                kept.update(self._state)

    monkeypatch.setattr(finetune, "KeepBest", First)
    selection = {"rule": "best", "validation_patients": 2, "every": 2}
    tuned = {"steps": 6, "batch_size": 2, "lr": 0.01}
    plain = study(manifest, selection=selection, finetune=tuned, keep_weights=True)
    folder = Study(plain, place / "first").run(n=2, fold=0)
    assert json_of(folder, "result.json")["best_step"] == 2
    saved = torch.load(folder / "model.ckpt", weights_only=True)["state_dict"]
    assert kept
    assert all(torch.equal(saved[key], value) for key, value in kept.items())


def test_of_two_equal_validations_the_first_is_kept():
    class Run:
        def __init__(self, step):
            self.callback_metrics, self.global_step = {"val_dice": torch.tensor(0.5)}, step

    best, module = KeepBest(), torch.nn.Linear(1, 1)
    for step in (2, 4):
        best.on_validation_end(Run(step), module)
    assert (best.step, best.value) == (2, 0.5)


def test_what_the_study_file_says_of_fine_tuning_reaches_the_run(place, manifest):
    tuned = {
        "steps": 7,
        "batch_size": 3,
        "lr": 0.02,
        "weight_decay": 0.03,
        "warmup_steps": 5,
        "encoder_lr_decay": 0.5,
        "loss": "dice",
        "loss_kwargs": {"smooth": 0.5},
    }
    plain = study(manifest, finetune=tuned)
    plain["data"] |= {"slices_per_patient": 2, "augmentation": {"flip": 0.25}}
    asked = Study(plain, place / "asked")
    spec = asked.spec(n=2, fold=0)
    model = build_model(spec, None)
    data = build_data(spec, asked.jobs[spec.id].payload["where"])
    for name in ("lr", "weight_decay", "warmup_steps", "encoder_lr_decay"):
        assert getattr(model, name) == tuned[name], name
    assert model.loss.smooth == 0.5
    assert (data.batch_size, data.steps_per_epoch, data.slices_per_patient) == (3, 7, 2)
    assert data.augmentation.flip == 0.25
