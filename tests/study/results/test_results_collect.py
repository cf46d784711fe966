"""The tidy table from run folders: exact, in one order, and without what is damaged."""

import json
import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from run_folders_made import write_run, write_study
from synthetic_table import make_table, miss

from muscletransfer.errors import DataError
from muscletransfer.study.results import (
    COLUMNS,
    check_table,
    collect_results,
    empty_table,
    read_results,
    write_results,
)
from muscletransfer.study.results.columns import ORDER
from muscletransfer.study.work.cases import COLUMNS as WRITTEN


@pytest.fixture(scope="module")
def table() -> pd.DataFrame:
    """Rows with every kind of value: failures, no density, names that need quotes, all digits."""
    table = make_table(patients=8, ns=(5, 10), repeats=2)
    table = miss(table, (table["case"] == "P003") & (table["n"] == 5))
    table.loc[table["case"] == "P004", ["smd_hu", "smd_reference_hu"]] = np.nan
    table.loc[table["case"] == "P005", "case"] = 'a "quoted", name\nof two lines'
    table.loc[table["case"] == "P006", "case"] = "NA"  # a name, and not a missing value
    table.loc[table["case"] == "P007", "dice"] = 0.1 + 0.2
    return table.sort_values(list(ORDER), ignore_index=True)


@pytest.fixture(scope="module")
def study(table: pd.DataFrame, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("study")
    write_study(folder, table)
    return folder


def same(first: pd.DataFrame, second: pd.DataFrame) -> None:
    pd.testing.assert_frame_equal(first, second, check_exact=True)


def test_what_a_run_writes_is_what_is_read() -> None:
    assert set(WRITTEN) <= set(COLUMNS)
    assert list(COLUMNS)[-len(WRITTEN) :] == list(WRITTEN)


def test_the_table_is_the_rows_of_the_runs(table: pd.DataFrame, study: Path) -> None:
    found = collect_results(study)
    assert not found.notes
    assert not found.left_out
    same(found.table, table)
    check_table(found.table)
    runs = found.runs
    assert len(runs) == table["run_id"].nunique()
    assert set(runs["seconds"]) == {1.5}
    assert found.selection_labels == 5
    assert runs["labels_train"].tolist() == runs["n"].tolist()


def test_the_order_of_folders_and_rows_does_not_matter(table: pd.DataFrame, tmp_path: Path) -> None:
    shuffled = table.sample(frac=1, random_state=3)
    write_study(tmp_path, shuffled)
    same(collect_results(tmp_path).table, table)


def test_only_the_runs_of_a_plan(table: pd.DataFrame, study: Path) -> None:
    ids = list(dict.fromkeys(table["run_id"]))
    found = collect_results(study, [*ids[:3], "not_done_yet", ids[0]])
    assert set(found.table["run_id"]) == set(ids[:3])
    assert found.unfinished == ("not_done_yet",)
    assert found.notes == ("1 of 4 runs are not finished",)
    assert not found.table.duplicated().any()


def test_no_runs_and_no_study(tmp_path: Path) -> None:
    found = collect_results(tmp_path)
    same(found.table, empty_table())
    assert found.selection_labels is None
    with pytest.raises(DataError, match="does not exist"):
        collect_results(tmp_path / "elsewhere")


def edit_json(name: str, **changes: object) -> Callable[[Path], None]:
    def edit(run: Path) -> None:
        values = json.loads((run / name).read_text())
        (run / name).write_text(json.dumps({**values, **changes}))

    return edit


def edit_cases(old: str, new: str) -> Callable[[Path], None]:
    def edit(run: Path) -> None:
        text = (run / "cases.csv").read_text()
        assert old in text
        (run / "cases.csv").write_text(text.replace(old, new, 1))

    return edit


def cut(name: str, share: float) -> Callable[[Path], None]:
    def edit(run: Path) -> None:
        data = (run / name).read_bytes()
        (run / name).write_bytes(data[: int(len(data) * share)])

    return edit


DAMAGE = {
    "no spec": (lambda run: (run / "spec.json").unlink(), "spec.json is missing"),
    "no cases": (lambda run: (run / "cases.csv").unlink(), "cases.csv is missing"),
    "no result": (lambda run: (run / "result.json").unlink(), "result.json is missing"),
    "cut spec": (cut("spec.json", 0.5), "spec.json is no JSON"),
    "empty spec": (cut("spec.json", 0), "spec.json is no JSON"),
    "list": (lambda run: (run / "spec.json").write_text("[]"), "spec.json holds a list"),
    "bytes": (lambda run: (run / "spec.json").write_bytes(b"\xff\xfe"), "spec.json is no JSON"),
    "of another run": (edit_json("spec.json", id="other"), "that of run 'other'"),
    "n is text": (edit_json("spec.json", n="5"), "n = '5'; wanted int"),
    "n is true": (edit_json("spec.json", n=True), "n = True"),
    "no source": (edit_json("spec.json", source=None), "source = None"),
    "empty cases": (cut("cases.csv", 0), "cases.csv is damaged"),
    "header only": (lambda run: cut_rows(run), "cases.csv has no rows"),
    "a column less": (edit_cases(",dta_unit", ",unit"), "cases.csv is damaged"),
    "a cell less": (edit_cases(",mm,", ","), "cases.csv is damaged"),
    "a word": (edit_cases("P000,muscle,0.", "P000,muscle,zero"), "cases.csv is damaged"),
    "Dice over 1": (edit_cases("P000,muscle,0.", "P000,muscle,7."), "Dice is not between 0 and 1"),
    "no Dice": (edit_cases("P000,muscle,0.", "P000,muscle,,0."), "cases.csv is damaged"),
    "no patient": (edit_cases("P000,P000", "P000,"), "a row has no patient"),
    "not failed": (edit_cases("False", ""), "a row without failed"),
    "a row less": (lambda run: cut_rows(run, 2), "has 1 patients; result.json says 2 were tested"),
    "other failure": (edit_cases("False", "True"), "marked as failed"),
    "unit": (edit_cases(",mm,", ",inch,"), "no unit"),
    "binary": (lambda run: (run / "cases.csv").write_bytes(b"\x00\x01\xff" * 99), "is damaged"),
    "a folder": (lambda run: folder_for(run / "cases.csv"), "cannot be read"),
}


def cut_rows(run: Path, lines: int = 1) -> None:
    text = (run / "cases.csv").read_text().splitlines(keepends=True)
    (run / "cases.csv").write_text("".join(text[:lines]))


def folder_for(path: Path) -> None:
    path.unlink()
    path.mkdir()


@pytest.mark.parametrize("name", DAMAGE)
def test_a_damaged_run_is_named_and_the_others_are_read(tmp_path: Path, name: str) -> None:
    damage, words = DAMAGE[name]
    clean = make_table(patients=4, ns=(5,), repeats=1, folds=2)
    write_study(tmp_path, clean)
    broken = "jigsaw-5-0-0"
    damage(tmp_path / "runs" / broken)
    found = collect_results(tmp_path)
    assert list(found.left_out) == [broken]
    assert words in found.left_out[broken]
    assert found.notes[0].startswith(f"run {broken} is left out: ")
    assert f"remove its folder runs/{broken}" in found.notes[0]
    assert set(found.table["run_id"]) == set(clean["run_id"]) - {broken}
    assert set(found.runs["run_id"]) == set(found.table["run_id"])


@pytest.mark.parametrize("seed", range(60))
def test_a_cut_file_never_gives_another_number(tmp_path: Path, seed: int) -> None:
    """A run is read whole or left out."""
    clean = make_table(patients=4, ns=(5,), repeats=1, folds=1, seed=seed)
    run = write_run(tmp_path, clean[clean["source"] == "jigsaw"])
    rng = np.random.default_rng(seed)
    name = ("cases.csv", "spec.json", "result.json")[seed % 3]
    data = (run / name).read_bytes()
    (run / name).write_bytes(data[: rng.integers(0, len(data) - 1)])
    found = collect_results(tmp_path)
    if found.left_out:
        assert found.table.empty
    else:  # nothing but the end of the last line was lost
        same(found.table, clean[clean["source"] == "jigsaw"].reset_index(drop=True))


def test_what_is_no_run_is_passed_over(tmp_path: Path) -> None:
    write_study(tmp_path, make_table(patients=4, ns=(5,), repeats=1))
    (tmp_path / "runs" / ".nfs0001").write_text("")
    assert not collect_results(tmp_path).notes
    (tmp_path / "runs" / "stray.txt").write_text("")
    assert list(collect_results(tmp_path).left_out) == ["stray.txt"]


def test_files_come_back_as_they_were(table: pd.DataFrame, study: Path, tmp_path: Path) -> None:
    results = collect_results(study)
    first = {p.name: p.read_bytes() for p in write_results(results, tmp_path / "r")}
    assert sorted(os.listdir(tmp_path / "r")) == ["cases.csv", "cases.parquet", "runs.csv"]
    same(read_results(tmp_path / "r"), table)
    same(read_results(tmp_path / "r" / "cases.parquet"), table)
    same(read_results(tmp_path / "r" / "cases.csv"), table)
    again = {p.name: p.read_bytes() for p in write_results(results, tmp_path / "r")}
    assert again == first  # rebuilt at any time, byte for byte


def test_the_empty_table_as_files(tmp_path: Path) -> None:
    write_results(collect_results(tmp_path), tmp_path / "r")
    same(read_results(tmp_path / "r"), empty_table())
    same(read_results(tmp_path / "r" / "cases.csv"), empty_table())


def test_a_failed_write_leaves_the_old_files(
    study: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    results = collect_results(study)
    before = {p.name: p.read_bytes() for p in write_results(results, tmp_path)}

    def full(self: pd.DataFrame, path: Path, **_: object) -> None:
        Path(path).write_bytes(b"PAR1")
        raise OSError(28, os.strerror(28))

    monkeypatch.setattr(pd.DataFrame, "to_parquet", full)
    with pytest.raises(OSError, match="No space left"):
        write_results(results, tmp_path)
    assert {p.name: p.read_bytes() for p in tmp_path.iterdir()} == before


def test_files_that_are_no_table(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="muscletransfer study results"):
        read_results(tmp_path)
    (tmp_path / "cases.parquet").write_bytes(b"PAR1 and nothing more")
    with pytest.raises(DataError, match="cannot be read"):
        read_results(tmp_path)
    (tmp_path / "cases.csv").write_text("a,b\n1,2\n")
    with pytest.raises(DataError, match=r"cases\.csv is damaged"):
        read_results(tmp_path / "cases.csv")


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"dice": 1.5}, "not between 0 and 1"),
        ({"dice": np.nan}, "no Dice"),
        ({"dta_rms": -1.0}, "below 0"),
        ({"dta_rms": np.inf}, "did not fail"),
        ({"patient": ""}, "no patient"),
        ({"n": 5.5}, "'n' of the table holds float64"),
        ({"dice": "high"}, "'dice' of the table holds"),
    ],
)
def test_impossible_tables(table: pd.DataFrame, change: dict[str, object], words: str) -> None:
    with pytest.raises(DataError, match=words):
        check_table(table.assign(**change))


def test_a_missing_column_and_mixed_plans(table: pd.DataFrame) -> None:
    with pytest.raises(DataError, match=r"lacks the column\(s\) patient"):
        check_table(table.drop(columns="patient"))
    other = table[(table["n"] == 5) & (table["fold"] == 0) & (table["source"] == "random")]
    other = other[other["repeat"] == 0].assign(run_id="of_another_plan")
    with pytest.raises(DataError, match=r"is there 2 times.*Runs of several plans are mixed"):
        check_table(pd.concat([table, other], ignore_index=True))
