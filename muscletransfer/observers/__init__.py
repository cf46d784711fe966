"""Observer studies: how well humans agree, as the yardstick for a model."""

from muscletransfer.observers.band import Band
from muscletransfer.observers.consensus import consensus_mask
from muscletransfer.observers.from_manifest import observer_study_from_manifest
from muscletransfer.observers.result import ObserverStudy
from muscletransfer.observers.study import observer_study

__all__ = [
    "Band",
    "ObserverStudy",
    "consensus_mask",
    "observer_study",
    "observer_study_from_manifest",
]
