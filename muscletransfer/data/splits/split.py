"""One split: patients by role, in memory and as JSON."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any

from muscletransfer.data.files import write_text_atomic
from muscletransfer.errors import SplitError

__all__ = ["Split", "ids"]

_FORMAT = 1


@dataclass(frozen=True)
class Split:
    """Patients by role, with what drew them.

    .. versionadded:: 0.1

    Args:
        train: Patients to learn from, in the nested order: the first 5 are the subset of 5.
        val: Patients that choose the checkpoint; the same whatever the size of ``train``.
        test: Patients of the fold, looked at once.
        fold: Which fold is the test fold; ``None`` where nobody was held out to test.
        num_folds: How many folds there are; 1 where nobody was held out.
        seed: Seed of the folds and of ``val``.
        repeat: Which redraw of the subsets.
        aliases: Other names of patients that have any, by patient, as another index with the same
            key may call them; ``PretextDataModule(exclude=)`` bars a patient by each.

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
    fold: int | None = 0
    num_folds: int = 1
    seed: int = 0
    repeat: int = 0
    aliases: Mapping[str, tuple[str, ...]] = field(default_factory=dict, hash=False)

    def __post_init__(self) -> None:
        aliases = {patient: tuple(ids(names)) for patient, names in self.aliases.items()}
        object.__setattr__(self, "aliases", aliases)
        role_of: dict[str, str] = {}
        for role in ("train", "val", "test"):
            patients = tuple(ids(getattr(self, role)))
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
        """Labelled patients that the model has seen in any way, train and val together."""
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
        plain["aliases"] = {patient: list(names) for patient, names in self.aliases.items()}
        if not self.aliases:
            del plain["aliases"]  # as files of before aliases were known
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
        values: dict[str, Any] = {"aliases": data.get("aliases", {})}
        if not isinstance(values["aliases"], dict) or not all(
            isinstance(names, list) and all(isinstance(name, str) for name in names)
            for names in values["aliases"].values()
        ):
            raise SplitError(
                f"'aliases' is {values['aliases']!r}; wanted a list of names (text) a patient."
            )
        required = [f.name for f in fields(cls) if f.name not in values]
        for name in required:
            if name not in data:
                raise SplitError(f"has no {name!r}; wanted {required}.")
            value = data[name]
            is_role = name in ("train", "val", "test")
            if is_role and not (isinstance(value, list) and all(isinstance(p, str) for p in value)):
                raise SplitError(f"{name!r} is {value!r}; wanted a list of patient ids (text).")
            is_number = isinstance(value, int) and not isinstance(value, bool)
            if not is_role and not is_number and not (name == "fold" and value is None):
                raise SplitError(f"{name!r} is {value!r}; wanted a whole number.")
            values[name] = value
        return cls(**values)


def ids(patients: Iterable[str]) -> list[str]:
    """Return patient ids as a list.

    Raises:
        SplitError: One text, or something that is no text among them.
    """
    given = [patients] if isinstance(patients, str) else list(patients)
    for patient in given:
        if isinstance(patients, str) or not isinstance(patient, str):
            raise SplitError(
                f"{patient!r} stands where patients should; wanted a list of ids (text)."
            )
    return given
