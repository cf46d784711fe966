"""A plan: which runs, with ids that tell exactly what can change a result."""

from __future__ import annotations

import importlib.metadata
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import SimpleITK as sitk
from tiny_cases import ct_cases, study

from muscletransfer import create_encoder
from muscletransfer.errors import SettingError, SplitError, UnknownNameError
from muscletransfer.study.config import config_from_dict
from muscletransfer.study.plan import (
    PretextSpec,
    RunSpec,
    make_jobs,
    plan_study,
)
from muscletransfer.study.plan.models import check_pretexts
from muscletransfer.study.plan.printing import plan_lines
from muscletransfer.study.plan.splits import StudySplits
from muscletransfer.study.plan.versions import class_version, plugin_version
from muscletransfer.transfer import save_encoder

PHANTOM = {"phantom": {"patients": 40}, "num_folds": 4}
OWN = {"images": "other_levels"}


@pytest.fixture(scope="module")
def manifest(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return ct_cases(tmp_path_factory.mktemp("cases"))


def planned(**changes: Any) -> Any:
    plain = {"data": PHANTOM, "train_patients": [5, 10], "sources": ["random"], **changes}
    return plan_study(config_from_dict(plain))


def ids(plan: Any) -> list[str]:
    return [run.id for run in plan.runs]


def test_every_combination_once_and_repeats_outermost() -> None:
    plan = planned(
        encoders=["timm/resnet18", "timm/resnet10t"],
        decoders=["unet", "fpn"],
        transfers=["encoder", "encoder+decoder"],
        repeats=3,
        sources=[
            "random",
            {"name": "imagenet", "weights": "imagenet", "stem": "adapt"},
            {"pretext": "jigsaw", "data": OWN, "decoders": ["unet"]},
            {"pretext": "reconstruction", "data": OWN, "encoders": ["timm/resnet10t"]},
        ],
    )
    # random and imagenet: 2 x 2; jigsaw: 2 x 1; reconstruction: 1 x 2 with two transfers
    arms = {run.arm for run in plan.runs}
    assert len(arms) == 4 + 4 + 2 + 4
    assert len(plan.runs) == len(set(ids(plan))) == 14 * 2 * 4 * 3
    assert [run.repeat for run in plan.runs] == sorted(run.repeat for run in plan.runs)
    assert {run.transfer for run in plan.runs if run.source == "random"} == {"none"}
    assert {run.transfer for run in plan.runs if run.source == "imagenet"} == {"encoder"}
    # seeds belong to fold and repeat: sources are compared on the same draws
    seeds = {(run.fold, run.repeat): set() for run in plan.runs}
    for run in plan.runs:
        seeds[run.fold, run.repeat].add(run.seed)
    assert all(len(found) == 1 for found in seeds.values())
    assert len({next(iter(found)) for found in seeds.values()}) == 4 * 3
    steps = {run.settings["finetune"]["steps"] for run in plan.runs}
    assert len(steps) == 1  # equal steps for every n


def test_one_decoder_trained_for_each_that_takes_it_over() -> None:
    sources = [{"pretext": "reconstruction", "data": OWN}]
    shared = planned(decoders=["unet", "fpn"], transfers=["encoder"], sources=sources)
    own = planned(
        decoders=["unet", "fpn"], transfers=["encoder", "encoder+decoder"], sources=sources
    )
    assert {spec.decoder for spec in shared.pretexts} == {"unet"}
    assert len(shared.pretexts) == 4  # a fold each
    assert sorted(spec.decoder or "" for spec in own.pretexts) == ["fpn"] * 4 + ["unet"] * 4
    decoder_of = {spec.id: spec.decoder for spec in own.pretexts}
    assert all(decoder_of[run.pretext] == run.decoder for run in own.runs)


def test_splits_are_nested_and_test_patients_the_same_for_all() -> None:
    config = config_from_dict(
        {
            "data": PHANTOM,
            "train_patients": [5, 10, 25],
            "repeats": 2,
            "sources": ["random"],
            "selection": {"rule": "best", "validation_patients": 3},
        }
    )
    splits = StudySplits(config, plan_study(config).cases)
    for fold in range(4):
        for repeat in range(2):
            five, ten, most = (splits.split(n, fold, repeat) for n in (5, 10, 25))
            assert five.train == ten.train[:5] == most.train[:5]
            assert five.test == most.test == splits.split(5, fold, 1 - repeat).test
            assert five.val == most.val == splits.split(5, fold, 1 - repeat).val
            assert not set(most.train) & {*most.val, *most.test}
        assert splits.split(5, fold, 0).train != splits.split(5, fold, 1).train
    assert sorted(p for fold in range(4) for p in splits.test(fold)) == [
        f"P{i:04d}" for i in range(1, 41)
    ]


def test_too_few_patients_are_told_with_what_would_do() -> None:
    with pytest.raises(SplitError, match=r"leaves 30 of 40 .* Use train_patients: \[5, 30\]"):
        planned(train_patients=[5, 30, 31])


@pytest.mark.parametrize(
    ("changes", "kept"),
    [
        ({}, "all"),
        ({"name": "another name"}, "all"),
        ({"loggers": ["csv"], "keep_weights": True}, "all"),
        ({"human_level": {"margin": 0.1}}, "all"),
        ({"data": {"phantom": {"patients": 40, "observers": 5, "other_levels": 0}}}, "all"),
        ({"train_patients": [5, 10, 25]}, "all"),
        ({"repeats": 2}, "all"),
        ({"sources": [{"name": "frozen", "freeze": "encoder"}, "random"]}, "all"),
        ({"finetune": {"lr": 2e-3}}, "none"),
        ({"finetune": {"steps": 7}}, "none"),
        ({"data": {"phantom": {"patients": 40, "seed": 1}}}, "none"),
        ({"data": {"phantom": {"patients": 41}}}, "none"),
        ({"data": {**PHANTOM, "seed": 1}}, "none"),
        ({"data": {**PHANTOM, "num_folds": 5}}, "none"),
        ({"data": {**PHANTOM, "preprocessing": {"size": 128}}}, "none"),
        ({"selection": {"rule": "best"}}, "none"),
        ({"compute": {"threads": 2}}, "none"),
        ({"encoders": ["timm/resnet10t"]}, "none"),
        ({"encoders": [{"name": "timm/resnet18", "depth": 4}]}, "none"),
        ({"decoders": ["fpn"]}, "none"),
    ],
)
def test_ids_change_with_what_changes_results_and_with_nothing_else(
    changes: dict[str, Any], kept: str
) -> None:
    before, after = set(ids(planned())), set(ids(planned(**changes)))
    assert before <= after if kept == "all" else not before & after


def test_ids_come_from_content_not_from_paths(manifest: Path, tmp_path: Path) -> None:
    before = ids(plan_study(config_from_dict(study(manifest))))
    moved = tmp_path / "elsewhere"
    shutil.copytree(manifest.parent, moved)
    assert ids(plan_study(config_from_dict(study("elsewhere/cases.csv"), tmp_path))) == before
    mask = sitk.ReadImage(str(moved / "3_m.nii.gz"))
    mask[0, 0, 0] = 1 - mask[0, 0, 0]
    sitk.WriteImage(mask, str(moved / "3_m.nii.gz"))
    changed = ids(plan_study(config_from_dict(study(moved / "cases.csv"))))
    assert not set(changed) & set(before)


def test_ids_tell_of_the_classes_in_whatever_column(tmp_path: Path) -> None:
    others = ct_cases(tmp_path / "others", 4, first=50, prefix="X")
    header, *rows = others.read_text().splitlines()

    def pretext_id(column: str, classes: str) -> str:
        lines = [f"{row},{name}" for row, name in zip(rows, classes, strict=True)]
        others.write_text("\n".join([f"{header},{column}", *lines]) + "\n")
        data = {"images": str(others), "label_column": column}
        sources = [{"pretext": "classification", "data": data}]
        plan = plan_study(config_from_dict(study(manifest, sources=sources)))
        return plan.pretexts[0].id

    manifest = ct_cases(tmp_path / "own")
    for column in ("label", "coarse"):
        first = pretext_id(column, "aabb")
        assert pretext_id(column, "abab") != first
        assert pretext_id(column, "aabb") == first
    # the order of the classes is what a task counts with, the letters are their names
    assert pretext_id("coarse", "ccdd") != pretext_id("coarse", "aabb")


def test_ids_tell_of_the_versions_of_whatever_is_from_elsewhere(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    information = tmp_path / "versioned-1.dist-info"
    (tmp_path / "versioned").mkdir()
    information.mkdir()
    (tmp_path / "versioned" / "__init__.py").write_text(
        "from torch.nn import BCEWithLogitsLoss as Loss\n"
        "from muscletransfer.pretext import JigsawPretext\n\n\n"
        "class Flip(JigsawPretext):\n    pass\n"
    )
    (information / "top_level.txt").write_text("versioned\n")
    (information / "entry_points.txt").write_text(
        "[muscletransfer.pretexts]\nversioned/flip = versioned:Flip\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    tasks = {
        "turn": {"name": "rotation"},
        "flip": {"name": "versioned/flip"},
        "outline": {"name": "segmentation", "loss": "versioned.Loss"},
        "restore": {"name": "reconstruction", "decoder": "versioned.Thin"},
    }
    thin = {"class_path": "reconstruction", "init_args": {"decoder": "versioned.Thin"}}
    sources = [
        {"pretext": {"class_path": "multitask", "init_args": {"tasks": tasks}}},
        {"pretext": {"class_path": "segmentation", "init_args": {"loss": "versioned.Loss"}}},
        {"pretext": thin},
        {"pretext": {"class_path": "jigsaw", "init_args": {"weights": "imagenet"}}},
        {"pretext": "jigsaw", "name": "own"},
        {"pretext": {"class_path": "segmentation", "init_args": {"loss": "dice"}}, "name": "seg"},
    ]

    def plugins(version: str) -> list[Any]:
        text = f"Metadata-Version: 2.1\nName: versioned\nVersion: {version}\n"
        (information / "METADATA").write_text(text)
        plugin_version.cache_clear()
        class_version.cache_clear()
        plan = planned(
            sources=[{"data": OWN, **source} for source in sources],
            finetune={"loss": "versioned.Loss"},
        )
        return [plan.runs[0], *(spec for spec in plan.pretexts if spec.fold == 0)]

    first, second = plugins("1.0"), plugins("2.0")
    timm = f"timm {importlib.metadata.version('timm')}"
    assert [spec.plugins for spec in first] == [
        {"loss": "versioned 1.0"},
        dict.fromkeys(("pretext flip", "loss outline", "decoder restore"), "versioned 1.0"),
        {"loss": "versioned 1.0"},
        {"decoder": "versioned 1.0"},
        {"weights": timm},
        {},
        {},
    ]
    changed = [a.id != b.id for a, b in zip(first, second, strict=True)]
    assert changed == [True, True, True, True, False, False, False]


def test_ids_are_the_same_in_another_process(manifest: Path) -> None:
    plain = study(
        manifest, sources=["random", {"pretext": "jigsaw", "data": {"images": "manifest"}}]
    )
    script = (
        "import json, sys; from muscletransfer.study.config import config_from_dict;"
        "from muscletransfer.study.plan import plan_study;"
        "plan = plan_study(config_from_dict(json.loads(sys.argv[1])));"
        "print([s.id for s in plan.specs])"
    )
    done = subprocess.run(
        [sys.executable, "-c", script, json.dumps(plain)],
        capture_output=True,
        text=True,
        check=True,
        timeout=120,
        env={**os.environ, "PYTHONHASHSEED": "7"},
    )
    here = plan_study(config_from_dict(plain))
    assert done.stdout.strip() == str([spec.id for spec in here.specs])


def test_specs_survive_json_and_name_no_patient(manifest: Path, tmp_path: Path) -> None:
    plan = plan_study(
        config_from_dict(
            study(manifest, sources=[{"pretext": "jigsaw", "data": {"images": "manifest"}}])
        )
    )
    run, pretext = plan.runs[0], plan.pretexts[0]
    for spec, cls in ((run, RunSpec), (pretext, PretextSpec)):
        text = json.dumps(spec.to_dict())
        assert cls.from_dict(json.loads(text)) == spec
        assert not any(patient in text for patient in plan.cases.patients)
        assert str(manifest.parent) not in text
    jobs = make_jobs(plan, tmp_path)
    assert [job.kind for job in jobs] == ["pretext"] * 2 + ["run"] * 4
    assert all(job.needs == (run.pretext,) for job, run in zip(jobs[2:], plan.runs, strict=True))


@pytest.mark.parametrize("name", ["w.safetensors", "w.pt", "w.model"])
def test_ids_tell_of_weight_files_and_not_of_where_they_lie(
    name: str, manifest: Path, tmp_path: Path
) -> None:
    found = []
    made = save_encoder(create_encoder("timm/resnet10t", depth=3), tmp_path / "w.safetensors")
    for folder in ("here", "there"):
        file = tmp_path / folder / name
        file.parent.mkdir()
        shutil.copy(made, file)
        for given, root in ((str(file), tmp_path), (file.name, file.parent)):
            task = {"class_path": "jigsaw", "init_args": {"weights": given}}
            sources = [given, {"weights": given, "freeze": "encoder", "name": "frozen"},
                       {"pretext": task, "data": {"images": "manifest"}}]  # fmt: skip
            plan = plan_study(config_from_dict(study(manifest, sources=sources), root))
            assert {run.source for run in plan.runs} == {name, "frozen", "jigsaw"}
            found.append([spec.id for spec in plan.specs])
            assert not any(str(tmp_path) in json.dumps(spec.to_dict()) for spec in plan.specs)
            where = make_jobs(plan, tmp_path / "out")[0].payload["where"]
            assert where["weights"] == str(file)
    assert found[1:] == found[:1] * 3
    both = [str(tmp_path / folder / name) for folder in ("here", "there")]
    message = rf"'{name}' twice; wanted different names, .* gets its own by 'name:'"
    with pytest.raises(SettingError, match=message):
        config_from_dict(study(manifest, sources=both))


def test_arguments_of_the_studys_decoder_are_not_those_of_another(manifest: Path) -> None:
    def trained(**init_args: Any) -> tuple[str | None, dict[str, Any]]:
        task = {"class_path": "reconstruction", "init_args": init_args}
        sources = [{"pretext": task, "data": {"images": "manifest"}}]
        plan = plan_study(config_from_dict(study(manifest, sources=sources)))
        check_pretexts(plan)
        return plan.pretexts[0].decoder, plan.pretexts[0].decoder_kwargs

    usual = study(manifest)["decoders"][0]["kwargs"]
    assert trained() == trained(decoder="unet") == ("unet", usual)
    assert trained(decoder="fpn") == ("fpn", {})
    own = {"decoder_channels": [8, 8, 8]}
    assert trained(decoder_kwargs=own) == ("unet", own)


def test_pre_trainings_of_other_steps_are_lines_of_their_own(manifest: Path) -> None:
    images = {"data": {"images": "manifest"}, "pretext": "jigsaw"}
    sources = [{**images, "name": "short"}, {**images, "name": "long", "steps": 9000}]
    plan = plan_study(config_from_dict(study(manifest, sources=sources)))
    lines = [line for line in plan_lines(plan, set()) if "pre-training jigsaw" in line]
    assert [line.partition(": its")[0].strip() for line in lines] == [
        "pre-training jigsaw: timm/resnet10t, 3 steps of 4: 2, one for each of 2 folds",
        "pre-training jigsaw: timm/resnet10t, 9000 steps of 4: 2, one for each of 2 folds",
    ]


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ({"pretext": "jigsaw", "transfers": ["encoder+decoder"]}, "trains no decoder"),
        ({"pretext": {"class_path": "jigsaw", "init_args": {"grit": 2}}}, "Did you mean 'grid'"),
        ({"pretext": "nowhere.tasks.Flip"}, "unknown pretext task 'nowhere.tasks.Flip'"),
        ({"name": "i", "weights": "imagenet"}, "stem: adapt"),
        (
            {"pretext": {"class_path": "jigsaw", "init_args": {"weights": "imagnet"}}},
            r"\(jigsaw\).pretext.init_args.weights is 'imagnet', which is no file .*'imagenet'",
        ),
        (
            {
                "pretext": {"class_path": "reconstruction", "init_args": {"decoder": "fpn"}},
                "transfers": ["encoder+decoder"],
            },
            "trains the decoder 'fpn'",
        ),
        (
            {
                "pretext": {
                    "class_path": "multitask",
                    "init_args": {"tasks": {"reconstruction": {"decoder": "fpn"}}},
                },
                "transfers": ["encoder+decoder"],
            },
            r"trains the decoder 'fpn', .*remove init_args\.tasks\.reconstruction\.decoder",
        ),
        (
            {"pretext": "jigsaw", "data": {**OWN, "preprocessing": {"channels": 3}}},
            "the study's own",
        ),
    ],
)
def test_a_source_that_cannot_work_is_told_before_anything_runs(
    source: dict[str, Any], message: str
) -> None:
    if "pretext" in source:
        source = {"data": OWN, **source}
    with pytest.raises((SettingError, UnknownNameError), match=message):
        planned(sources=[source])
