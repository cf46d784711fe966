"""One person under several names, as `index_images` with a key writes them in ``aliases``."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
from low_data_modules import ready
from small_cohort import make_small_cohort

from muscletransfer.data import Manifest, ManifestRow, PretextDataModule, Split
from muscletransfer.data.sources.image_source import ImageSource
from muscletransfer.data.sources.roles import assign_roles
from muscletransfer.errors import ManifestError


def source(name: str, called: dict[str, str]) -> ImageSource:
    """Return a manifest of one image a patient, by patient the aliases."""
    rows = [
        ManifestRow(patient, Path(f"{name}_{patient}"), extra={"aliases": aliases})
        for patient, aliases in called.items()
    ]
    return ImageSource(Manifest(tuple(rows), Path(name)), "manifest", (None,) * len(rows))


def learnt(sources: list[ImageSource], exclude: Split, **options: bool) -> set[str]:
    roles = assign_roles(sources, val_fraction=0, seed=0, exclude=exclude, **options)
    return {
        one.manifest.rows[i].patient_id
        for one, rows in zip(sources, roles.train, strict=True)
        for i in rows
    }


def test_a_split_knows_names_that_the_source_does_not() -> None:
    """An index that met one id of a patient only has no aliases to tell."""
    met_one = source("one", {"h2": "", "v2": "", "x": ""})
    split = Split(("t",), ("v1",), ("h1",), aliases={"h1": ("h2", "h3"), "v1": ("v2",)})
    assert learnt([met_one], split) == {"v2", "x"}
    assert learnt([met_one], split, exclude_val=True) == {"x"}


@pytest.mark.parametrize("barred", ["h1", "h2", "h3", "h4"])
def test_names_are_followed_over_all_manifests(barred: str) -> None:
    sources = [
        source("a", {"h1": "h3", "x": ""}),
        source("b", {"h2": "h3 h4", "y": ""}),
        source("c", {"h4": "", "z": ""}),
    ]
    assert learnt(sources, Split((), (), (barred,))) == {"x", "y", "z"}


def test_one_person_either_trains_or_validates() -> None:
    a = source("a", {"h1": "h2", **{f"a{i}": "" for i in range(5)}})
    b = source("b", {"h2": "", **{f"b{i}": "" for i in range(5)}})
    for seed in range(12):
        roles = assign_roles((a, b), val_fraction=0.3, seed=seed)
        assert (0 in roles.train[0]) == (0 in roles.train[1])
        assert roles.count("val")


def called(folder: Path, **aliases: str) -> Manifest:
    manifest = Manifest.read(make_small_cohort(folder))
    rows = [replace(r, extra={"aliases": aliases.get(r.patient_id, "")}) for r in manifest.rows]
    Manifest(tuple(rows), manifest.path).write(manifest.path)
    return manifest


def test_a_saved_split_bars_test_patients_by_all_of_their_names(tmp_path: Path) -> None:
    manifest = called(tmp_path / "cohort", **{f"P{i:02d}": f"Q{i:02d}" for i in range(11)})
    data = ready(tmp_path / "cohort")
    path = data.save_split(tmp_path / "split.json")
    tests = json.loads(path.read_text())["test"]
    others = [replace(r, patient_id=r.patient_id.replace("P", "Q")) for r in manifest.rows]
    Manifest(tuple(others), tmp_path / "other.csv").write(tmp_path / "other.csv")

    def left_out(split: Split | Path) -> int:
        images = PretextDataModule(
            tmp_path / "other.csv", exclude=split, size=32, cache_dir=tmp_path / "cache"
        )
        return int(images.describe()["excluded_patients"])

    assert left_out(path) == len([p for p in tests if p != "P11"]) >= 3
    # a file of before aliases were known takes them from the manifest that it is used with
    plain = {k: v for k, v in json.loads(path.read_text()).items() if k != "aliases"}
    (tmp_path / "old.json").write_text(json.dumps(plain))
    again = ready(tmp_path / "cohort", split=tmp_path / "old.json")
    assert again.split == data.split
    # and a split knows more than a manifest that has lost them
    called(tmp_path / "cohort")
    assert ready(tmp_path / "cohort", split=path).split == data.split
    assert not any(p in json.dumps(data.describe()) for p in ("P0", "Q0"))


def test_labelled_patients_under_two_names_are_refused(tmp_path: Path) -> None:
    """As two manifests of one key joined by hand have them."""
    called(tmp_path, P04="Q P07")
    split = Split(("P00",), (), ("P01",))
    for options in ({}, {"fold": None}, {"split": split}):
        with pytest.raises(
            ManifestError, match=r"row 6: patient 'P04' is also called 'P07'.*row 9"
        ):
            ready(tmp_path, **options)
    called(tmp_path, P04="Q", P07="Q")  # two patients of one id: two, as the index told
    assert ready(tmp_path).split
