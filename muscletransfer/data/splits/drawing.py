"""Who trains, who selects the model and who tests: always by patient, never by slice.

Order is drawn by sorting patients on a SHA-256 of the seed and the patient, not by a random number
generator: the same on every rank, machine and numpy version, and independent of the input's order.
"""

from __future__ import annotations

import hashlib
import re
from collections import Counter
from collections.abc import Iterable, Sequence
from numbers import Integral
from typing import cast

from muscletransfer.data.manifest import Manifest
from muscletransfer.data.splits.split import Split, ids
from muscletransfer.errors import SplitError

__all__ = [
    "Split",
    "fold_name",
    "in_fold_order",
    "make_folds",
    "make_split",
    "nested_subsets",
    "predefined_folds",
]

_NUMBER = re.compile(r"([0-9]+)(?:\.0*)?")


def make_folds(patients: Iterable[str], num_folds: int, seed: int = 0) -> list[list[str]]:
    """Deal patients into folds whose sizes differ by one at most.

    .. versionadded:: 0.1

    Args:
        patients: Patient ids; repeats (several slices a patient) count once.
        num_folds: How many, at least 2.
        seed: Another seed, another deal.

    Returns:
        ``num_folds`` sorted lists that share no patient.

    Raises:
        SplitError: Fewer than 2 folds, or fewer patients than folds.

    Example:
        >>> folds = make_folds([f"p{i:02d}" for i in range(10)], num_folds=4)
        >>> [len(f) for f in folds]
        [3, 3, 2, 2]
        >>> sorted(p for f in folds for p in f) == [f"p{i:02d}" for i in range(10)]
        True
    """
    unique = sorted(set(ids(patients)))
    _check_whole(num_folds=num_folds, seed=seed)
    if num_folds < 2:
        raise SplitError(f"num_folds is {num_folds}; wanted at least 2 (one of them tests).")
    if len(unique) < num_folds:
        raise SplitError(
            f"{len(unique)} patients for {num_folds} folds; wanted at least one a fold. "
            f"Add patients or set num_folds to {max(2, len(unique))} or fewer."
        )
    order = _shuffled(unique, f"folds|{seed}")
    return [sorted(order[k::num_folds]) for k in range(num_folds)]


def predefined_folds(manifest: Manifest, column: str = "fold") -> list[list[str]]:
    """Take folds from a column of the manifest, as some public data sets give them.

    .. versionadded:: 0.1

    Args:
        manifest: Rows with the column among their extra columns.
        column: Its name; values that are numbers come first, in their order. 1 and 1.0, as which
            spreadsheets write it, are one fold.

    Returns:
        One sorted list of patients a value.

    Raises:
        SplitError: No such column, an empty value, a single value, or a patient in two folds.

    Example:
        >>> from pathlib import Path
        >>> from muscletransfer.data import ManifestRow
        >>> rows = [
        ...     ManifestRow(name, Path(f"{name}.png"), extra={"fold": fold})
        ...     for name, fold in (("A", "2"), ("B", "1"), ("C", "2"))
        ... ]
        >>> predefined_folds(Manifest(rows, "manifest.csv"))
        [['B'], ['A', 'C']]
    """
    fold_of: dict[str, tuple[str, str]] = {}
    for row in manifest.rows:
        value = fold_name(row.extra.get(column, ""))
        if not value:
            raise SplitError(
                f"{row.where}: column {column!r} is missing or empty; wanted the fold of the "
                "patient. Fill it in, or let make_folds draw the folds."
            )
        first = fold_of.setdefault(row.patient_id, (value, row.where))
        if first[0] != value:
            raise SplitError(
                f"{row.where}: patient {row.patient_id!r} is in fold {value!r}, and in fold "
                f"{first[0]!r} at {first[1]}; wanted one fold a patient."
            )
    values = {value for value, _ in fold_of.values()}
    if len(values) < 2:
        raise SplitError(f"{manifest.path}: column {column!r} has one value; wanted two or more.")
    return [
        sorted(p for p, (v, _) in fold_of.items() if v == value) for value in in_fold_order(values)
    ]


def fold_name(text: str) -> str:
    """Return a fold as written in a manifest, whole numbers without a fraction.

    Example:
        >>> [fold_name(text) for text in ("1", " 1.0", "fold-1", "²", "")]
        ['1', '1', 'fold-1', '²', '']
    """
    text = text.strip()
    number = _NUMBER.fullmatch(text)
    return str(int(number[1])) if number else text


def in_fold_order(folds: Iterable[str]) -> list[str]:
    """Return names of folds as `fold_name` gives them, numbers first and in their order."""
    return sorted(folds, key=lambda v: (0, int(v), v) if _NUMBER.fullmatch(v) else (1, 0, v))


def nested_subsets(
    train_patients: Iterable[str],
    sizes: Iterable[int],
    seed: int = 0,
    repeat: int = 0,
    fold: int | None = 0,
) -> dict[int, list[str]]:
    """Draw subsets of which each holds all smaller ones.

    .. versionadded:: 0.1

    Args:
        train_patients: Patients that may be trained on.
        sizes: How many patients each subset has, such as ``(5, 10, 25)``.
        seed: Seed of the study.
        repeat: Another repeat, another draw from the same patients.
        fold: Fold the patients belong to; keeps the draws of two folds apart. ``None`` where
            there are no folds.

    Returns:
        Size to patients, in drawing order, so that ``subsets[10][:5] == subsets[5]``.

    Raises:
        SplitError: A size under 1, or larger than the number of patients.

    Example:
        >>> subsets = nested_subsets([f"p{i}" for i in range(9)], (3, 6), seed=1)
        >>> subsets[6][:3] == subsets[3]
        True
    """
    _check_whole(seed=seed, repeat=repeat, fold=0 if fold is None else fold)
    order = _shuffled(sorted(set(ids(train_patients))), f"subset|{seed}|{fold}|{repeat}")
    subsets: dict[int, list[str]] = {}
    for size in sizes:
        _check_whole(size=size)
        if size < 1:
            raise SplitError(f"a subset of {size} patients was asked for; wanted 1 or more.")
        if size > len(order):
            has, folds = f"fold {fold} has only", ", use more folds"
            if fold is None:
                has, folds = "there are only", ""
            raise SplitError(
                f"a subset of {size} patients was asked for, but {has} {len(order)} to train on; "
                f"wanted {len(order)} or fewer, or all. Ask for less (train_patients=), add "
                f"patients{folds}, or spend fewer on validation."
            )
        subsets[size] = order[:size]
    return subsets


def make_split(
    patients: Iterable[str] | Sequence[Sequence[str]],
    train_patients: int | None = None,
    *,
    fold: int | None = 0,
    num_folds: int = 4,
    seed: int = 0,
    repeat: int = 0,
    val_patients: int = 5,
) -> Split:
    """Draw the split of one fold: test, validation, and a nested training subset.

    Validation patients come from the training folds and depend on fold and seed only, so models
    trained on 5 or on 100 patients, and every repeat, are chosen and tested on the same people.

    With ``fold=None`` nobody tests: for a final model that may learn from everyone. How good it is
    cannot be said from these patients; the folds say how good such models are.

    .. versionadded:: 0.1

    Args:
        patients: Patient ids, or folds (lists of ids) as `predefined_folds` returns them.
        train_patients: Size of the training subset; ``None`` takes all that are left.
        fold: Which fold tests; ``None`` for no test.
        num_folds: How many folds; ignored when folds are passed, and without a test.
        seed: Seed of folds, validation and subsets.
        repeat: Which redraw of the subset.
        val_patients: How many choose the checkpoint; they count in ``label_budget``.

    Returns:
        The split.

    Raises:
        SplitError: No such fold, or not enough patients, with the numbers.

    Example:
        >>> everyone = [f"p{i:02d}" for i in range(40)]
        >>> five, ten = (make_split(everyone, n, fold=1) for n in (5, 10))
        >>> five.test == ten.test, five.val == ten.val, ten.train[:5] == five.train
        (True, True, True)
        >>> ten.label_budget
        15
        >>> final = make_split(everyone, fold=None, val_patients=0)
        >>> len(final.train), final.test
        (40, ())
    """
    _check_whole(fold=0 if fold is None else fold, val_patients=val_patients)
    given = ids(patients) if isinstance(patients, str) else list(patients)
    if given and isinstance(given[0], (list, tuple, set)):
        folds = [sorted(set(ids(f))) for f in given]
        twice = [p for p, n in Counter(p for f in folds for p in f).items() if n > 1]
        if twice:
            raise SplitError(f"patient {twice[0]!r} is in two folds; wanted one fold a patient.")
        num_folds = len(folds)
    elif fold is None:
        folds = [sorted(set(ids(cast("list[str]", given))))]
    else:
        folds = make_folds(cast("list[str]", given), num_folds, seed)
    if fold is None:
        num_folds = 1
    elif not 0 <= fold < num_folds:
        raise SplitError(f"fold is {fold}; wanted 0 to {num_folds - 1} ({num_folds} folds).")
    if val_patients < 0:
        raise SplitError(f"val_patients is {val_patients}; wanted 0 or more.")
    pool = sorted(p for k, f in enumerate(folds) if k != fold for p in f)
    if val_patients >= len(pool):
        there = "there are" if fold is None else "the training folds hold"
        raise SplitError(
            f"val_patients is {val_patients}, but {there} {len(pool)} patients; wanted fewer, so "
            "that some are left to train on."
        )
    val = sorted(_shuffled(pool, f"val|{seed}|{fold}")[:val_patients])
    left = [p for p in pool if p not in set(val)]
    size = len(left) if train_patients is None else train_patients
    train = nested_subsets(left, [size], seed, repeat, fold)[size]
    test = () if fold is None else tuple(folds[fold])
    return Split(tuple(train), tuple(val), test, fold, num_folds, seed, repeat)


def _check_whole(**numbers: object) -> None:
    for name, value in numbers.items():
        if isinstance(value, bool) or not isinstance(value, Integral):
            raise SplitError(f"{name} is {value!r}; wanted a whole number.")


def _shuffled(patients: Sequence[str], salt: str) -> list[str]:
    return sorted(patients, key=lambda p: hashlib.sha256(f"{salt}|{p}".encode()).digest())
