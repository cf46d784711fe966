"""Weights: where they come from, how they move between models, what a file says about itself."""

from __future__ import annotations

from typing import TYPE_CHECKING

from muscletransfer.lazy import lazy_names
from muscletransfer.transfer.restoring import is_restoring, restoring

if TYPE_CHECKING:
    from muscletransfer.transfer.artifact import (
        CHECKPOINT_KEY,
        Artifact,
        checkpoint_block,
        checkpoint_provenance,
        describe_run,
    )
    from muscletransfer.transfer.compiled import keys_of, plain_keys, uncompiled
    from muscletransfer.transfer.formatting import format_provenance
    from muscletransfer.transfer.freezing import freeze, is_frozen, unfreeze
    from muscletransfer.transfer.hashing import state_sha256
    from muscletransfer.transfer.layerwise import encoder_stages, layerwise_groups
    from muscletransfer.transfer.loading import load_decoder, load_encoder
    from muscletransfer.transfer.preprocessing_check import (
        PreprocessingMismatchWarning,
        preprocessing_differences,
        warn_preprocessing_mismatch,
    )
    from muscletransfer.transfer.provenance import Provenance, collect_versions
    from muscletransfer.transfer.reading import inspect_file, read_artifact
    from muscletransfer.transfer.rehearsal import NotTransferableWarning, rehearse
    from muscletransfer.transfer.report import TransferReport
    from muscletransfer.transfer.saving import save_encoder
    from muscletransfer.transfer.stem import adapt_kernel
    from muscletransfer.transfer.weights import (
        LoadedWeights,
        Weights,
        WeightSource,
        list_weights,
        register_weights,
        resolve_weights,
    )

_HOMES = {
    "artifact": [
        "CHECKPOINT_KEY",
        "Artifact",
        "checkpoint_block",
        "checkpoint_provenance",
        "describe_run",
    ],
    "compiled": ["keys_of", "plain_keys", "uncompiled"],
    "formatting": ["format_provenance"],
    "freezing": ["freeze", "is_frozen", "unfreeze"],
    "hashing": ["state_sha256"],
    "layerwise": ["encoder_stages", "layerwise_groups"],
    "loading": ["load_decoder", "load_encoder"],
    "preprocessing_check": [
        "PreprocessingMismatchWarning",
        "preprocessing_differences",
        "warn_preprocessing_mismatch",
    ],
    "provenance": ["Provenance", "collect_versions"],
    "reading": ["inspect_file", "read_artifact"],
    "rehearsal": ["NotTransferableWarning", "rehearse"],
    "report": ["TransferReport"],
    "saving": ["save_encoder"],
    "stem": ["adapt_kernel"],
    "weights": [
        "LoadedWeights",
        "Weights",
        "WeightSource",
        "list_weights",
        "register_weights",
        "resolve_weights",
    ],
}

__all__ = [
    "CHECKPOINT_KEY",
    "Artifact",
    "LoadedWeights",
    "NotTransferableWarning",
    "PreprocessingMismatchWarning",
    "Provenance",
    "TransferReport",
    "WeightSource",
    "Weights",
    "adapt_kernel",
    "checkpoint_block",
    "checkpoint_provenance",
    "collect_versions",
    "describe_run",
    "encoder_stages",
    "format_provenance",
    "freeze",
    "inspect_file",
    "is_frozen",
    "is_restoring",
    "keys_of",
    "layerwise_groups",
    "list_weights",
    "load_decoder",
    "load_encoder",
    "plain_keys",
    "preprocessing_differences",
    "read_artifact",
    "register_weights",
    "rehearse",
    "resolve_weights",
    "restoring",
    "save_encoder",
    "state_sha256",
    "uncompiled",
    "unfreeze",
    "warn_preprocessing_mismatch",
]

__getattr__, __dir__ = lazy_names(__name__, _HOMES)
