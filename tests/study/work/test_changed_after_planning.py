"""What changed after a study was planned stops the job that would use it."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from jobs_by_hand import Study
from tiny_cases import ct_cases, photographs, study

from muscletransfer import create_encoder
from muscletransfer.errors import DataError
from muscletransfer.transfer import save_encoder


def test_a_manifest_that_changed_after_planning_stops_the_run(place: Path) -> None:
    manifest = ct_cases(place / "changing", 12)
    stale = Study(study(manifest), place / "stale")
    manifest.write_text("\n".join(manifest.read_text().splitlines()[:-1]) + "\n")
    with pytest.raises(DataError, match="changed after the study was planned"):
        stale.run(n=2, fold=0)


def test_an_outline_that_changed_after_planning_stops_the_run(place):
    """The rows are the same and so is the split: only the file's content tells."""
    changing = ct_cases(place / "redrawn", 12)
    stale = Study(study(changing), place / "redrawn_study")
    masks = [place / "redrawn" / f"{number}_m.nii.gz" for number in (0, 1)]
    first, second = (mask.read_bytes() for mask in masks)
    masks[0].write_bytes(second)
    masks[1].write_bytes(first)
    with pytest.raises(DataError, match="changed after the study was planned"):
        stale.run(n=2, fold=0)


def test_images_of_a_source_task_that_changed_after_planning_stop_it(place):
    """A list that names other people by then would show those who test."""
    own = ct_cases(place / "own_images", 6)
    listed = ct_cases(place / "listed_images", 5, first=60, prefix="X")
    photos = photographs(place / "photos_listed")
    sources = [
        {"pretext": "jigsaw", "data": {"images": str(listed)}},
        {"name": "mixed", "pretext": "jigsaw", "data": {"images": ["manifest", str(photos)]}},
    ]
    stale = Study(study(own, train_patients=[2], sources=sources), place / "stale_images")
    whole = {spec.fold: spec.id for spec in stale.plan.pretexts}
    assert stale.do(whole[0]).is_dir()  # as planned
    rows = listed.read_text().splitlines()
    listed.write_text("\n".join([*rows[:-1], f"P00,{own.parent / '0.nii.gz'},"]) + "\n")
    with pytest.raises(DataError, match=r"cases\.csv: .*changed after the study was planned"):
        stale.do(whole[None])
    photographs(photos, seed=1)
    with pytest.raises(DataError, match=r"photos_listed: .*changed after the study was planned"):
        stale.do(whole[1])


@pytest.mark.parametrize("task", [None, "jigsaw"])
def test_a_weight_file_that_changed_after_planning_stops_what_starts_from_it(task, place, manifest):
    folder = place / f"swapped_{task}"
    folder.mkdir()
    for seed, name in enumerate(("planned", "other")):
        torch.manual_seed(seed)
        save_encoder(create_encoder("timm/resnet10t", depth=3), folder / f"{name}.safetensors")
    file = folder / "planned.safetensors"
    source = {"name": "mine", "weights": str(file)}
    if task:
        start = {"class_path": task, "init_args": {"weights": str(file)}}
        source = {"pretext": start, "data": {"images": "manifest"}}
    stale = Study(study(manifest, train_patients=[2], sources=[source]), folder / "study")
    first, last = stale.plan.specs[:2]
    assert stale.do(first.id).is_dir()
    (folder / "other.safetensors").replace(file)
    with pytest.raises(DataError, match=r"planned\.safetensors: was changed after the study was"):
        stale.do(last.id)
