"""From a tree of files as hospitals and archives hold it to a manifest of axial CT series."""

from __future__ import annotations

from muscletransfer.data.indexing.index import ImageIndex, index_images
from muscletransfer.data.indexing.records import Problem

__all__ = ["ImageIndex", "Problem", "index_images"]
