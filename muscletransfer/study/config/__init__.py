"""The study's file: YAML in, frozen dataclasses of plain types out, every mistake named."""

from __future__ import annotations

from typing import TYPE_CHECKING

from muscletransfer.lazy import lazy_names

if TYPE_CHECKING:
    from muscletransfer.study.config.reading import config_from_dict, read_config
    from muscletransfer.study.config.study import StudyConfig

_HOMES = {
    "reading": ["config_from_dict", "read_config"],
    "study": ["StudyConfig"],
}

__all__ = ["StudyConfig", "config_from_dict", "read_config"]

__getattr__, __dir__ = lazy_names(__name__, _HOMES)
