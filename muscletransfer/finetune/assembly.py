"""Build the model of a fine-tuning run and move the source task's weights into it."""

from __future__ import annotations

import contextlib
import dataclasses
from collections.abc import Mapping
from typing import Any, Literal, NoReturn

from torch import Tensor, nn

from muscletransfer.encoders import EncoderSpec
from muscletransfer.errors import ContractError, PluginError, UnknownNameError
from muscletransfer.finetune.model import SegmentationModel, build_segmentation_model
from muscletransfer.finetune.randomness import seeded
from muscletransfer.losses import SegmentationLoss, build_loss
from muscletransfer.transfer import (
    TransferReport,
    Weights,
    is_restoring,
    load_decoder,
    load_encoder,
    resolve_weights,
)
from muscletransfer.transfer.artifact import encoder_spec

__all__ = [
    "EncoderLike",
    "UnavailableLoss",
    "assemble",
    "assemble_loss",
    "move_weights",
]

EncoderLike = str | EncoderSpec | dict[str, Any] | nn.Module


def assemble(
    encoder: EncoderLike,
    decoder: str,
    num_classes: int,
    in_channels: int,
    depth: int,
    encoder_kwargs: Mapping[str, Any] | None,
    decoder_kwargs: Mapping[str, Any] | None,
    seed: int | None,
) -> SegmentationModel:
    """Build the model with random weights from a stream of its own.

    Args:
        encoder: A name, a spec (also as a dict, as checkpoints hold it) or a module.
        decoder: Name of the decoder.
        num_classes: Channels of the logits.
        in_channels: Image channels, for an encoder by name.
        depth: Halvings of the image, for an encoder by name.
        encoder_kwargs: Further arguments of an encoder by name.
        decoder_kwargs: Further arguments of the decoder.
        seed: Of the random weights; ``None`` draws them from the global state.

    Returns:
        The model, in float32 on the CPU.

    Raises:
        UnknownNameError: An unknown encoder or decoder.
    """
    if isinstance(encoder, dict):
        encoder = EncoderSpec.from_dict(encoder)
    with contextlib.nullcontext() if seed is None else seeded(seed):
        try:
            return build_segmentation_model(
                encoder, decoder, num_classes, in_channels, depth, decoder_kwargs, encoder_kwargs
            )
        except UnknownNameError as error:
            if not is_restoring():
                raise
            raise UnknownNameError(
                f"{error} If it was a module of your own, pass one of the same make: "
                "SegmentationFineTuner.load_from_checkpoint(path, encoder=...)."
            ) from error


def move_weights(
    model: SegmentationModel,
    weights: Weights,
    what: Literal["encoder", "encoder+decoder"],
    stem: Literal["strict", "adapt"],
) -> TransferReport:
    """Load the source task's weights into encoder, and decoder when asked to.

    Args:
        model: Changed in place.
        weights: See `muscletransfer.load_encoder`.
        what: What is transferred.
        stem: What to do about another number of image channels.

    Returns:
        The report of the encoder; with a decoder, its keys are in it too (``decoder.`` in front).

    Raises:
        TransferError: The weights do not fit, or hold no decoder when one is asked for.
    """
    if what == "encoder" or weights is None:
        return load_encoder(model.encoder, weights, stem=stem)
    # Once, for the encoder of this model: a source may have others for others.
    weights = resolve_weights(weights, encoder_spec(model.encoder))
    report = load_encoder(model.encoder, weights, stem=stem)
    decoder = load_decoder(model.decoder, weights)
    return dataclasses.replace(
        report,
        loaded=(*report.loaded, *(f"decoder.{key}" for key in decoder.loaded)),
        notes=(*report.notes, *decoder.notes),
    )


class UnavailableLoss(SegmentationLoss):
    """Stands for a loss that a checkpoint could name but not carry; the model predicts without it.

    Args:
        name: What the checkpoint says about the loss.
        num_classes: Classes of the model.
    """

    def __init__(self, name: str, num_classes: int) -> None:
        super().__init__(num_classes)
        self.name = name

    def forward(self, logits: Tensor, target: Tensor) -> NoReturn:
        """Say how to get a loss."""
        raise ContractError(
            f"this model was trained with the loss {self.name}, an object that no checkpoint can "
            "carry. To train, validate or test it again, pass it: "
            "SegmentationFineTuner.load_from_checkpoint(path, loss=...)."
        )


def assemble_loss(
    loss: str | nn.Module, num_classes: int, loss_kwargs: Mapping[str, Any] | None
) -> SegmentationLoss:
    """Build the loss; a checkpoint whose loss is not at hand still opens, without one.

    Args:
        loss: See `muscletransfer.losses.build_loss`.
        num_classes: Classes of the model.
        loss_kwargs: Arguments of a named loss.

    Returns:
        The loss.
    """
    try:
        return build_loss(loss, num_classes, loss_kwargs=loss_kwargs)
    except (UnknownNameError, PluginError):
        if is_restoring() and isinstance(loss, str):
            return UnavailableLoss(loss, num_classes)
        raise
