"""Pretext tasks, transfer and low-data evaluation of muscle segmentation on CT.

Public names are loaded on first use (PEP 562), so ``import muscletransfer`` is quick and imports
none of torch, lightning, monai or timm.

Example:
    >>> import muscletransfer as mt
    >>> "jigsaw" in mt.list_pretexts()
    True
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from muscletransfer._version import __version__
from muscletransfer.lazy import lazy_names

if TYPE_CHECKING:
    from muscletransfer.data import (
        LowDataModule,
        PretextDataModule,
        read_ct,
        read_mask,
        write_mask,
    )
    from muscletransfer.encoders import (
        Encoder,
        create_encoder,
        list_encoders,
        register_encoder,
    )
    from muscletransfer.errors import DuplicateNameError, UnknownNameError
    from muscletransfer.finetune import SegmentationFineTuner
    from muscletransfer.measures import muscle_measures
    from muscletransfer.observers import observer_study
    from muscletransfer.pretext import (
        ClassificationPretext,
        JigsawPretext,
        PretextTask,
        ReconstructionPretext,
        SegmentationPretext,
        create_pretext,
        list_pretexts,
        register_pretext,
    )
    from muscletransfer.transfer import (
        Provenance,
        TransferReport,
        list_weights,
        load_encoder,
        register_weights,
        save_encoder,
    )

_HOMES = {
    "data": ["LowDataModule", "PretextDataModule", "read_ct", "read_mask", "write_mask"],
    "encoders": ["Encoder", "create_encoder", "list_encoders", "register_encoder"],
    "errors": ["DuplicateNameError", "UnknownNameError"],
    "finetune": ["SegmentationFineTuner"],
    "measures": ["muscle_measures"],
    "observers": ["observer_study"],
    "pretext": [
        "ClassificationPretext",
        "JigsawPretext",
        "PretextTask",
        "ReconstructionPretext",
        "SegmentationPretext",
        "create_pretext",
        "list_pretexts",
        "register_pretext",
    ],
    "transfer": [
        "Provenance",
        "TransferReport",
        "list_weights",
        "load_encoder",
        "register_weights",
        "save_encoder",
    ],
}

__all__ = [  # noqa: RUF022 - grouped as in the documentation, not alphabetical
    "__version__",
    "register_encoder",
    "create_encoder",
    "list_encoders",
    "Encoder",
    "register_weights",
    "list_weights",
    "register_pretext",
    "create_pretext",
    "list_pretexts",
    "PretextTask",
    "JigsawPretext",
    "ReconstructionPretext",
    "ClassificationPretext",
    "SegmentationPretext",
    "load_encoder",
    "save_encoder",
    "Provenance",
    "TransferReport",
    "SegmentationFineTuner",
    "LowDataModule",
    "PretextDataModule",
    "read_ct",
    "read_mask",
    "write_mask",
    "muscle_measures",
    "observer_study",
    "UnknownNameError",
    "DuplicateNameError",
]

__getattr__, __dir__ = lazy_names(__name__, _HOMES)
