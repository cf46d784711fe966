"""Outlines as planning systems and segmentation tools hold them, on the grid of their image."""

from __future__ import annotations

from muscletransfer.data.outlines.names import TOTALSEGMENTATOR, label_names
from muscletransfer.data.outlines.reading import read_outlines
from muscletransfer.data.outlines.rtstruct import read_structure_set
from muscletransfer.data.outlines.segmentation import segment_names

__all__ = [
    "TOTALSEGMENTATOR",
    "label_names",
    "read_outlines",
    "read_structure_set",
    "segment_names",
]
