"""From a study's file to the runs it needs: specifications with content ids, leakage, estimates."""

from __future__ import annotations

from typing import TYPE_CHECKING

from muscletransfer.lazy import lazy_names

if TYPE_CHECKING:
    from muscletransfer.study.plan.cases import observers_manifest, study_manifest
    from muscletransfer.study.plan.jobs import make_jobs
    from muscletransfer.study.plan.planning import plan_study
    from muscletransfer.study.plan.record import StudyPlan, study_config
    from muscletransfer.study.plan.specs import PretextSpec, RunSpec

_HOMES = {
    "cases": ["observers_manifest", "study_manifest"],
    "jobs": ["make_jobs"],
    "planning": ["plan_study"],
    "record": ["StudyPlan", "study_config"],
    "specs": ["PretextSpec", "RunSpec"],
}

__all__ = [
    "PretextSpec",
    "RunSpec",
    "StudyPlan",
    "make_jobs",
    "observers_manifest",
    "plan_study",
    "study_config",
    "study_manifest",
]

__getattr__, __dir__ = lazy_names(__name__, _HOMES)
