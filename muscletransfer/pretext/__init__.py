"""Pretext tasks: what an encoder learns before it sees an outlined muscle.

Example:
    >>> from muscletransfer.pretext import create_pretext
    >>> task = create_pretext("jigsaw", encoder="timm/resnet18", grid=2)
    >>> task.provenance().task
    'jigsaw'
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from muscletransfer.lazy import lazy_names

if TYPE_CHECKING:
    from muscletransfer.pretext.base import PretextTask
    from muscletransfer.pretext.classification import ClassificationPretext
    from muscletransfer.pretext.contrastive import nt_xent
    from muscletransfer.pretext.heads import ClassificationHead, JigsawHead, ProjectionHead, pool
    from muscletransfer.pretext.jigsaw import JigsawPretext
    from muscletransfer.pretext.masked import MaskedImagePretext
    from muscletransfer.pretext.multitask import MultiTaskPretext
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

_HOMES = {
    "base": ["PretextTask"],
    "classification": ["ClassificationPretext"],
    "contrastive": ["nt_xent"],
    "heads": ["ClassificationHead", "JigsawHead", "ProjectionHead", "pool"],
    "jigsaw": ["JigsawPretext"],
    "masked": ["MaskedImagePretext"],
    "multitask": ["MultiTaskPretext"],
    "permutations": ["affine_permutations", "arrange", "min_hamming_distance", "permutation_set"],
    "reconstruction": ["ReconstructionPretext"],
    "registry": ["create_pretext", "list_pretexts", "register_pretext"],
    "rotation": ["RotationPretext"],
    "segmentation": ["SegmentationPretext"],
    "simclr": ["SimCLRPretext"],
}

__all__ = [
    "ClassificationHead",
    "ClassificationPretext",
    "JigsawHead",
    "JigsawPretext",
    "MaskedImagePretext",
    "MultiTaskPretext",
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

__getattr__, __dir__ = lazy_names(__name__, _HOMES)
