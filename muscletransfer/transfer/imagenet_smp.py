"""The ``"imagenet"`` weights of segmentation-models-pytorch's encoders."""

from __future__ import annotations

from pathlib import Path

import torch
from huggingface_hub import constants
from segmentation_models_pytorch.encoders import encoders, get_encoder, get_preprocessing_params

from muscletransfer.encoders import EncoderSpec
from muscletransfer.errors import WeightsError
from muscletransfer.transfer.fetching import fetching
from muscletransfer.transfer.provenance import Provenance
from muscletransfer.transfer.weights import LoadedWeights

__all__ = ["imagenet_smp"]

_TAG = "imagenet"


def imagenet_smp(spec: EncoderSpec, model: str) -> LoadedWeights:
    """Return the tag ``imagenet`` of an encoder, through smp's own loader.

    Args:
        spec: An encoder ``smp/<model>``.
        model: Its name without the namespace.

    Raises:
        WeightsError: If smp has no such tag for it, or the files cannot be had or read.
    """
    settings = encoders[model]["pretrained_settings"]
    if _TAG not in settings:
        raise WeightsError(
            f"segmentation-models-pytorch has no tag {_TAG!r} for {spec.name!r}, only "
            f"{', '.join(map(repr, settings))}. Choose another encoder, or load those weights "
            "yourself and pass them as a file of save_encoder."
        )
    repository, revision = settings[_TAG]["repo_id"], settings[_TAG]["revision"]
    address = f"{constants.ENDPOINT}/{repository}"
    cache = Path(constants.HF_HUB_CACHE) / f"models--{repository.replace('/', '--')}"
    with (
        torch.random.fork_rng(devices=[]),
        fetching(f"the pretrained weights of {spec.name!r}", address, str(cache)),
    ):
        # smp loads strictly, so every tensor is from the file; dilation would change none of them
        encoder = get_encoder(model, in_channels=3, depth=spec.depth, weights=_TAG)
        normalisation = get_preprocessing_params(model, _TAG)
    low, high = normalisation["input_range"]
    return LoadedWeights(
        source=_TAG,
        encoder_state={f"model.{key}": value for key, value in encoder.state_dict().items()},
        in_channels=3,
        provenance=Provenance(
            task=_TAG,
            hyperparameters={
                "architecture": model,
                "tag": _TAG,
                "revision": revision,
                "input_space": normalisation["input_space"],
            },
            data={"dataset": "ImageNet-1k"},
            # of an image whose values run from 0 to 1, whatever range the weights were made for
            preprocessing={
                "mean": [(value - low) / (high - low) for value in normalisation["mean"]],
                "std": [value / (high - low) for value in normalisation["std"]],
            },
            licence=None,
            source=address,
            created=None,
        ),
    )
