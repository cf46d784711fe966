"""Pretext tasks: what an encoder learns before it sees an outlined muscle.

Example:
    >>> from muscletransfer.pretext import create_pretext
    >>> task = create_pretext("jigsaw", encoder="timm/resnet18", grid=2)
    >>> task.provenance().task
    'jigsaw'
"""

from muscletransfer.pretext.base import PretextTask
from muscletransfer.pretext.classification import ClassificationPretext
from muscletransfer.pretext.heads import ClassificationHead, JigsawHead, pool
from muscletransfer.pretext.jigsaw import JigsawPretext
from muscletransfer.pretext.permutations import (
    affine_permutations,
    arrange,
    min_hamming_distance,
    permutation_set,
)
from muscletransfer.pretext.reconstruction import ReconstructionPretext
from muscletransfer.pretext.registry import create_pretext, list_pretexts, register_pretext
from muscletransfer.pretext.segmentation import SegmentationPretext

__all__ = [
    "ClassificationHead",
    "ClassificationPretext",
    "JigsawHead",
    "JigsawPretext",
    "PretextTask",
    "ReconstructionPretext",
    "SegmentationPretext",
    "affine_permutations",
    "arrange",
    "create_pretext",
    "list_pretexts",
    "min_hamming_distance",
    "permutation_set",
    "pool",
    "register_pretext",
]
