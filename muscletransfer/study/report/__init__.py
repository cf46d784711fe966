"""The report of a study: one page that stands by itself, and its figures as files."""

from __future__ import annotations

from typing import TYPE_CHECKING

from muscletransfer.lazy import lazy_names

if TYPE_CHECKING:
    from muscletransfer.study.report.writing import write_study_report

_HOMES = {"writing": ["write_study_report"]}

__all__ = ["write_study_report"]

__getattr__, __dir__ = lazy_names(__name__, _HOMES)
