"""Observer studies: how well humans agree, as the yardstick for a model."""

from muscletransfer.observers.agreement_table import agreement_table
from muscletransfer.observers.band import Band
from muscletransfer.observers.consensus import consensus_mask
from muscletransfer.observers.from_manifest import observer_study_from_manifest
from muscletransfer.observers.human_level import HumanLevel, human_level
from muscletransfer.observers.icc_table import icc_table
from muscletransfer.observers.result import ObserverStudy
from muscletransfer.observers.spread import measure_spread, within_case_sd
from muscletransfer.observers.study import observer_study

__all__ = [
    "Band",
    "HumanLevel",
    "ObserverStudy",
    "agreement_table",
    "consensus_mask",
    "human_level",
    "icc_table",
    "measure_spread",
    "observer_study",
    "observer_study_from_manifest",
    "within_case_sd",
]
