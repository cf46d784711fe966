"""No patient is named, lost, or taken for another."""

from __future__ import annotations

import csv
import stat
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from ct_exports import problems_of, reason_for, save, slice_of, uid, write_series

from muscletransfer.data import Manifest, PreprocessingSpec, SliceCache
from muscletransfer.data.indexing import ImageIndex, index_images
from muscletransfer.data.manifest.rows import patient_names
from muscletransfer.data.manifest.slices import expand_slices
from muscletransfer.errors import SettingError

SECRETS = (b"HOSP-1234", b"Lovelace", b"Ada", b"18151210", b"abdomen of", b"SECRETS", b"2.25.")


def index(folder: Path, **options: Any) -> ImageIndex:
    return index_images(folder / "in", folder / "out" / "manifest.csv", workers=0, **options)


def pseudonyms(found: ImageIndex) -> list[str]:
    return [row.patient_id for row in Manifest.read(found.manifest)]


def test_manifest_lists_problems_and_cache_name_nobody(tmp_path: Path) -> None:
    write_series(tmp_path / "in", 4)
    write_series(tmp_path / "in", 3, series="PET", Modality="PT")
    found = index(tmp_path)
    manifest = Manifest.read(found.manifest)
    row = manifest.rows[0]
    assert (row.patient_id[-5:], row.sex, row.height_m, row.bmi) == ("-0001", "F", 1.62, 22.1)
    SliceCache.open_or_build(
        expand_slices(manifest, "all"),
        PreprocessingSpec(size=16),
        tmp_path / "out" / "cache",
        need_masks=False,
    )
    written = [p for p in (tmp_path / "out").rglob("*") if p.is_file()]
    assert len(written) >= 6
    for path in written:
        for secret in SECRETS:
            assert secret not in path.read_bytes(), path
            assert secret.decode() not in path.name
    for secret in SECRETS:
        assert secret.decode() not in found.summary()


def test_names_in_paths_are_told(tmp_path: Path) -> None:
    write_series(tmp_path / "in" / "LOVELACE_ADA" / "ct", 2)
    found = index(tmp_path)
    assert "paths of 1 series hold the patient's id or name" in reason_for(
        found.problems_csv, "A002"
    )


def test_links_are_written_when_asked_and_for_the_owner_alone(tmp_path: Path) -> None:
    write_series(tmp_path / "in", 2)
    links = tmp_path / "safe" / "links.csv"
    (pseudonym,) = pseudonyms(index(tmp_path, links=links))
    assert stat.S_IMODE(links.stat().st_mode) == 0o600
    with links.open(newline="") as file:
        (row,) = csv.DictReader(file)
    assert row == {
        "patient_id": pseudonym,
        "original_patient_id": "HOSP-1234",
        "name": "Lovelace^Ada HOSP-1234",
        "birth_date": "18151210",
        "sex": "F",
    }
    links.chmod(0o644)
    index(tmp_path, links=links)
    assert stat.S_IMODE(links.stat().st_mode) == 0o600


def test_key_gives_one_pseudonym_in_every_run(tmp_path: Path) -> None:
    key = tmp_path / "key"
    write_series(tmp_path / "in" / "b", 2, patient="B")
    (first,) = pseudonyms(index(tmp_path, key=key))
    assert stat.S_IMODE(key.stat().st_mode) == 0o600
    assert len(first) == 13
    write_series(tmp_path / "in" / "a", 2, patient="A", PatientName="Else^Someone")
    again = pseudonyms(index(tmp_path, key=key))
    assert first in again
    assert len(set(again)) == 2
    assert {name[-5:] for name in pseudonyms(index(tmp_path))} == {"-0001", "-0002"}
    assert first not in pseudonyms(index(tmp_path, key=tmp_path / "another"))
    (tmp_path / "short").write_text("secret")
    with pytest.raises(SettingError, match="at least 16"):
        index(tmp_path, key=tmp_path / "short")


def two(folder: Path, first: dict[str, Any], second: dict[str, Any]) -> ImageIndex:
    write_series(folder / "in" / "a", 2, series="A", **first)
    write_series(folder / "in" / "b", 2, series="B", start=9, **second)
    return index(folder)


@pytest.mark.parametrize(
    ("tags", "what"),
    [
        ({"PatientBirthDate": "18160101"}, "birth date"),
        ({"PatientSex": "M"}, "sex"),
        ({"PatientName": "Babbage^Charles", "PatientBirthDate": ""}, "name"),
    ],
)
def test_two_patients_with_one_id_are_kept_apart(
    tags: dict[str, Any], what: str, tmp_path: Path
) -> None:
    found = two(tmp_path, {}, {**tags, "StudyInstanceUID": uid("other study")})
    assert found.patients == 2
    (row,) = problems_of(found.problems_csv)
    assert row["outcome"] == "check"
    assert f"another {what}: two patients with one id?" in row["reason"]
    for secret in ("Lovelace", "Babbage", "HOSP", "18151210"):
        assert secret not in " ".join(row.values())


@pytest.mark.parametrize(
    "tags",
    [
        {"PatientName": "LOVELACE, ADA HOSP 1234"},
        {"PatientName": "Byron^Ada"},  # a maiden name: the birth date is the same
        {"PatientName": "", "PatientBirthDate": "", "PatientSex": ""},
    ],
)
def test_one_patient_written_in_two_ways_is_one(tags: dict[str, Any], tmp_path: Path) -> None:
    found = two(tmp_path, {}, {**tags, "StudyInstanceUID": uid("other study")})
    assert (found.rows, found.patients, len(found.problems)) == (2, 1, 0)


def test_one_patient_with_two_ids_is_kept_together(tmp_path: Path) -> None:
    found = two(tmp_path, {"patient": "X1", "PatientName": "King^Ada"},
                {"patient": "X2", "PatientName": "KING^ADA"})  # fmt: skip
    assert (found.rows, found.patients) == (2, 1)
    (row,) = problems_of(found.problems_csv)
    assert "another patient id: one patient with two ids?" in row["reason"]
    links = tmp_path / "links.csv"
    index(tmp_path, links=links)
    (pseudonym,) = set(pseudonyms(found))
    assert f"{pseudonym},X1," in links.read_text()
    assert f"{pseudonym},X2," in links.read_text()


def keyed(folder: Path, export: str) -> dict[str, Any]:
    """Index an export with the key of all; return row by patient id as it was written."""
    links = folder / f"{export}_links.csv"
    index(folder / export, key=folder / "key", links=links)
    rows = {r.patient_id: r for r in Manifest.read(folder / export / "out" / "manifest.csv").rows}
    with links.open(newline="") as file:
        return {r["original_patient_id"]: rows[r["patient_id"]] for r in csv.DictReader(file)}


def test_a_patient_is_known_by_each_id_that_another_export_may_have(tmp_path: Path) -> None:
    """The labelled export knows 200; the larger one 100 too, which takes its place."""
    king = {"PatientName": "King^Ada"}
    for export, ids in (("labelled", (200, 300)), ("larger", (100, 200, 300))):
        for k in ids:
            tags = king if k < 300 else {"PatientName": "Else^Someone"}
            write_series(tmp_path / export / "in" / str(k), 2, patient=str(k), **tags)
    labelled, larger = keyed(tmp_path, "labelled"), keyed(tmp_path, "larger")
    assert labelled["300"].patient_id == larger["300"].patient_id
    assert labelled["200"].patient_id != larger["200"].patient_id == larger["100"].patient_id
    assert larger["200"].extra["aliases"] == labelled["200"].patient_id
    assert larger["300"].extra["aliases"] == ""
    assert "aliases" not in labelled["200"].extra
    assert patient_names(larger["100"]) == {r.patient_id for r in (labelled["200"], larger["100"])}


def test_two_patients_with_one_id_are_known_by_it_too(tmp_path: Path) -> None:
    for export in ("labelled", "larger"):
        write_series(tmp_path / export / "in" / "a", 2)
    write_series(tmp_path / "larger" / "in" / "b", 2, series="B", PatientBirthDate="18160101",
                 StudyInstanceUID=uid("other study"))  # fmt: skip
    (alone,) = keyed(tmp_path, "labelled").values()
    index(tmp_path / "larger", key=tmp_path / "key")
    both = Manifest.read(tmp_path / "larger" / "out" / "manifest.csv").rows
    assert len({row.patient_id for row in both} | {alone.patient_id}) == 3
    assert [row.extra["aliases"] for row in both] == [alone.patient_id] * 2


@pytest.mark.parametrize("name", ["Dupont^Manon", "Testa^Maria", "Patienta^Nonette", "Wang^X"])
def test_names_that_hold_a_placeholder_are_names(name: str, tmp_path: Path) -> None:
    found = two(tmp_path, {"patient": "X1", "PatientName": name},
                {"patient": "X2", "PatientName": name})  # fmt: skip
    assert (found.rows, found.patients) == (2, 1)


def test_one_name_under_many_ids_is_told(tmp_path: Path) -> None:
    for k in range(4):
        write_series(tmp_path / "in" / str(k), 2, start=5 * k, patient=f"X{k}",
                     PatientName="King^Ada")  # fmt: skip
    found = index(tmp_path)
    assert found.patients == 4
    (row,) = problems_of(found.problems_csv)
    assert (row["outcome"], row["files"]) == ("check", "4")
    assert "name and birth date of 3 other patient ids" in row["reason"]


def test_names_of_one_index_are_nobodys_in_another(tmp_path: Path) -> None:
    for name in "BDF":
        write_series(tmp_path / "in" / name, 2, patient=name, PatientName=f"{name}^X")
    first, again = pseudonyms(index(tmp_path)), pseudonyms(index(tmp_path))
    assert first == again
    for name in "ACE":  # now the same numbers would be other people's
        write_series(tmp_path / "in" / name, 2, patient=name, PatientName=f"{name}^X")
    more = pseudonyms(index(tmp_path))
    assert len(set(more)) == 6
    assert not set(more) & set(first)


def test_the_same_people_have_the_same_names_in_folders_of_another_order(tmp_path: Path) -> None:
    people = ["ANNA", "BERT", "CARL", "DORA"]
    linked = []
    for export, order in (("l3", people), ("volumes", people[::-1])):
        for k, name in enumerate(order):
            write_series(tmp_path / export / "in" / f"{k:02d}", 2, patient=name,
                         PatientName=f"{name}^X")  # fmt: skip
        links = tmp_path / f"{export}.csv"
        index(tmp_path / export, links=links)
        with links.open(newline="") as file:
            linked.append({r["patient_id"]: r["original_patient_id"] for r in csv.DictReader(file)})
    assert sorted(linked[0].values()) == people
    assert linked[0] == linked[1]
    in_order = [linked[0][name] for name in sorted(linked[0])]
    assert in_order not in (people, people[::-1])  # numbers do not tell the rank of the ids


@pytest.mark.parametrize(
    "name",
    ["ANONYMOUS", "Anonymized^4711", "Removed^By^Hospital", "No^Name", "DE-IDENTIFIED", "UNKNOWN^U",
     "", "xxx", "XXX^XXX", "12345"],
)  # fmt: skip
def test_placeholders_of_anonymisers_make_nobody_one(name: str, tmp_path: Path) -> None:
    same = {"PatientName": name, "PatientBirthDate": "19000101"}
    found = two(tmp_path, {"patient": "X1", **same}, {"patient": "X2", **same})
    assert (found.patients, len(found.problems)) == (2, 0)


def test_series_of_two_patients_is_left_out_whole(tmp_path: Path) -> None:
    write_series(tmp_path / "in", 4)
    stranger = slice_of(np.full((24, 28), -900, np.int16), 20.0, PatientID="OTHER",
                        PatientName="Turing^Alan", PatientBirthDate="19120623")  # fmt: skip
    save(stranger, tmp_path / "in" / "z")
    write_series(tmp_path / "in", 2, series="B", patient="THIRD", PatientName="Hopper^Grace")
    found = index(tmp_path)
    assert found.rows == 1
    (row,) = [r for r in problems_of(found.problems_csv) if r["outcome"] == "left out"]
    assert row["reason"] == "files of one series name 2 patients"
    assert row["files"] == "5"
    assert "of the study of" in reason_for(found.problems_csv, "z")


def test_without_ids_each_study_is_a_patient_and_told(tmp_path: Path) -> None:
    tags = {"PatientID": "", "PatientName": "", "PatientBirthDate": ""}
    found = two(tmp_path, tags, {**tags, "StudyInstanceUID": uid("other study")})
    assert found.patients == 2
    (row,) = problems_of(found.problems_csv)
    assert "2 series name no patient id" in row["reason"]
