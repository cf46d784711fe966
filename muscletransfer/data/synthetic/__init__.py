"""A synthetic axial CT cohort with ground truth, for tests, demonstrations and teaching.

Everything here is drawn from random numbers: no image, outline or number comes from a patient.
"""

from __future__ import annotations

from muscletransfer.data.synthetic.cohort import Cohort, make_cohort
from muscletransfer.data.synthetic.habitus import Habitus, sample_habitus
from muscletransfer.data.synthetic.levels import OTHER_LEVELS
from muscletransfer.data.synthetic.observers import OBSERVERS, Observer, simulate_observer
from muscletransfer.data.synthetic.slices import PhantomSlice, phantom_slice
from muscletransfer.data.synthetic.tissues import GROUPS, TISSUES
from muscletransfer.data.synthetic.troubles import TROUBLES

__all__ = [
    "GROUPS",
    "OBSERVERS",
    "OTHER_LEVELS",
    "TISSUES",
    "TROUBLES",
    "Cohort",
    "Habitus",
    "Observer",
    "PhantomSlice",
    "make_cohort",
    "phantom_slice",
    "sample_habitus",
    "simulate_observer",
]
