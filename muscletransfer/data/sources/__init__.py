"""Pretext image collections as they lie on disk."""

from __future__ import annotations

from typing import TYPE_CHECKING

from muscletransfer.lazy import lazy_names

if TYPE_CHECKING:
    from muscletransfer.data.sources.image_source import ImageSource
    from muscletransfer.data.sources.opening import detect_kind, open_source

_HOMES = {
    "image_source": ["ImageSource"],
    "opening": ["detect_kind", "open_source"],
}

__all__ = [
    "ImageSource",
    "detect_kind",
    "open_source",
]

__getattr__, __dir__ = lazy_names(__name__, _HOMES)
