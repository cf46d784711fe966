"""Who trains, who validates and who is left out of a source task: by patient, over all images."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from pretext_layouts import cases, draw_layouts, ready

from muscletransfer.data import Manifest, ManifestRow, Split
from muscletransfer.data.sources.image_source import ImageSource
from muscletransfer.data.sources.roles import assign_roles


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return draw_layouts(tmp_path_factory.mktemp("pretext"))


def test_validation_is_by_patient_and_seeded(root: Path) -> None:
    def split(**kwargs: Any) -> tuple[set[str], set[str], list[int]]:
        data = ready(root, "volumes/manifest.csv", val_fraction=0.25, augmentation=None, **kwargs)
        rows = data.sources[0].manifest.rows
        train, val = cases(data.train_dataloader()), cases(data.val_dataloader())
        return {rows[c].patient_id for c in train}, {rows[c].patient_id for c in val}, val

    train, val, order = split()
    assert len(val) == 1
    assert not train & val
    assert len(order) == 6
    assert split() == (train, val, order)
    assert any(split(seed=s)[1] != val for s in range(1, 6))


def test_one_large_volume_does_not_become_the_validation_set(root: Path, tmp_path: Path) -> None:
    lines = [f"P{i:02d},{root}/ct/p{i:02d}.nii.gz" for i in range(1, 6)]
    lines.append(f"P00,{root}/volumes/p00.nii.gz")
    (tmp_path / "uneven.csv").write_text("\n".join(["patient_id,image", *lines]))
    for seed in range(8):
        data = ready(
            root,
            tmp_path / "uneven.csv",
            slices="all",
            val_fraction=0.3,
            augmentation=None,
            seed=seed,
        )
        assert 1 <= len(data.val_set) <= 3


def test_excluded_patients_are_never_drawn(root: Path, tmp_path: Path) -> None:
    split = Split(train=("P00", "P01"), val=("P02",), test=("P03", "P04", "P05"))
    path = split.save(tmp_path / "split.json")
    data = ready(root, "ct/manifest.csv", exclude=path, steps_per_epoch=20)
    rows = data.sources[0].manifest.rows
    seen = {
        rows[c].patient_id
        for loader in (data.train_dataloader(), data.val_dataloader())
        for c in cases(loader)
    }
    assert seen == {f"P{i:02d}" for i in (0, 1, 2, *range(6, 12))}
    told = data.describe()
    assert (told["excluded_patients"], told["excluded_images"]) == (3, 3)
    stricter = ready(root, "ct/manifest.csv", exclude=split, exclude_val=True)
    assert stricter.describe()["excluded_patients"] == 4


def test_patients_are_excluded_by_their_aliases(root: Path) -> None:
    """As `index_images` with a key writes them for patients with several ids."""
    manifest = Manifest.read(root / "ct/manifest.csv")
    called = {"P03": "Q1 Q2", "P04": "Q3"}
    rows = [replace(r, extra={"aliases": called.get(r.patient_id, "")}) for r in manifest.rows]
    path = Manifest(tuple(rows), manifest.path).write(root / "ct/aliases.csv")
    split = Split(train=("P00",), val=("P01",), test=("Q2", "P05", "P"))
    data = ready(root, str(path.relative_to(root)), exclude=split)
    assert data.describe()["excluded_patients"] == 2
    learnt = {r.patient_id for r in data.sources[0].manifest.rows} - {"P03", "P05"}
    assert {
        data.sources[0].manifest.rows[c].patient_id
        for loader in (data.train_dataloader(), data.val_dataloader())
        for c in cases(loader)
    } <= learnt


@pytest.mark.parametrize("barred", ["Q1", "P1"])
def test_names_of_a_patient_in_one_manifest_bar_it_in_all(barred: str) -> None:
    """An index that met one id of a patient only has no aliases to tell."""
    met_all = [ManifestRow("P1", Path("a"), extra={"aliases": "Q1"}), ManifestRow("P2", Path("b"))]
    met_one = [ManifestRow(name, Path(name)) for name in ("P1", "Q1", "P3")]
    sources = [
        ImageSource(Manifest(tuple(rows)), "manifest", (None,) * len(rows))
        for rows in (met_all, met_one)
    ]
    roles = assign_roles(sources, val_fraction=0, seed=0, exclude=Split((), (), (barred,)))
    assert roles.train == ((1,), (2,))
    assert (roles.excluded_patients, roles.excluded_images) == (2, 3)


def source(name: str, counts: dict[str, int]) -> ImageSource:
    rows = [
        ManifestRow(patient, Path(f"{name}_{patient}_{k}.png"))
        for patient, count in counts.items()
        for k in range(count)
    ]
    return ImageSource(Manifest(rows, name), "manifest", (None,) * len(rows))


def test_small_patients_validate_no_more_than_large_ones() -> None:
    volumes = source("volumes", {f"V{i:02d}": 60 + 37 * i % 81 for i in range(20)})
    slices = source("slices", {f"S{i:02d}": 1 for i in range(30)})
    for seed in range(8):
        for sources in ((volumes, slices), (slices, volumes)):
            roles = assign_roles(sources, val_fraction=0.1, seed=seed)
            for one, val in zip(sources, roles.val, strict=True):
                assert 0.02 < len(val) / len(one.manifest) <= 0.1
    # nor where both are in one manifest: whom it meets first is drawn, not who fits
    both = source(
        "both", {f"V{i:02d}": 10 for i in range(20)} | {f"S{i:02d}": 1 for i in range(40)}
    )
    validating = [
        both.manifest.rows[i].patient_id[0]
        for seed in range(40)
        for i in assign_roles((both,), val_fraction=0.25, seed=seed).val[0]
    ]
    assert validating.count("S") / 40 < 0.3 * 40


@pytest.mark.parametrize("patients", [1, 3])
def test_a_patient_validates_where_no_manifest_has_one_to_spare(patients: int) -> None:
    many = [source(str(k), {f"P{k}{i}": 6 for i in range(patients)}) for k in range(10)]
    assert assign_roles(many, val_fraction=0.1, seed=0).count("val") == 6 * patients
    assert assign_roles(many[:2], val_fraction=0.1, seed=0).count("val") == 6


def test_one_patient_in_two_manifests_has_one_role_and_counts_once() -> None:
    patients = [f"P{i:02d}" for i in range(20)]
    ct = source("ct", {p: 1 + 7 * i % 11 for i, p in enumerate(patients)})
    pet = source("pet", {p: 1 + 5 * i % 13 for i, p in enumerate([*patients[5:], "Q"])})
    photographs = replace(source("photographs", {"P03": 1, "P04": 1}), kind="image_folder")
    sources = (ct, pet, photographs)
    out = Split((), (), ("P00", "P10"))  # one of them in both
    for seed in range(4):
        roles = assign_roles(sources, val_fraction=0.2, seed=seed, exclude=out)
        train, val = (
            {
                sources[k].manifest.rows[i].patient_id
                for k in (0, 1)
                for i in getattr(roles, role)[k]
            }
            for role in ("train", "val")
        )
        assert not train & val
        assert train | val == {*patients, "Q"} - {"P00", "P10"}
        assert 1 < len(val) < 10
        assert roles.groups("train", sources) == len(train) + len(roles.train[2])
        assert roles.excluded_patients == 2
    one, other = source("one", {"A": 5}), source("other", {"B": 4})
    assert assign_roles((one, other), val_fraction=0.2, seed=0).count("val") == 4
