"""The manifest: rows, reading and checking them, and what is written beside it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from muscletransfer.lazy import lazy_names

if TYPE_CHECKING:
    from muscletransfer.data.manifest.rows import ManifestRow
    from muscletransfer.data.manifest.table import Manifest, row_key

_HOMES = {
    "rows": ["ManifestRow"],
    "table": ["Manifest", "row_key"],
}

__all__ = [
    "Manifest",
    "ManifestRow",
    "row_key",
]

__getattr__, __dir__ = lazy_names(__name__, _HOMES)
