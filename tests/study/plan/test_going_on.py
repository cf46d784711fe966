"""A study that goes on from its folder is the one that was planned."""

from __future__ import annotations

import json
from pathlib import Path

from tiny_cases import ct_cases, study

from muscletransfer import create_encoder
from muscletransfer.study.config import config_from_dict
from muscletransfer.study.config.study import StudyConfig
from muscletransfer.study.plan import StudyPlan, make_jobs, plan_study, study_config
from muscletransfer.study.running.local_store import LocalStore
from muscletransfer.study.running.plans import read_plans, record_plan
from muscletransfer.transfer import save_encoder

PHANTOM = {"phantom": {"patients": 40}, "num_folds": 4}
OWN = {"images": "other_levels"}


def test_a_study_is_read_back_as_it_was_planned_where_a_plug_in_is_missing(tmp_path: Path) -> None:
    sources = ["random", "imagenet", "jigsaw", {"pretext": "rotation"}, "mine.ckpt"]
    plain = {"data": PHANTOM, "train_patients": [5], "pretraining": {"data": OWN}}
    config = config_from_dict({**plain, "sources": sources}, tmp_path, check=False)
    record = StudyPlan(config, plan_study(config_from_dict({**plain, "sources": ["random"]})).cases,
                       (), ()).record()  # fmt: skip
    # the plan of a machine that has a plug-in with this task
    text = json.dumps(record).replace("jigsaw", "elsewhere/flip")
    record_plan(LocalStore(tmp_path), json.loads(text), [])
    back = study_config(tmp_path)
    assert [(source.name, source.kind) for source in back.sources] == [
        ("random", "random"),
        ("imagenet", "weights"),
        ("elsewhere/flip", "pretext"),
        ("rotation", "pretext"),
        ("mine.ckpt", "weights"),
    ]
    assert back.sources[2].pretext.task == "elsewhere/flip"
    assert back.to_dict() == json.loads(text)["config"] | {"name": back.name}


def test_who_goes_on_from_the_folder_has_edited_nothing(tmp_path: Path) -> None:
    sources = ["random", "jigsaw", {"pretext": "rotation"}, {"weights": "w.safetensors"}]
    save_encoder(create_encoder("timm/resnet10t", depth=3), tmp_path / "w.safetensors")
    shared = {"images": "manifest"}
    plain = study(
        ct_cases(tmp_path / "cases"), sources=sources, pretraining={"data": shared, "steps": 3}
    )
    folder = tmp_path / "study"

    def start(config: StudyConfig) -> str:
        plan = plan_study(config)
        return record_plan(LocalStore(folder), plan.record(), make_jobs(plan, folder))

    first = start(config_from_dict(plain, tmp_path))
    assert start(study_config(folder)) == start(study_config(folder)) == first
    (plan,) = read_plans(folder)
    assert len(plan.starts) == 3
    assert plan.config["file"] == plain
