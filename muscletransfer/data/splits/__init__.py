"""Who trains, who selects the model and who tests."""

from __future__ import annotations

from typing import TYPE_CHECKING

from muscletransfer.lazy import lazy_names

if TYPE_CHECKING:
    from muscletransfer.data.splits.drawing import (
        make_folds,
        make_split,
        nested_subsets,
        predefined_folds,
    )
    from muscletransfer.data.splits.split import Split

_HOMES = {
    "drawing": ["make_folds", "make_split", "nested_subsets", "predefined_folds"],
    "split": ["Split"],
}

__all__ = [
    "Split",
    "make_folds",
    "make_split",
    "nested_subsets",
    "predefined_folds",
]

__getattr__, __dir__ = lazy_names(__name__, _HOMES)
