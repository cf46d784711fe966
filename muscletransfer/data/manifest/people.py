"""Who is one person under several names, by the column ``aliases`` of one or more manifests."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from muscletransfer.data.manifest.rows import ManifestRow, patient_names
from muscletransfer.errors import ManifestError

__all__ = ["aliases_of", "check_people", "one_name_each"]


def one_name_each(named: Iterable[Iterable[str]]) -> dict[str, str]:
    """Return the least name of the person that each name stands for.

    Args:
        named: Names that stand for one person, such as those of `patient_names`; sets that share
            a name are of one person, also by way of other sets.

    Example:
        >>> one_name_each([("P1", "P3"), ("P2", "P3"), ("P4",)])
        {'P1': 'P1', 'P3': 'P1', 'P2': 'P1', 'P4': 'P4'}
    """
    parent: dict[str, str] = {}

    def root(name: str) -> str:
        while parent.setdefault(name, name) != name:
            parent[name] = name = parent[parent[name]]
        return name

    for names in dict.fromkeys(map(tuple, named)):
        first, *others = map(root, names)
        for other in others:
            first, other = sorted((root(first), root(other)))
            parent[other] = first
    return {name: root(name) for name in parent}


def aliases_of(rows: Iterable[ManifestRow]) -> dict[str, tuple[str, ...]]:
    """Return the other names of each patient that has any, sorted.

    Example:
        >>> from pathlib import Path
        >>> told = {"aliases": "P3 P2"}
        >>> aliases_of([ManifestRow("P1", Path("a"), extra=told), ManifestRow("P4", Path("b"))])
        {'P1': ('P2', 'P3')}
    """
    names: dict[str, set[str]] = {}
    for row in rows:
        names.setdefault(row.patient_id, set()).update(patient_names(row) - {row.patient_id})
    return {patient: tuple(sorted(others)) for patient, others in names.items() if others}


def check_people(rows: Sequence[ManifestRow]) -> None:
    """Raise where a patient has rows under two of their names, and would be two in a split.

    Two who share an alias and nothing else are two: what an index calls two patients with one id.

    Raises:
        ManifestError: Naming both rows.
    """
    first: dict[str, ManifestRow] = {}
    for row in rows:
        first.setdefault(row.patient_id, row)
    for patient, others in aliases_of(rows).items():
        for name in others:
            if name in first:
                raise ManifestError(
                    f"{first[patient].where}: patient {patient!r} is also called {name!r} (column "
                    f"aliases), and {name!r} stands in row {first[name].line}; wanted one "
                    "patient_id a person, or one could be in training and test at once. Write "
                    "the same in all of their rows."
                )
