"""How long and how large: measured on a miniature of the study, kept, and added up."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest
from tiny_cases import ct_cases, grey_cases, photographs, study

from muscletransfer.data.manifest import Manifest
from muscletransfer.study.config import config_from_dict
from muscletransfer.study.plan import make_jobs, plan_study
from muscletransfer.study.plan.estimate import estimate
from muscletransfer.study.plan.probe import Measured, probe_plan, shape_of
from muscletransfer.study.work.best import KeepBest
from muscletransfer.study.work.few import few_images
from muscletransfer.study.work.pretrain import build_data


def test_a_probe_measures_each_kind_of_work_once_and_is_kept(tmp_path: Path) -> None:
    manifest = grey_cases(tmp_path / "grey", 8)
    own = {"images": [str(photographs(tmp_path / "photos", 40)), "manifest"]}
    plain = study(
        manifest,
        sources=[
            "random",
            {"name": "frozen", "freeze": "encoder"},
            {"pretext": "jigsaw", "data": {**own, "where": {}}},
            {
                "pretext": "reconstruction",
                "data": {"images": "manifest", "where": {"role": "further"}},
                "transfers": ["encoder", "encoder+decoder"],
            },
        ],
    )
    plain["train_patients"] = [2, 3]
    plain["pretraining"]["steps"] = plain["finetune"]["steps"] = 5000  # a probe takes a few
    plain["data"] |= {
        "where": {"role": "primary"},
        "class_names": ["disc", "corner"],
        "preprocessing": {"size": 32, "hu_window": None},
    }
    plan = plan_study(config_from_dict(plain))
    costs = probe_plan(plan, cache_dir=tmp_path / "kept", accelerator="cpu")
    kinds = {shape_of(spec) for spec in plan.specs}
    assert set(costs) == kinds
    assert len(kinds) == 4  # two tasks; a trained and a frozen encoder, whatever the source and n
    for spec in plan.specs:
        cost = costs[shape_of(spec)]
        assert cost.step > 0
        assert cost.fixed_bytes > 0
        assert (cost.case > 0) == (cost.case_bytes > 0) == (spec in plan.runs)
    shutil.rmtree(tmp_path / "grey")  # what is known needs no image
    assert probe_plan(plan, cache_dir=tmp_path / "kept", accelerator="cpu") == costs


def test_a_few_images_stand_for_all_and_for_each_class(tmp_path: Path) -> None:
    for name, count in (("a", 30), ("b", 9), ("c", 1)):
        photographs(tmp_path / "photos" / name, count, seed=count)
    source = {"path": str(tmp_path / "photos"), "kind": "class_folder"}
    options = {"mask_column": "mask", "label_column": "label", "where": {}, "slices": "listed"}
    for most, counts in ((8, [6, 2, 1]), (4, [3, 1, 1]), (100, [30, 9, 1])):
        (small,), _ = few_images([source], options, tmp_path, most)
        rows = Manifest.read(small["path"]).rows
        assert [sum(row.label == name for row in rows) for name in "abc"] == counts
        assert len({row.image for row in rows}) == len(rows)


def test_a_picture_in_two_classes_stands_once_among_a_few(tmp_path: Path) -> None:
    photographs(tmp_path / "photos" / "a", 6)
    photographs(tmp_path / "photos" / "b", 6, seed=1)
    (tmp_path / "photos" / "b" / "0.png").unlink()
    (tmp_path / "photos" / "b" / "0.png").symlink_to(tmp_path / "photos" / "a" / "0.png")
    source = {"path": str(tmp_path / "photos"), "kind": "class_folder"}
    options = {"mask_column": "mask", "label_column": "label", "where": {}, "slices": "listed"}
    for most, count in ((1, 2), (4, 5), (100, 11)):
        (small,), _ = few_images([source], options, tmp_path, most)
        rows = Manifest.read(small["path"]).rows
        assert {row.label for row in rows} == {"a", "b"}
        assert len({row.image for row in rows}) == len(rows) == count


def test_a_probe_of_images_that_are_sorted_by_class(tmp_path: Path) -> None:
    photographs(tmp_path / "photos" / "a", 30)
    photographs(tmp_path / "photos" / "b", 10, seed=1)
    source = {"pretext": "classification", "data": {"images": str(tmp_path / "photos")}}
    plain = study(ct_cases(tmp_path / "cases"), train_patients=[2], sources=[source])
    plan = plan_study(config_from_dict(plain))
    costs = probe_plan(plan, cache_dir=tmp_path / "kept", accelerator="cpu")
    assert set(costs) == {shape_of(spec) for spec in plan.specs}


def test_a_probe_validates_nothing_and_counts_the_weights_that_are_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What a validation costs is added by `estimate`, from the cost of a test case."""

    def never(self: KeepBest, *_: Any) -> None:
        raise AssertionError("a probe validated")

    monkeypatch.setattr(KeepBest, "on_validation_end", never)
    selection = {"rule": "best", "validation_patients": 2, "every": 2}
    plain = study(ct_cases(tmp_path / "cases"), train_patients=[2], selection=selection)
    costs = []
    for kept in (False, True, False):
        plan = plan_study(config_from_dict({**plain, "keep_weights": kept}))
        (cost,) = probe_plan(plan, cache_dir=tmp_path / "kept", accelerator="cpu").values()
        costs.append(cost)
    assert costs[1].fixed_bytes - costs[0].fixed_bytes > 1_000_000  # model.ckpt
    assert costs[2] == costs[0]  # remembered, each of its own


def test_a_probe_of_ct_with_photographs_sees_each_as_the_study_does(tmp_path: Path) -> None:
    images = [str(photographs(tmp_path / "photos", 12)), "manifest"]
    plain = study(
        ct_cases(tmp_path / "ct", 12), sources=[{"pretext": "jigsaw", "data": {"images": images}}]
    )
    plan = plan_study(config_from_dict(plain))
    job = next(job for job in make_jobs(plan, tmp_path) if job.id == plan.pretexts[0].id)
    seen = []
    for most in (None, 4):
        lists = tmp_path / f"lists{most}"
        lists.mkdir()
        where = {**job.payload["where"], "most_images": most, "cache_dir": str(tmp_path / "c")}
        data = build_data(plan.pretexts[0], where, lists)
        data.setup("fit")
        seen.append((data.preprocessing, data.augmentation, data.train_set))
    assert seen[0][:2] == seen[1][:2]
    assert [part.preprocessing for part in seen[0][2].parts] == [
        part.preprocessing for part in seen[1][2].parts
    ]
    assert [len(part) for part in seen[1][2].parts] == [3, 1]


@pytest.mark.parametrize(("every", "times"), [(5, 2), (50, 1)])
def test_an_estimate_adds_up_what_is_left(every: int, times: int) -> None:
    plain = {
        "data": {"phantom": {"patients": 12}, "num_folds": 3},
        "train_patients": [2, 4],
        "sources": ["random", {"pretext": "jigsaw", "data": {"images": "other_levels"}}],
        "pretraining": {"steps": 50},
        "finetune": {"steps": 10},
        "selection": {"rule": "best", "validation_patients": 2, "every": every},
    }
    plan = plan_study(config_from_dict(plain))
    run, pretext = Measured(1.0, 0.1, 0.5, 1000, 10), Measured(3.0, 0.2, 0.0, 500, 0)
    costs = {shape_of(r): run for r in plan.runs} | {shape_of(p): pretext for p in plan.pretexts}
    whole = estimate(plan, costs)
    # 12 runs: start, 10 steps, 4 test cases, validations of 2 cases at half the price of a test
    each = 1.0 + 10 * 0.1 + (4 + times * 2 / 2) * 0.5
    assert whole.jobs == 12 + 3
    assert whole.run_seconds == pytest.approx(12 * each)
    assert whole.pretext_seconds == pytest.approx(3 * (3.0 + 50 * 0.2))
    assert whole.bytes == 12 * (1000 + 4 * 10) + 3 * 500
    finished = {plan.pretexts[0].id, *(r.id for r in plan.runs[:5])}
    left = estimate(plan, costs, finished)
    assert left.jobs == 9
    assert left.seconds == pytest.approx(7 * each + 2 * 13.0)
