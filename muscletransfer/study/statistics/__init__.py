"""Statistics of a study: from one row a case to one answer a question."""

from __future__ import annotations

from typing import TYPE_CHECKING

from muscletransfer.lazy import lazy_names

if TYPE_CHECKING:
    from muscletransfer.study.statistics.analysis import StudyAnalysis, analyse
    from muscletransfer.study.statistics.curve import LearningCurve
    from muscletransfer.study.statistics.human import HumanComparison, HumanTest, HumanVerdict
    from muscletransfer.study.statistics.paired import compare_arms
    from muscletransfer.study.statistics.saving import Factor, LabelSaving, SavingAt
    from muscletransfer.study.statistics.summary import summarise
    from muscletransfer.study.statistics.values import PatientValues, arm_labels, patient_values

_HOMES = {
    "analysis": ["StudyAnalysis", "analyse"],
    "curve": ["LearningCurve"],
    "human": ["HumanComparison", "HumanTest", "HumanVerdict"],
    "paired": ["compare_arms"],
    "saving": ["Factor", "LabelSaving", "SavingAt"],
    "summary": ["summarise"],
    "values": ["PatientValues", "arm_labels", "patient_values"],
}

__all__ = [
    "Factor",
    "HumanComparison",
    "HumanTest",
    "HumanVerdict",
    "LabelSaving",
    "LearningCurve",
    "PatientValues",
    "SavingAt",
    "StudyAnalysis",
    "analyse",
    "arm_labels",
    "compare_arms",
    "patient_values",
    "summarise",
]

__getattr__, __dir__ = lazy_names(__name__, _HOMES)
