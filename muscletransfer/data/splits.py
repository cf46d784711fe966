"""Who trains, who selects the model and who tests: always by patient, never by slice.

Order is drawn by sorting patients on a SHA-256 of the seed and the patient, not by a random number
generator: the same on every rank, machine and numpy version, and independent of the input's order.
"""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

from muscletransfer.data.files import write_text_atomic
from muscletransfer.data.manifest import Manifest
from muscletransfer.errors import SplitError

__all__ = ["Split", "make_folds", "make_split", "nested_subsets", "predefined_folds"]

_FORMAT = 1


@dataclass(frozen=True)
class Split:
    """Patients by role, with what drew them.

    Args:
        train: Patients to learn from, in the nested order: the first 5 are the subset of 5.
        val: Patients that choose the checkpoint; the same whatever the size of ``train``.
        test: Patients of the fold, looked at once.
        fold: Which fold is the test fold.
        num_folds: How many folds there are.
        seed: Seed of the folds and of ``val``.
        repeat: Which redraw of the subsets.

    Raises:
        SplitError: A patient occurs twice, in one role or in two.

    Example:
        >>> split = Split(train=("a", "b"), val=("c",), test=("d",))
        >>> split.label_budget, split.role_of("d")
        (3, 'test')
        >>> Split(train=("a",), val=(), test=("a",))
        Traceback (most recent call last):
        ...
        muscletransfer.errors.SplitError: patient 'a' is in train and in test; ...
    """

    train: tuple[str, ...]
    val: tuple[str, ...]
    test: tuple[str, ...]
    fold: int = 0
    num_folds: int = 1
    seed: int = 0
    repeat: int = 0

    def __post_init__(self) -> None:
        role_of: dict[str, str] = {}
        for role in ("train", "val", "test"):
            patients = tuple(getattr(self, role))
            object.__setattr__(self, role, patients)
            for patient in patients:
                if patient in role_of:
                    raise SplitError(
                        f"patient {patient!r} is in {role_of[patient]} and in {role}; wanted each "
                        "patient once. Remove it from one of them, or draw the split anew."
                    )
                role_of[patient] = role

    @property
    def label_budget(self) -> int:
        """Labelled patients that the model has seen in any way: train and val together."""
        return len(self.train) + len(self.val)

    @property
    def patients_hash(self) -> str:
        """SHA-256 of who is in which role; says whether two splits are one without naming anyone.

        Patient ids are few and guessable, so do not publish it beside them as if it hid them.
        """
        text = json.dumps([sorted(self.train), sorted(self.val), sorted(self.test)])
        return hashlib.sha256(text.encode()).hexdigest()

    def role_of(self, patient: str) -> str | None:
        """Return ``"train"``, ``"val"``, ``"test"``, or ``None`` for a patient in no role."""
        for role in ("train", "val", "test"):
            if patient in getattr(self, role):
                return role
        return None

    def to_dict(self) -> dict[str, Any]:
        """Return plain types. They name patients: for files of yours, never for a checkpoint."""
        plain = {k: list(v) if isinstance(v, tuple) else v for k, v in asdict(self).items()}
        return {"format": _FORMAT, **plain}

    def save(self, path: str | Path) -> Path:
        """Write JSON, whole or not at all.

        Returns:
            The path written.
        """
        return write_text_atomic(path, json.dumps(self.to_dict(), indent=2) + "\n")

    @classmethod
    def load(cls, path: str | Path) -> Split:
        """Read and check what `save` wrote.

        Raises:
            SplitError: The file is missing, is not JSON, lacks a field, or a patient has two roles.
        """
        path = Path(path)
        wanted = "wanted a JSON file as Split.save writes it"
        try:
            data = json.loads(path.read_text(encoding="utf-8"))
        except OSError as error:
            raise SplitError(f"{path}: cannot be read ({error.strerror}); {wanted}.") from error
        except ValueError as error:
            raise SplitError(f"{path}: is not JSON ({error}); {wanted}.") from error
        if not isinstance(data, dict):
            raise SplitError(f"{path}: holds a {type(data).__name__}; {wanted}.")
        try:
            return cls._from_plain(data)
        except SplitError as error:
            raise SplitError(f"{path}: {error}") from error

    @classmethod
    def _from_plain(cls, data: Mapping[str, Any]) -> Split:
        if data.get("format") != _FORMAT:
            raise SplitError(f"has format {data.get('format')!r}; wanted {_FORMAT}.")
        values: dict[str, Any] = {}
        for f in fields(cls):
            if f.name not in data:
                raise SplitError(f"has no {f.name!r}; wanted {[g.name for g in fields(cls)]}.")
            value = data[f.name]
            is_role = f.name in ("train", "val", "test")
            if is_role and not (isinstance(value, list) and all(isinstance(p, str) for p in value)):
                raise SplitError(f"{f.name!r} is {value!r}; wanted a list of patient ids (text).")
            if not is_role and (not isinstance(value, int) or isinstance(value, bool)):
                raise SplitError(f"{f.name!r} is {value!r}; wanted a whole number.")
            values[f.name] = value
        return cls(**values)


def make_folds(patients: Iterable[str], num_folds: int, seed: int = 0) -> list[list[str]]:
    """Deal patients into folds whose sizes differ by one at most.

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
    unique = sorted(set(patients))
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

    Args:
        manifest: Rows with the column among their extra columns.
        column: Its name; values sort as numbers when they all are.

    Returns:
        One sorted list of patients a value.

    Raises:
        SplitError: No such column, an empty value, a single value, or a patient in two folds.
    """
    fold_of: dict[str, tuple[str, str]] = {}
    for row in manifest.rows:
        value = row.extra.get(column, "").strip()
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
    ordered = sorted(values, key=lambda v: (not v.isdigit(), int(v) if v.isdigit() else 0, v))
    return [sorted(p for p, (v, _) in fold_of.items() if v == value) for value in ordered]


def nested_subsets(
    train_patients: Iterable[str],
    sizes: Iterable[int],
    seed: int = 0,
    repeat: int = 0,
    fold: int = 0,
) -> dict[int, list[str]]:
    """Draw subsets of which each holds all smaller ones.

    Args:
        train_patients: Patients that may be trained on.
        sizes: How many patients each subset has, such as ``(5, 10, 25)``.
        seed: Seed of the study.
        repeat: Another repeat, another draw from the same patients.
        fold: Fold the patients belong to; keeps the draws of two folds apart.

    Returns:
        Size to patients, in drawing order, so that ``subsets[10][:5] == subsets[5]``.

    Raises:
        SplitError: A size under 1, or larger than the number of patients.

    Example:
        >>> subsets = nested_subsets([f"p{i}" for i in range(9)], (3, 6), seed=1)
        >>> subsets[6][:3] == subsets[3]
        True
    """
    order = _shuffled(sorted(set(train_patients)), f"subset|{seed}|{fold}|{repeat}")
    subsets: dict[int, list[str]] = {}
    for size in sizes:
        if size < 1:
            raise SplitError(f"a subset of {size} patients was asked for; wanted 1 or more.")
        if size > len(order):
            raise SplitError(
                f"a subset of {size} patients was asked for, but fold {fold} has only "
                f"{len(order)} to train on; wanted {len(order)} or fewer. Ask for less, add "
                "patients, use more folds, or spend fewer on validation."
            )
        subsets[size] = order[:size]
    return subsets


def make_split(
    patients: Iterable[str] | Sequence[Sequence[str]],
    train_patients: int | None = None,
    *,
    fold: int = 0,
    num_folds: int = 4,
    seed: int = 0,
    repeat: int = 0,
    val_patients: int = 5,
) -> Split:
    """Draw the split of one fold: test, validation, and a nested training subset.

    Validation patients come from the training folds and depend on fold and seed only, so models
    trained on 5 or on 100 patients, and every repeat, are chosen and tested on the same people.

    Args:
        patients: Patient ids, or folds (lists of ids) as `predefined_folds` returns them.
        train_patients: Size of the training subset; ``None`` takes all that are left.
        fold: Which fold tests.
        num_folds: How many folds; ignored when folds are passed.
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
    """
    given = list(patients)
    if given and not isinstance(given[0], str):
        folds = [sorted(set(f)) for f in given]
        twice = [p for p, n in Counter(p for f in folds for p in f).items() if n > 1]
        if twice:
            raise SplitError(f"patient {twice[0]!r} is in two folds; wanted one fold a patient.")
        num_folds = len(folds)
    else:
        folds = make_folds([str(p) for p in given], num_folds, seed)
    if not 0 <= fold < num_folds:
        raise SplitError(f"fold is {fold}; wanted 0 to {num_folds - 1} ({num_folds} folds).")
    if val_patients < 0:
        raise SplitError(f"val_patients is {val_patients}; wanted 0 or more.")
    pool = sorted(p for k, f in enumerate(folds) if k != fold for p in f)
    if val_patients >= len(pool):
        raise SplitError(
            f"val_patients is {val_patients}, but the {num_folds - 1} training folds hold "
            f"{len(pool)} patients; wanted fewer, so that some are left to train on."
        )
    val = sorted(_shuffled(pool, f"val|{seed}|{fold}")[:val_patients])
    left = [p for p in pool if p not in set(val)]
    size = len(left) if train_patients is None else train_patients
    train = nested_subsets(left, [size], seed, repeat, fold)[size]
    return Split(tuple(train), tuple(val), tuple(folds[fold]), fold, num_folds, seed, repeat)


def _shuffled(patients: Sequence[str], salt: str) -> list[str]:
    return sorted(patients, key=lambda p: hashlib.sha256(f"{salt}|{p}".encode()).digest())
