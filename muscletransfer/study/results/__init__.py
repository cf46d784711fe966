"""Results of a study: one tidy table from the folders of its runs, and the masks they wrote."""

from __future__ import annotations

from typing import TYPE_CHECKING

from muscletransfer.lazy import lazy_names

if TYPE_CHECKING:
    from muscletransfer.study.results.columns import (
        CASE_COLUMNS,
        COLUMNS,
        RUN_COLUMNS,
        Arm,
        check_table,
        empty_table,
    )

_HOMES = {
    "columns": ["CASE_COLUMNS", "COLUMNS", "RUN_COLUMNS", "Arm", "check_table", "empty_table"],
}

__all__ = ["CASE_COLUMNS", "COLUMNS", "RUN_COLUMNS", "Arm", "check_table", "empty_table"]

__getattr__, __dir__ = lazy_names(__name__, _HOMES)
