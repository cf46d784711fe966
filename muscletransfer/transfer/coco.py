"""``"coco"``: the ResNet inside torchvision's segmentation models, trained on COCO images."""

from __future__ import annotations

import dataclasses
import os
from typing import Any, cast
from urllib.parse import urlparse

import torch
from torch import Tensor, nn
from torchvision.models import segmentation

from muscletransfer.encoders import EncoderSpec, build_encoder
from muscletransfer.errors import WeightsError
from muscletransfer.transfer.fetching import fetching
from muscletransfer.transfer.provenance import Provenance
from muscletransfer.transfer.weights import LoadedWeights

__all__ = ["COCO_ENCODERS", "coco_deeplabv3", "coco_fcn"]

COCO_ENCODERS = ("timm/resnet50", "timm/resnet101", "smp/resnet50", "smp/resnet101")
_PAPERS = {
    "fcn": "Long, Shelhamer, Darrell 2015, arXiv 1411.4038",
    "deeplabv3": "Chen et al. 2017, arXiv 1706.05587",
}
_CLASSES = 21  # the 20 classes of Pascal VOC and background


def coco_fcn(spec: EncoderSpec) -> LoadedWeights:
    """Return the backbone of torchvision's FCN (``COCO_WITH_VOC_LABELS_V1``).

    Args:
        spec: One of `COCO_ENCODERS`.

    Raises:
        WeightsError: If torchvision has no such model, or the file cannot be had or read.
    """
    return _coco(spec, "fcn")


def coco_deeplabv3(spec: EncoderSpec) -> LoadedWeights:
    """Return the backbone of torchvision's DeepLabV3 (``COCO_WITH_VOC_LABELS_V1``).

    Args:
        spec: One of `COCO_ENCODERS`.

    Raises:
        WeightsError: If torchvision has no such model, or the file cannot be had or read.
    """
    return _coco(spec, "deeplabv3")


def _coco(spec: EncoderSpec, family: str) -> LoadedWeights:
    source = "coco" if family == "fcn" else f"coco-{family}"
    name = spec.name.partition(".")[0]
    if name not in COCO_ENCODERS:
        raise WeightsError(
            f"{source!r} has no weights for the encoder {spec.name!r}; it serves "
            f"{', '.join(COCO_ENCODERS)}. Choose one of these, or other weights."
        )
    architecture = name.rpartition("/")[2]
    enum = getattr(segmentation, f"{_CLASS_NAMES[family]}_{_RESNETS[architecture]}_Weights")
    weights = enum.COCO_WITH_VOC_LABELS_V1
    file = os.path.basename(urlparse(weights.url).path)
    cache = os.path.join(torch.hub.get_dir(), "checkpoints", file)
    with fetching(f"{source!r} weights of {spec.name!r}", weights.url, cache):
        # torchvision would unpickle anything; weights_only lets tensors through and no code
        state = weights.get_state_dict(progress=False, check_hash=True, weights_only=True)
        backbone = _backbone(f"{family}_{architecture}", state)
    encoder_state, left_out = _rename(backbone, spec)
    notes = [f"{family} ran its {architecture} at output stride 8"]
    if left_out:
        notes.append(f"{left_out} tensors of stages below the encoder's depth were left out")
    return LoadedWeights(
        source=source,
        encoder_state=encoder_state,
        in_channels=3,
        provenance=_provenance(source, family, weights),
        notes=tuple(notes),
    )


_CLASS_NAMES = {"fcn": "FCN", "deeplabv3": "DeepLabV3"}
_RESNETS = {"resnet50": "ResNet50", "resnet101": "ResNet101"}


def _backbone(model_name: str, state: dict[str, Tensor]) -> dict[str, Tensor]:
    """Load the file into torchvision's own model, strictly, and take its backbone."""
    with torch.device("meta"):
        # weights_backbone must be stated: its default is ImageNet, even with weights=None
        model: nn.Module = getattr(segmentation, model_name)(
            weights=None, weights_backbone=None, num_classes=_CLASSES, aux_loss=True
        )
    model.load_state_dict(state, strict=True, assign=True)
    return dict(model.get_submodule("backbone").state_dict())


def _rename(backbone: dict[str, Tensor], spec: EncoderSpec) -> tuple[dict[str, Tensor], int]:
    """Name the tensors as the encoder does, and leave out stages that it does not have."""
    with torch.device("meta"):  # names only: values would be drawn from the global random stream
        twin = cast(nn.Module, build_encoder(dataclasses.replace(spec, in_channels=3)))
    template = twin.state_dict()
    prefix = next(key for key in template if key.endswith("conv1.weight")).removesuffix(
        "conv1.weight"
    )
    renamed = {f"{prefix}{key}": value for key, value in backbone.items()}
    kept = {key: value for key, value in renamed.items() if key in template}
    return kept, len(renamed) - len(kept)


def _provenance(source: str, family: str, weights: Any) -> Provenance:
    transforms = weights.transforms()
    return Provenance(
        task=source,
        hyperparameters={
            "weights": str(weights),
            "paper": _PAPERS[family],
            "recipe": weights.meta.get("recipe"),
            "num_classes": len(weights.meta["categories"]),
        },
        data={"dataset": "COCO 2017, images with Pascal VOC classes"},
        preprocessing={"mean": list(transforms.mean), "std": list(transforms.std)},
        licence="BSD-3-Clause (torchvision); COCO annotations CC BY 4.0, images under Flickr terms",
        source=weights.url,
        created=None,
    )
