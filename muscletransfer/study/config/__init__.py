"""The study's file: YAML in, frozen dataclasses of plain types out, every mistake named."""

from __future__ import annotations

from typing import TYPE_CHECKING

from muscletransfer.lazy import lazy_names

if TYPE_CHECKING:
    from muscletransfer.study.config.data import DataConfig, PhantomConfig
    from muscletransfer.study.config.reading import config_from_dict, read_config
    from muscletransfer.study.config.sources import PretextConfig, SourceConfig
    from muscletransfer.study.config.study import StudyConfig
    from muscletransfer.study.config.training import FineTuneConfig, SelectionConfig

_HOMES = {
    "data": ["DataConfig", "PhantomConfig"],
    "reading": ["config_from_dict", "read_config"],
    "sources": ["PretextConfig", "SourceConfig"],
    "study": ["StudyConfig"],
    "training": ["FineTuneConfig", "SelectionConfig"],
}

__all__ = [
    "DataConfig",
    "FineTuneConfig",
    "PhantomConfig",
    "PretextConfig",
    "SelectionConfig",
    "SourceConfig",
    "StudyConfig",
    "config_from_dict",
    "read_config",
]

__getattr__, __dir__ = lazy_names(__name__, _HOMES)
