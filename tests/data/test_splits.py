"""Folds, nested subsets, and splits on disk."""

from __future__ import annotations

import json
import random
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from muscletransfer.data import (
    Manifest,
    ManifestRow,
    Split,
    make_folds,
    make_split,
    nested_subsets,
    predefined_folds,
)
from muscletransfer.errors import SplitError

PATIENTS = [f"P{i:03d}" for i in range(43)]


@pytest.mark.parametrize("num_folds", [2, 4, 5, 43])
def test_folds_share_nobody_and_are_balanced(num_folds: int) -> None:
    folds = make_folds(PATIENTS, num_folds, seed=3)
    assert sorted(p for fold in folds for p in fold) == PATIENTS
    assert max(map(len, folds)) - min(map(len, folds)) <= 1
    assert all(fold == sorted(fold) for fold in folds)


def test_folds_depend_on_seed_and_not_on_order_or_repeats() -> None:
    shuffled = PATIENTS * 2
    random.Random(0).shuffle(shuffled)
    assert make_folds(shuffled, 4, 0) == make_folds(PATIENTS, 4, 0)
    assert make_folds(PATIENTS, 4, 1) != make_folds(PATIENTS, 4, 0)


def test_draws_are_the_same_in_another_process_and_for_ever() -> None:
    """The literal is what the first release drew: a change would move patients between folds."""
    code = (
        "from muscletransfer.data import make_split;"
        "print(make_split([f'P{i:03d}' for i in range(43)], 5, fold=2, seed=7, repeat=1).train)"
    )
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    here = make_split(PATIENTS, 5, fold=2, seed=7, repeat=1).train
    assert out.stdout.strip() == str(here)
    assert here == ("P014", "P024", "P041", "P036", "P002")


@pytest.mark.parametrize("fold", range(4))
def test_subsets_are_nested_and_validation_and_test_stay(fold: int) -> None:
    splits = [
        make_split(PATIENTS, n, fold=fold, seed=1, repeat=r) for r in (0, 1) for n in (5, 10, 25)
    ]
    assert len({(s.val, s.test) for s in splits}) == 1
    five, ten, many = splits[:3]
    assert ten.train[:5] == five.train
    assert many.train[:10] == ten.train
    assert set(splits[3].train) != set(five.train)
    assert [s.label_budget for s in splits[:3]] == [10, 15, 30]
    everyone = make_split(PATIENTS, None, fold=fold, seed=1)
    assert sorted(everyone.train + everyone.val + everyone.test) == PATIENTS
    assert everyone.train[:25] == many.train


def test_folds_and_roles_of_the_split_agree() -> None:
    folds = make_folds(PATIENTS, 4, 1)
    assert [make_split(PATIENTS, 5, fold=k, seed=1).test for k in range(4)] == [
        tuple(f) for f in folds
    ]
    given = make_split(folds, 5, fold=2, seed=1)
    assert given == make_split(PATIENTS, 5, fold=2, seed=1)


def test_without_a_test_fold_everyone_can_train(tmp_path: Path) -> None:
    final = make_split(PATIENTS, fold=None, val_patients=0)
    assert (sorted(final.train), final.val, final.test) == (PATIENTS, (), ())
    assert (final.fold, final.num_folds, final.label_budget) == (None, 1, 43)
    assert Split.load(final.save(tmp_path / "split.json")) == final
    folds = make_folds(PATIENTS, 4, 1)
    assert make_split(folds, fold=None, val_patients=0) == final
    five, ten = (make_split(PATIENTS, n, fold=None, val_patients=3, seed=1) for n in (5, 10))
    assert ten.train[:5] == five.train
    assert (ten.val, ten.test) == (five.val, ())
    assert len(five.val) == 3
    assert not set(ten.train) & set(ten.val)
    one = make_split(["P1"], fold=None, val_patients=0)
    assert (one.train, one.label_budget) == (("P1",), 1)


def test_each_patient_is_as_likely_in_a_subset() -> None:
    counts = dict.fromkeys(PATIENTS[:10], 0)
    for repeat in range(600):
        for patient in nested_subsets(PATIENTS[:10], [3], repeat=repeat)[3]:
            counts[patient] += 1
    # Binomial(600, 0.3): mean 180, standard deviation 11; five of them either way.
    assert all(abs(n - 180) < 56 for n in counts.values())


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"num_folds": 50}, "43 patients for 50 folds.*43 or fewer"),
        ({"num_folds": 1}, "num_folds is 1; wanted at least 2"),
        ({"fold": 4}, "fold is 4; wanted 0 to 3"),
        ({"fold": -1}, "fold is -1"),
        ({"val_patients": 40}, "val_patients is 40.*hold 32"),
        ({"val_patients": -1}, "val_patients is -1"),
        ({"train_patients": 28}, r"subset of 28 patients.*fold 0 has only 27.*Ask for less"),
        ({"train_patients": 0}, "subset of 0 patients"),
        ({"train_patients": 2.5}, r"size is 2\.5; wanted a whole number"),
        ({"fold": "0"}, "fold is '0'; wanted a whole number"),
        ({"fold": None, "train_patients": 40}, r"subset of 40 patients.*there are only 38"),
        ({"fold": None, "val_patients": 43}, r"val_patients is 43, but there are 43 patients"),
    ],
)
def test_splits_that_cannot_be_drawn_say_the_numbers(arguments: dict, message: str) -> None:
    with pytest.raises(SplitError, match=message):
        make_split(PATIENTS, **{"train_patients": 5, **arguments})


@pytest.mark.parametrize("patients", ["P001", [1, 2, 3], [["a", 1], ["b"]], [None]])
def test_patients_that_are_no_list_of_ids(patients: object) -> None:
    with pytest.raises(SplitError, match=r"stands where patients should; wanted a list of ids"):
        make_split(patients, 1, val_patients=0)  # type: ignore[arg-type]


def test_given_folds_with_a_patient_in_two() -> None:
    with pytest.raises(SplitError, match="'a' is in two folds"):
        make_split([["a", "b"], ["a", "c"]], 1, val_patients=0)


def test_split_file_round_trip(tmp_path: Path) -> None:
    split = make_split(PATIENTS, 5, fold=1, seed=2, repeat=3)
    path = split.save(tmp_path / "new" / "split.json")
    assert Split.load(path) == split
    assert Split.load(path).patients_hash == split.patients_hash
    assert list(path.parent.iterdir()) == [path]
    assert "aliases" not in path.read_text()
    named = replace(split, aliases={split.test[0]: ("Q1", "Q2")})
    assert Split.load(named.save(tmp_path / "named.json")) == named != split
    assert named.patients_hash == split.patients_hash
    assert len({named, split}) == 2
    other = make_split(PATIENTS, 5, fold=1, seed=2, repeat=4)
    assert other.patients_hash != split.patients_hash


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"test": ["P1"], "train": ["P1"]}, "patient 'P1' is in train and in test"),
        ({"val": ["P9", "P9"]}, "patient 'P9' is in val and in val"),
        ({"format": 99}, "has format 99; wanted 1"),
        ({"train": None}, "has no 'train'"),
        ({"train": "P1"}, "'train' is 'P1'; wanted a list"),
        ({"train": [1]}, r"'train' is \[1\]; wanted a list of patient ids"),
        ({"fold": "0"}, "'fold' is '0'; wanted a whole number"),
        ({"aliases": ["P2"]}, r"'aliases' is \['P2'\]; wanted a list of names"),
        ({"aliases": {"a": "P2"}}, r"'aliases' is \{'a': 'P2'\}; wanted a list of names"),
    ],
)
def test_edited_split_files_are_checked(tmp_path: Path, change: dict, message: str) -> None:
    data = {**Split(("a",), ("b",), ("c",)).to_dict(), **change}
    path = tmp_path / "s.json"
    path.write_text(json.dumps({k: v for k, v in data.items() if v is not None}))
    with pytest.raises(SplitError, match=rf"s\.json: .*{message}"):
        Split.load(path)


@pytest.mark.parametrize("text", ["", "{", "[1]", "null"])
def test_files_that_are_no_split(tmp_path: Path, text: str) -> None:
    (tmp_path / "s.json").write_text(text)
    with pytest.raises(SplitError, match=r"s\.json: .*Split\.save"):
        Split.load(tmp_path / "s.json")
    with pytest.raises(SplitError, match="No such file"):
        Split.load(tmp_path / "none.json")


def with_folds(*folds: str) -> Manifest:
    rows = [
        ManifestRow(f"P{i // 2}", Path(f"{i}.png"), extra={"fold": fold})
        for i, fold in enumerate(folds)
    ]
    return Manifest(tuple(rows))


def test_predefined_folds() -> None:
    manifest = with_folds("2", "2", "10", "10", "2", "2")
    assert predefined_folds(manifest) == [["P0", "P2"], ["P1"]]
    with pytest.raises(SplitError, match=r"row 3: patient 'P0' is in fold '2', and in fold '1'"):
        predefined_folds(with_folds("1", "2"))
    with pytest.raises(SplitError, match="row 5: column 'fold' is missing or empty"):
        predefined_folds(with_folds("1", "1", "2", ""))
    with pytest.raises(SplitError, match="one value"):
        predefined_folds(with_folds("1", "1"))
    # As spreadsheets write numbers: in their order, and one fold however written.
    assert predefined_folds(with_folds("10.0", "10.0", "2.0", "2")) == [["P1"], ["P0"]]
    written = with_folds("test", "test", "²", "²", "3", "3.")
    assert predefined_folds(written) == [["P2"], ["P0"], ["P1"]]


def test_slices_of_a_patient_count_once_in_a_subset():
    ids = [f"p{i}" for i in range(6)]
    assert nested_subsets([*ids, *ids, "p0"], [6], seed=3) == nested_subsets(ids, [6], seed=3)
