"""``"imagenet"``: the pretrained weights that timm and segmentation-models-pytorch publish."""

from __future__ import annotations

import dataclasses
import os
from pathlib import Path
from typing import Any, cast
from urllib.parse import urlparse

import timm
import torch
from huggingface_hub import constants
from torch import Tensor, nn

from muscletransfer.encoders import EncoderSpec, build_encoder
from muscletransfer.encoders.timm_encoders import TimmEncoder
from muscletransfer.errors import ContractError, WeightsError
from muscletransfer.transfer.fetching import fetching
from muscletransfer.transfer.provenance import Provenance
from muscletransfer.transfer.weights import LoadedWeights

__all__ = ["imagenet"]

_SEED = 0


def imagenet(spec: EncoderSpec) -> LoadedWeights:
    """Return the pretrained weights of an encoder, through its own library's loader.

    ``timm/<model>`` takes timm's pretrained tag (its first one unless the name carries another, as
    in ``timm/resnet18.fb_swsl_ig1b_ft_in1k``), ``smp/<encoder>`` the tag ``imagenet``. Both look
    into the caches of the Hugging Face hub and of ``torch.hub`` before the network.

    Args:
        spec: An encoder of the ``timm/`` or ``smp/`` namespace.

    Returns:
        Weights for the channels that they were trained with, usually 3.

    Raises:
        WeightsError: If none are published for this encoder, or they cannot be had or read.
    """
    namespace, _, model = spec.name.partition("/")
    if namespace == "timm":
        return _timm(spec, model)
    if namespace == "smp":
        from muscletransfer.transfer.imagenet_smp import imagenet_smp

        return imagenet_smp(spec, model)
    raise WeightsError(
        f"'imagenet' serves encoders of timm and segmentation-models-pytorch ('timm/...', "
        f"'smp/...'), found {spec.name!r}. Register a source for it with @register_weights(name), "
        "or pass a file."
    )


def _timm(spec: EncoderSpec, model: str) -> LoadedWeights:
    cfg = timm.get_pretrained_cfg(model, allow_unregistered=False)
    if cfg is None or not cfg.has_weights:
        tagged = [f"timm/{name}" for name in timm.list_pretrained(f"{model.partition('.')[0]}.*")]
        others = (
            f"Pretrained ones: {', '.join(tagged[:5])}." if tagged else "Choose another encoder."
        )
        raise WeightsError(f"timm publishes no pretrained weights for {spec.name!r}. {others}")
    channels = int(cfg.input_size[0])
    address, cache = _places(cfg)
    with torch.random.fork_rng(devices=[]), torch.device("cpu"):
        # Not torch.manual_seed, which would also reach every accelerator.
        torch.default_generator.manual_seed(_SEED)
        random = cast(nn.Module, build_encoder(dataclasses.replace(spec, in_channels=channels)))
        with fetching(f"the pretrained weights of {spec.name!r}", address, cache):
            torch.default_generator.manual_seed(_SEED)
            pretrained = _pretrained(model, channels, spec)
    return LoadedWeights(
        source="imagenet",
        encoder_state=_only_loaded(pretrained, random),
        in_channels=channels,
        provenance=_provenance(cfg, address),
    )


def _pretrained(model: str, channels: int, spec: EncoderSpec) -> nn.Module:
    try:
        return TimmEncoder(model, channels, spec.depth, pretrained=True, **spec.kwargs)
    except ContractError as error:
        # the same call without weights has just passed, so the cause is the loader's
        if isinstance(error.__cause__, OSError | RuntimeError | ValueError):
            raise error.__cause__ from None
        raise RuntimeError(str(error.__cause__ or error)) from error


def _only_loaded(pretrained: nn.Module, random: nn.Module) -> dict[str, Tensor]:
    """Leave out tensors that still hold their random start.

    timm logs keys that a file lacks and goes on. Both models started from one seed, so a tensor
    that is equal in both, and no constant such as the ones of a norm layer, was never in the file;
    left out here, it becomes an error of the strict load that names it.
    """
    start = random.state_dict()
    return {
        key: value
        for key, value in pretrained.state_dict().items()
        if value.numel() < 2
        or bool((value == value.flatten()[0]).all())
        or not torch.equal(value, start[key])
    }


def _places(cfg: Any) -> tuple[str, str]:
    """Return where timm reads from and where its cache keeps it."""
    if cfg.hf_hub_id:
        repository = cfg.hf_hub_id.partition("@")[0]
        folder = f"models--{repository.replace('/', '--')}"
        return f"{constants.ENDPOINT}/{repository}", str(Path(constants.HF_HUB_CACHE) / folder)
    url = cfg.url if isinstance(cfg.url, str) else (cfg.url or ("",))[0]
    file = os.path.basename(urlparse(url).path)
    return url or str(cfg.file), str(Path(torch.hub.get_dir()) / "checkpoints" / file)


def _provenance(cfg: Any, address: str) -> Provenance:
    papers = cfg.paper_ids if isinstance(cfg.paper_ids, str) else ", ".join(cfg.paper_ids or ())
    return Provenance(
        task="imagenet",
        hyperparameters={
            "architecture": cfg.architecture,
            "tag": cfg.tag,
            "paper": papers or cfg.paper_name,
            "origin": cfg.origin_url,
            "num_classes": cfg.num_classes,
            "input_size": cfg.input_size,
        },
        data={"dataset": _dataset(cfg.tag or "")},
        preprocessing={"mean": list(cfg.mean), "std": list(cfg.std)},
        licence=cfg.license,
        source=address,
        created=None,
    )


# what the parts of timm's tags stand for, see "Pretrained tags" in its documentation
_DATASETS = {
    "in1k": "ImageNet-1k",
    "in12k": "ImageNet-12k",
    "in21k": "ImageNet-21k",
    "in22k": "ImageNet-22k",
    "ig1b": "Instagram-1B",
    "yfcc100m": "YFCC-100M",
    "laion2b": "LAION-2B",
    "laion400m": "LAION-400M",
    "openai": "WebImageText",
    "jft": "JFT",
    "lvd142m": "LVD-142M",
    "lvd1689m": "LVD-1689M",
    "webli": "WebLI",
    "datacomp1b": "DataComp-1B",
}


def _dataset(tag: str) -> str:
    parts = tag.split("_")
    names = [_DATASETS[part] for part in parts if part in _DATASETS]
    return " then ".join(names) if names else f"not stated (tag {tag!r})"
