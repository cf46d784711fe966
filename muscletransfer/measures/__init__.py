"""Muscle measures from the original Hounsfield units, and published cut-offs for them."""

from muscletransfer.measures.adipose import adipose_measures
from muscletransfer.measures.cutoffs import CUTOFF_TABLES, Cutoff, CutoffTable, cutoffs
from muscletransfer.measures.muscle import muscle_measures
from muscletransfer.measures.table import measure_manifest
from muscletransfer.measures.windows import HU_WINDOWS, hu_windows

__all__ = [
    "CUTOFF_TABLES",
    "HU_WINDOWS",
    "Cutoff",
    "CutoffTable",
    "adipose_measures",
    "cutoffs",
    "hu_windows",
    "measure_manifest",
    "muscle_measures",
]
