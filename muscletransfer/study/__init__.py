"""The study: which source task saves how many labels, from one file to one page."""

from __future__ import annotations

from typing import TYPE_CHECKING

from muscletransfer.lazy import lazy_names

if TYPE_CHECKING:
    from muscletransfer.study.config.reading import config_from_dict, read_config
    from muscletransfer.study.config.study import StudyConfig
    from muscletransfer.study.finish import analyse_study, write_study_results
    from muscletransfer.study.plan.planning import plan_study
    from muscletransfer.study.plan.record import StudyPlan, study_config
    from muscletransfer.study.start import run_study

_HOMES = {
    "config.reading": ["config_from_dict", "read_config"],
    "config.study": ["StudyConfig"],
    "finish": ["analyse_study", "write_study_results"],
    "plan.planning": ["plan_study"],
    "plan.record": ["StudyPlan", "study_config"],
    "start": ["run_study"],
}

__all__ = [
    "StudyConfig",
    "StudyPlan",
    "analyse_study",
    "config_from_dict",
    "plan_study",
    "read_config",
    "run_study",
    "study_config",
    "write_study_results",
]

__getattr__, __dir__ = lazy_names(__name__, _HOMES)
