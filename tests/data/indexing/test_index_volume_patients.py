"""Whose NIfTI files are, and that their names hang on neither the disk nor other people's files."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import SimpleITK as sitk
from ct_exports import body, problems_of

from muscletransfer.data import Manifest
from muscletransfer.data.indexing import index_images


def write(root: Path, *names: str, start: int = 0) -> None:
    for k, name in enumerate(names):
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        image = sitk.GetImageFromArray(np.stack([body(start + 2 * k), body(start + 2 * k + 1)]))
        image.SetSpacing((0.8, 0.8, 3.0))
        sitk.WriteImage(image, str(root / name))


def patients(*roots: Path, **options: Any) -> dict[str, str]:
    """Index trees; return pseudonym by path below the tree."""
    out = roots[0].parent / "out"
    index_images(list(roots), out / "manifest.csv", workers=0, **options)
    found = {}
    for row in Manifest.read(out / "manifest.csv").rows:
        root = next(r for r in roots if row.image.is_relative_to(r))
        found[row.image.relative_to(root.parent).as_posix()] = row.patient_id
    return found


def reasons(root: Path) -> list[str]:
    rows = problems_of(root.parent / "out" / "problems.csv")
    assert all(row["outcome"] == "check" for row in rows)
    return [row["reason"] for row in rows]


def test_one_file_without_a_subject_leaves_the_others_theirs(tmp_path: Path) -> None:
    root = tmp_path / "in"
    scans = [f"{name}/ct.nii" for name in ("sub-01/ses-1", "sub-01/ses-2", "sub-02/ses-1")]
    write(root, *scans)
    assert len(set(patients(root).values())) == 2
    assert reasons(root) == []
    write(root, "phantom.nii", start=40)
    found = patients(root)
    assert found["in/sub-01/ses-1/ct.nii"] == found["in/sub-01/ses-2/ct.nii"]
    assert len(set(found.values())) == 3
    (told,) = reasons(root)
    assert told.startswith("1 of 4 volumes have no subject (sub-...) in their path")
    write(root, "test/a/ct.nii", start=50)
    assert len(set(patients(root).values())) == 4


def test_folders_that_may_be_scans_of_one_patient_are_told(tmp_path: Path) -> None:
    root = tmp_path / "in"
    write(root, "A/ct.nii", "B/ct.nii")
    assert len(set(patients(root).values())) == 2
    assert reasons(root) == []
    write(root, "A/follow/ct.nii", start=40)
    assert len(set(patients(root).values())) == 3
    (told,) = reasons(root)
    assert told.startswith("2 folders with volumes share a folder below")
    assert "as this one and A/follow" in told
    assert len(set(patients(root, patient="in/([AB])/").values())) == 2
    assert reasons(root) == []


def test_a_moved_tree_has_the_same_names(tmp_path: Path) -> None:
    write(tmp_path / "all", "case0.nii", "case1.nii")
    shutil.copytree(tmp_path / "all", tmp_path / "deep" / "moved" / "all")
    moved = tmp_path / "deep" / "moved" / "all"
    for options in ({}, {"patient": "folder"}, {"key": tmp_path / "key"}):
        assert patients(tmp_path / "all", **options) == patients(moved, **options)
    assert reasons(moved) == [
        f"2 volumes are named after where they lie in {moved}, not after a patient"
    ]
    patients(moved, key=tmp_path / "key", patient="(case[0-9])")
    assert reasons(moved) == []


def test_a_folder_indexed_with_others_has_other_names_which_is_told(tmp_path: Path) -> None:
    for k, hospital in enumerate("ab"):
        write(tmp_path / hospital, "case0.nii", start=40 * k)
    options = {"key": tmp_path / "key", "patient": "file"}
    alone = patients(tmp_path / "a", **options)
    (told,) = problems_of(tmp_path / "out" / "problems.csv")
    assert "indexed together with other folders, get others" in told["way_out"]
    together = patients(tmp_path / "a", tmp_path / "b", **options)
    assert alone["a/case0.nii"] not in together.values()


def test_files_of_other_people_at_the_same_places_have_other_names(tmp_path: Path) -> None:
    for k, hospital in enumerate("ab"):
        write(tmp_path / hospital / "in", "case0.nii", "case1.nii", start=40 * k)
    first, second = patients(tmp_path / "a" / "in"), patients(tmp_path / "b" / "in")
    assert not set(first.values()) & set(second.values())


@pytest.mark.parametrize("rule", ["auto", "(sub-[0-9]+)"])
def test_subjects_of_two_data_sets_have_other_names(tmp_path: Path, rule: str) -> None:
    for k, hospital in enumerate("ab"):
        write(tmp_path / hospital / "in", "sub-01/ct.nii", "sub-02/ct.nii", start=40 * k)
    first, second = (patients(tmp_path / h / "in", patient=rule) for h in "ab")
    assert not set(first.values()) & set(second.values())
    shutil.copytree(tmp_path / "a" / "in", tmp_path / "moved" / "in")
    assert patients(tmp_path / "moved" / "in", patient=rule) == first


def test_subjects_that_may_be_those_of_another_data_set_are_told(tmp_path: Path) -> None:
    for k, hospital in enumerate("ab"):
        write(tmp_path / hospital, "sub-01/ct.nii", "sub-02/ct.nii", start=40 * k)
    assert len(set(patients(tmp_path / "a", tmp_path / "b").values())) == 2
    (told,) = reasons(tmp_path / "a")
    assert told.startswith("2 subjects lie in several folders each, as sub-01 in a and b")
    apart = patients(tmp_path / "a", tmp_path / "b", patient="([^/]+/sub-[A-Za-z0-9]+)")
    assert len(set(apart.values())) == 4
    assert reasons(tmp_path / "a") == []
    patients(tmp_path / "a", key=tmp_path / "key")
    assert reasons(tmp_path / "a") == ["2 volumes are named after a subject (sub-...)"]
    patients(tmp_path / "a", key=tmp_path / "key", patient="(a/sub-[0-9]+)")
    assert reasons(tmp_path / "a") == []


def test_a_folder_above_the_tree_is_no_subject(tmp_path: Path) -> None:
    root = tmp_path / "sub-cohort" / "in"
    write(root, "anna/ct.nii", "bert/ct.nii", start=0)
    assert len(set(patients(root).values())) == 2
    write(root, "sub-01/ct.nii", start=40)
    assert len(set(patients(root).values())) == 3


@pytest.mark.parametrize("name", ["sub-01", "sub-01/ses-1"])
def test_a_folder_of_one_subject_alone_is_one_patient(tmp_path: Path, name: str) -> None:
    write(tmp_path / "in" / name, "a/ct.nii", "b/ct.nii")
    found = patients(tmp_path / "in" / name)
    assert len(set(found.values())) == 1
    (told,) = problems_of((tmp_path / "in" / name).parent / "out" / "problems.csv")
    assert told["reason"].startswith("2 volumes are taken for one patient, sub-01, ")
    key = {"key": tmp_path / "key"}
    assert set(patients(tmp_path / "in", **key).values()) == set(
        patients(tmp_path / "in" / name, **key).values()
    )


def test_equal_names_of_two_sources_stay_apart(tmp_path: Path) -> None:
    for k, hospital in enumerate("ab"):
        write(tmp_path / hospital, "case0.nii", "case1.nii", start=40 * k)
    for rule in ("file", "folder"):
        found = patients(tmp_path / "a", tmp_path / "b", patient=rule)
        assert len(set(found.values())) == (4 if rule == "file" else 2)
        assert found["a/case0.nii"] != found["b/case0.nii"]
