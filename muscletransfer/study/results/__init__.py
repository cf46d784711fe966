"""Results of a study: one tidy table from the folders of its runs, and the masks they wrote."""

from __future__ import annotations

from typing import TYPE_CHECKING

from muscletransfer.lazy import lazy_names

if TYPE_CHECKING:
    from muscletransfer.study.results.collect import StudyResults, collect_results
    from muscletransfer.study.results.columns import (
        CASE_COLUMNS,
        COLUMNS,
        RUN_COLUMNS,
        Arm,
        check_table,
        empty_table,
    )
    from muscletransfer.study.results.example import example_table
    from muscletransfer.study.results.files import read_results, write_results
    from muscletransfer.study.results.masks import read_masks, write_masks
    from muscletransfer.study.results.own import complete_table

_HOMES = {
    "collect": ["StudyResults", "collect_results"],
    "columns": ["CASE_COLUMNS", "COLUMNS", "RUN_COLUMNS", "Arm", "check_table", "empty_table"],
    "example": ["example_table"],
    "files": ["read_results", "write_results"],
    "masks": ["read_masks", "write_masks"],
    "own": ["complete_table"],
}

__all__ = [
    "CASE_COLUMNS",
    "COLUMNS",
    "RUN_COLUMNS",
    "Arm",
    "StudyResults",
    "check_table",
    "collect_results",
    "complete_table",
    "empty_table",
    "example_table",
    "read_masks",
    "read_results",
    "write_masks",
    "write_results",
]

__getattr__, __dir__ = lazy_names(__name__, _HOMES)
