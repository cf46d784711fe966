"""Where weights come from: a frozen record with the record of its parent."""

from __future__ import annotations

import importlib.metadata
import platform
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from datetime import UTC, datetime
from typing import Any, Self

from muscletransfer._version import __version__
from muscletransfer.errors import ContractError, WeightsError
from muscletransfer.transfer.to_plain import to_plain

__all__ = ["Provenance", "collect_versions", "utc_now"]

_PACKAGES = ("torch", "lightning", "timm", "segmentation-models-pytorch")
_COUNTS = ("patients", "images")
_MAPPINGS = ("hyperparameters", "data", "preprocessing", "versions")
_SPECS = ("encoder", "decoder")


def collect_versions() -> dict[str, str]:
    """Return the versions that decide what a state means.

    .. versionadded:: 0.1

    Returns:
        Version strings by package: ``muscletransfer``, ``python``, ``torch``, ``lightning``,
        ``timm`` and ``segmentation-models-pytorch``.

    Example:
        >>> sorted(collect_versions())[:3]
        ['lightning', 'muscletransfer', 'python']
    """
    versions = {"muscletransfer": __version__, "python": platform.python_version()}
    for package in _PACKAGES:
        versions[package] = importlib.metadata.version(package)
    return versions


def utc_now() -> str:
    """Return the time in UTC as ISO 8601, to the second."""
    return datetime.now(UTC).isoformat(timespec="seconds")


@dataclass(frozen=True)
class Provenance:
    """What made a state: task, data, seed, versions, licence, and the same of its parent.

    All fields hold plain types only, so a record goes through JSON, ``torch.save`` and
    ``torch.load(weights_only=True)`` unchanged. Patients appear as a count and as the hash of their
    manifest, never by id.

    .. versionadded:: 0.1

    Args:
        task: What the weights learned, for example ``"jigsaw"`` or ``"imagenet"``.
        hyperparameters: Arguments of the task.
        encoder: The encoder spec as a dict, ``None`` when there is none.
        decoder: The decoder spec as a dict, ``None`` without a decoder.
        data: Counts and hashes: ``manifest_hash``, ``patients``, ``images``, ``dataset``, ...
        preprocessing: The preprocessing spec as a dict.
        seed: Seed of the run.
        stem: What was done to the first convolution when the parent's weights came in.
        versions: Package versions, see `collect_versions`.
        created: UTC time, ISO 8601; ``None`` for weights that were not made here.
        sha256: SHA-256 of the encoder's state, see `state_sha256`; ``None`` before it is saved.
        licence: Licence of the weights or of the data they learned from.
        source: Where the weights were read from, for weights not trained here.
        parent: The record of the weights that training started from.

    Raises:
        ContractError: If ``data`` holds anything but counts, hashes and names (a list of texts
            could be a list of patients).

    Example:
        >>> imagenet = Provenance(task="imagenet", licence="apache-2.0")
        >>> jigsaw = Provenance(task="jigsaw", data={"patients": 40}, seed=1, parent=imagenet)
        >>> [record.task for record in jigsaw.chain()]
        ['jigsaw', 'imagenet']
        >>> Provenance.from_dict(jigsaw.to_dict()) == jigsaw
        True
    """

    task: str
    hyperparameters: dict[str, Any] = field(default_factory=dict)
    encoder: dict[str, Any] | None = None
    decoder: dict[str, Any] | None = None
    data: dict[str, Any] = field(default_factory=dict)
    preprocessing: dict[str, Any] = field(default_factory=dict)
    seed: int | None = None
    stem: str | None = None
    versions: dict[str, str] = field(default_factory=collect_versions)
    created: str | None = field(default_factory=utc_now)
    sha256: str | None = None
    licence: str | None = None
    source: str | None = None
    parent: Provenance | None = None

    def __post_init__(self) -> None:
        for name in (*_MAPPINGS, *_SPECS):
            object.__setattr__(self, name, to_plain(getattr(self, name)))
        _refuse_patients(self.data)

    def to_dict(self) -> dict[str, Any]:
        """Return the record and its parents as nested dicts of plain types."""
        record = {
            f.name: to_plain(getattr(self, f.name)) for f in fields(self) if f.name != "parent"
        }
        record["parent"] = self.parent.to_dict() if self.parent else None
        return record

    @classmethod
    def from_dict(cls, record: Mapping[str, Any]) -> Self:
        """Rebuild a record from `to_dict`.

        Args:
            record: Nested dicts of plain types.

        Raises:
            WeightsError: If fields are missing, unknown or of another kind, that is, if the record
                was written by another version of the format, or damaged.
        """
        known = {f.name for f in fields(cls)}
        if not isinstance(record, Mapping):
            raise WeightsError(f"Cannot read a provenance record: it is {record!r}, no mapping.")
        unknown = sorted(map(str, set(record) - known))
        if unknown or not isinstance(record.get("task"), str):
            wrong = f"unknown fields {unknown}" if unknown else "no field 'task'"
            raise WeightsError(
                f"Cannot read a provenance record: {wrong}. Known fields are {sorted(known)}. "
                "It may come from a newer muscletransfer: upgrade, then read it again."
            )
        for name in (*_MAPPINGS, *_SPECS):
            _check_kind(name, record)
        values = dict(record)
        parent = values.pop("parent", None)
        return cls(**values, parent=cls.from_dict(parent) if parent else None)

    def chain(self) -> list[Provenance]:
        """Return this record, its parent, the parent's parent, ..."""
        records: list[Provenance] = [self]
        while (parent := records[-1].parent) is not None:
            records.append(parent)
        return records


def _check_kind(name: str, record: Mapping[str, Any]) -> None:
    """Refuse a field that is not a mapping, or a spec whose arguments are none."""
    value = record.get(name, {})
    if value is None and name in _SPECS:
        return
    kwargs = value.get("kwargs") or {} if isinstance(value, Mapping) and name in _SPECS else {}
    if not isinstance(value, Mapping) or not isinstance(kwargs, Mapping):
        raise WeightsError(
            f"Cannot read a provenance record: its field {name!r} is {value!r}, no mapping of "
            "plain values."
        )


def _refuse_patients(data: Mapping[str, Any]) -> None:
    """Let counts and hashes through and nothing that could list people."""
    for name, value in data.items():
        if isinstance(value, dict):
            _refuse_patients(value)
        elif "patient_id" in name or (isinstance(value, list) and not _is_numbers(name, value)):
            raise ContractError(
                f"Provenance.data[{name!r}] is a {type(value).__name__}; it may hold counts, "
                "hashes and names of data sets only: patient ids must never enter a checkpoint. "
                "Record their number as data['patients'] and data['manifest_hash'] instead."
            )
        elif name in _COUNTS and not isinstance(value, int | None):
            raise ContractError(
                f"Provenance.data[{name!r}] must be a count (an int), found {value!r}."
            )


def _is_numbers(name: str, values: list[Any]) -> bool:
    """Whether a list holds numbers only (class indices, say) and is not about patients."""
    return "patient" not in name and all(isinstance(value, int | float) for value in values)
