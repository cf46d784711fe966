"""Preprocessed slices on disk."""

from __future__ import annotations

from typing import TYPE_CHECKING

from muscletransfer.lazy import lazy_names

if TYPE_CHECKING:
    from muscletransfer.data.cache.slice_cache import SliceCache, default_cache_dir

_HOMES = {
    "slice_cache": ["SliceCache", "default_cache_dir"],
}

__all__ = [
    "SliceCache",
    "default_cache_dir",
]

__getattr__, __dir__ = lazy_names(__name__, _HOMES)
