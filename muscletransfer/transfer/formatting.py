"""A provenance chain as text, for ``muscletransfer inspect``."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from muscletransfer.transfer.provenance import Provenance

__all__ = ["format_provenance"]


def format_provenance(provenance: Provenance) -> str:
    """Lay out a record for reading, each parent indented under what was made from it.

    .. versionadded:: 0.1

    Args:
        provenance: The record of a file.

    Returns:
        Lines of text without a final newline.

    Example:
        >>> imagenet = Provenance(task="imagenet", licence="apache-2.0", created="2026-01-01")
        >>> run = Provenance(task="jigsaw", data={"patients": 40}, parent=imagenet, seed=0,
        ...                  created="2026-01-02T10:00:00+00:00", versions={"torch": "2.8.0"})
        >>> print(format_provenance(run))
        task           jigsaw
        data           patients=40
        licence        not stated
        seed           0
        created        2026-01-02T10:00:00+00:00
        versions       torch=2.8.0
        parent
          task           imagenet
          licence        apache-2.0
          ...
    """
    lines: list[str] = []
    for depth, record in enumerate(provenance.chain()):
        if depth:
            lines.append("  " * (depth - 1) + "parent")
        lines += ["  " * depth + line for line in _record(record)]
    return "\n".join(lines)


def _record(record: Provenance) -> list[str]:
    rows: list[tuple[str, str | None]] = [
        ("task", record.task),
        ("source", record.source),
        ("data", _pairs(record.data)),
        ("preprocessing", _pairs(record.preprocessing)),
        ("encoder", _spec(record.encoder)),
        ("decoder", _spec(record.decoder)),
        ("stem", record.stem),
        ("weights", f"sha256 {record.sha256}" if record.sha256 else None),
        ("licence", record.licence or "not stated"),
        ("settings", _pairs(record.hyperparameters)),
        ("seed", None if record.seed is None else str(record.seed)),
        ("created", record.created),
        ("versions", _pairs(record.versions)),
    ]
    return [f"{title:<14} {text}" for title, text in rows if text]


def _spec(spec: Mapping[str, Any] | None) -> str | None:
    if spec is None:
        return None
    options = {key: value for key, value in spec.items() if key not in ("name", "kwargs")}
    options |= spec.get("kwargs") or {}
    return f"{spec.get('name')} {_pairs(options)}".strip()


def _pairs(values: Mapping[str, Any]) -> str:
    return ", ".join(
        f"{key}=({_pairs(value)})" if isinstance(value, Mapping) else f"{key}={value}"
        for key, value in values.items()
        if value is not None
    )
