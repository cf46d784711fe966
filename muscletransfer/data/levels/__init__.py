"""Which slice of a volume is L3, or any other level."""

from __future__ import annotations

from muscletransfer.data.levels.finding import Level, find_level
from muscletransfer.data.levels.vertebra import MidVertebra, mid_vertebra

__all__ = ["Level", "MidVertebra", "find_level", "mid_vertebra"]
