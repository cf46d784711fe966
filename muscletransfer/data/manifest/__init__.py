"""The manifest: rows, reading and checking them, and what is written beside it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from muscletransfer.lazy import lazy_names

if TYPE_CHECKING:
    from muscletransfer.data.manifest.rows import ManifestRow
    from muscletransfer.data.manifest.table import Manifest

_HOMES = {
    "rows": ["ManifestRow"],
    "table": ["Manifest"],
}

__all__ = [
    "Manifest",
    "ManifestRow",
]

__getattr__, __dir__ = lazy_names(__name__, _HOMES)
