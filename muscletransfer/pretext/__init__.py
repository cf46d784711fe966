"""Pretext tasks: what an encoder learns before it sees an outlined muscle.

Example:
    >>> from muscletransfer.pretext import create_pretext
    >>> task = create_pretext("jigsaw", encoder="timm/resnet18", grid=2)
    >>> task.provenance().task
    'jigsaw'
"""

from muscletransfer.pretext.base import PretextTask
from muscletransfer.pretext.classification import ClassificationPretext
from muscletransfer.pretext.contrastive import nt_xent
from muscletransfer.pretext.heads import ClassificationHead, JigsawHead, ProjectionHead, pool
from muscletransfer.pretext.jigsaw import JigsawPretext
from muscletransfer.pretext.masked import MaskedImagePretext
from muscletransfer.pretext.permutations import (
    affine_permutations,
    arrange,
    min_hamming_distance,
    permutation_set,
)
from muscletransfer.pretext.reconstruction import ReconstructionPretext
from muscletransfer.pretext.registry import create_pretext, list_pretexts, register_pretext
from muscletransfer.pretext.rotation import RotationPretext
from muscletransfer.pretext.segmentation import SegmentationPretext
from muscletransfer.pretext.simclr import SimCLRPretext

__all__ = [
    "ClassificationHead",
    "ClassificationPretext",
    "JigsawHead",
    "JigsawPretext",
    "MaskedImagePretext",
    "PretextTask",
    "ProjectionHead",
    "ReconstructionPretext",
    "RotationPretext",
    "SegmentationPretext",
    "SimCLRPretext",
    "affine_permutations",
    "arrange",
    "create_pretext",
    "list_pretexts",
    "min_hamming_distance",
    "nt_xent",
    "permutation_set",
    "pool",
    "register_pretext",
]
