"""Weights: where they come from, how they move between models, what a file says about itself."""

from muscletransfer.transfer.artifact import (
    CHECKPOINT_KEY,
    Artifact,
    checkpoint_block,
    checkpoint_provenance,
    describe_run,
)
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
from muscletransfer.transfer.restoring import is_restoring, restoring
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
    "layerwise_groups",
    "list_weights",
    "load_decoder",
    "load_encoder",
    "preprocessing_differences",
    "read_artifact",
    "register_weights",
    "rehearse",
    "resolve_weights",
    "restoring",
    "save_encoder",
    "state_sha256",
    "unfreeze",
    "warn_preprocessing_mismatch",
]
