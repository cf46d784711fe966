"""Which patients and slices a `LowDataModule` uses, and whether their masks fit the task."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from muscletransfer.data.augmentation.batch import IGNORE_INDEX
from muscletransfer.data.cache import SliceCache
from muscletransfer.data.manifest import Manifest
from muscletransfer.data.manifest.people import aliases_of, check_people
from muscletransfer.data.splits import Split, make_folds, make_split, predefined_folds
from muscletransfer.errors import DataError, SplitError

__all__ = [
    "cases_of",
    "check_classes",
    "draw_split",
    "evenly_spaced",
    "open_split",
]

_MOST_VALIDATION = 5


def draw_split(
    manifest: Manifest,
    train_patients: int | None,
    *,
    fold: int | None,
    num_folds: int,
    seed: int,
    repeat: int,
    val_patients: int | None,
    fold_column: str | None,
) -> Split:
    """Draw the split of one fold; see `make_split` for the rules.

    Args:
        manifest: The rows in use.
        train_patients: Size of the training subset; None for all that are left.
        fold: Which fold tests; None for no test.
        num_folds: How many folds.
        seed: Seed of folds, validation and subsets.
        repeat: Which redraw of the subset.
        val_patients: How many validate; None for a quarter of the training folds, from 1 to 5, and
            for nobody where nobody tests.
        fold_column: Column that gives the folds, or None to deal them.

    Returns:
        The split, with the aliases of its patients.

    Raises:
        ManifestError: A patient has rows under two names.
        SplitError: The patients do not suffice, with the numbers.
    """
    check_people(manifest.rows)
    if fold is None:
        folds = [manifest.patients]
        val_patients = val_patients or 0
    elif fold_column is not None:
        folds = predefined_folds(manifest, fold_column)
    else:
        folds = make_folds(manifest.patients, num_folds, seed)
    if val_patients is None:
        pool = sum(len(f) for k, f in enumerate(folds) if k != fold)
        val_patients = min(_MOST_VALIDATION, max(1, pool // 4)) if pool > 1 else 0
    split = make_split(
        folds,
        train_patients,
        fold=fold,
        seed=seed,
        repeat=repeat,
        val_patients=val_patients,
    )
    return _with_aliases(split, manifest)


def open_split(given: Split | str | Path, manifest: Manifest) -> Split:
    """Read a split where it is a file, and check that it belongs to the manifest.

    Args:
        given: The split or its JSON.
        manifest: The rows in use.

    Returns:
        The split, with the aliases that it or the manifest has of its patients.

    Raises:
        ManifestError: A patient has rows under two names.
        SplitError: The file is wrong, a patient has no row, or nobody trains.
    """
    check_people(manifest.rows)
    split = given if isinstance(given, Split) else Split.load(given)
    name = "the split" if isinstance(given, Split) else str(given)
    known = set(manifest.patients)
    for role in ("train", "val", "test"):
        missing = [p for p in getattr(split, role) if p not in known]
        if missing:
            raise SplitError(
                f"{name}: {len(missing)} of its {role} patients have no row in {manifest.path}, "
                f"{missing[0]!r} first; wanted a split of this manifest (and of the same rows, "
                "where some are filtered out)."
            )
    if not split.train:
        raise SplitError(f"{name}: nobody trains; wanted at least one training patient.")
    return _with_aliases(split, manifest)


def _with_aliases(split: Split, manifest: Manifest) -> Split:
    found = dict(split.aliases)
    used = {*split.train, *split.val, *split.test}
    for patient, names in aliases_of(manifest.rows).items():
        if patient in used:
            found[patient] = tuple(sorted({*names, *found.get(patient, ())}))
    return replace(split, aliases=found)


def cases_of(manifest: Manifest, patients: Sequence[str], limit: int | None = None) -> list[int]:
    """Return the row numbers of patients, patient after patient.

    Args:
        manifest: The rows in use.
        patients: Whose rows, in this order.
        limit: At most this many a patient, evenly spaced over the file's order.

    Example:
        >>> from muscletransfer.data.manifest.rows import ManifestRow
        >>> rows = [ManifestRow(p, Path(f"{i}.png")) for i, p in enumerate("abbba")]
        >>> manifest = Manifest(tuple(rows))
        >>> cases_of(manifest, ["b", "a"]), cases_of(manifest, ["b", "a"], 1)
        ([1, 2, 3, 0, 4], [2, 4])
    """
    rows: dict[str, list[int]] = {}
    for case, row in enumerate(manifest.rows):
        rows.setdefault(row.patient_id, []).append(case)
    return [
        case
        for patient in patients
        for case in evenly_spaced(rows[patient], len(rows[patient]) if limit is None else limit)
    ]


def evenly_spaced(items: Sequence[int], count: int) -> list[int]:
    """Return ``count`` items spread evenly over the sequence, or all when there are fewer.

    Example:
        >>> evenly_spaced(range(10), 3), evenly_spaced([4, 5], 3)
        ([1, 5, 8], [4, 5])
    """
    if count >= len(items):
        return list(items)
    return [items[int((i + 0.5) * len(items) / count)] for i in range(count)]


def check_classes(manifest: Manifest, cache: SliceCache, num_classes: int) -> None:
    """Raise unless every mask value is a class of the task, or 255.

    Args:
        manifest: The rows in use.
        cache: Their cache, with masks.
        num_classes: Classes of the task; 1 stands for the values 0 and 1.

    Raises:
        DataError: Naming the value and the first row that has it.
    """
    wrong = sorted(set(cache.classes) - {*range(max(2, num_classes)), IGNORE_INDEX})
    if not wrong:
        return
    rows = [
        row.where
        for case, row in enumerate(manifest.rows)
        if (cache.native_mask(case) == wrong[0]).any()
    ]
    raise DataError(
        f"{rows[0]}: the mask holds the value {wrong[0]}, which num_classes={num_classes} does "
        f"not allow ({len(rows)} masks hold it; values in all masks: {list(cache.classes)}). Set "
        f"num_classes={wrong[-1] + 1}, or map the classes in the files."
    )
