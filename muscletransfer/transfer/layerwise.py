"""Layer-wise learning rates: the deeper a stage of the encoder, the faster it may change."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from torch import nn

from muscletransfer.encoders.probe import first_features
from muscletransfer.errors import ContractError
from muscletransfer.transfer.compiled import uncompiled

__all__ = ["encoder_stages", "layerwise_groups"]


def layerwise_groups(
    encoder: nn.Module,
    decoder_modules: Iterable[nn.Module],
    lr: float,
    decay: float = 1.0,
    stage_of: Mapping[str, int] | None = None,
) -> list[dict[str, Any]]:
    """Split the parameters of a segmentation model into optimiser groups.

    Decoder and head learn at ``lr``, the deepest stage of the encoder at ``lr * decay``, the next
    at ``lr * decay**2`` and so on to the stem (discriminative fine-tuning, Howard and Ruder 2018,
    arXiv 1801.06146). Norm parameters and biases get no weight decay. Frozen parameters are in the
    groups too, so that they learn from the moment they are unfrozen.

    .. versionadded:: 0.1

    Args:
        encoder: An encoder (it has ``spec`` and ``output_stride``).
        decoder_modules: The decoder, the head, and whatever else is trained.
        lr: Learning rate of the decoder.
        decay: Factor from one stage to the next, in (0, 1].
        stage_of: Stages by parameter name, where the encoder cannot be run any more to find them:
            once its parameters are split over processes.

    Returns:
        Groups with ``params``, ``lr``, ``name``, and ``weight_decay=0.0`` on the groups that must
        not decay (the others take the optimiser's). Each parameter is in exactly one group.

    Raises:
        ContractError: If ``decay`` is not in (0, 1] or ``lr`` not positive.

    Example:
        >>> import torch
        >>> from muscletransfer.encoders import create_encoder
        >>> encoder = create_encoder("timm/resnet18")
        >>> groups = layerwise_groups(encoder, [nn.Conv2d(512, 1, 1)], lr=1.0, decay=0.5)
        >>> {group["name"]: group["lr"] for group in groups if "no decay" not in group["name"]}
        {'decoder': 1.0, 'encoder stage 5': 0.5, 'encoder stage 4': 0.25, ...}
        >>> optimizer = torch.optim.AdamW(groups, weight_decay=0.01)
    """
    if not 0 < decay <= 1 or lr <= 0:
        raise ContractError(
            f"layerwise_groups needs lr > 0 and decay in (0, 1], found lr={lr}, decay={decay}. "
            "decay=1.0 gives every layer the same rate."
        )
    encoder = uncompiled(encoder)  # it is only looked at here
    in_encoder = {id(p) for p in encoder.parameters()}
    seen: set[int] = set()
    decoder: list[tuple[str, nn.Parameter]] = []
    for module in decoder_modules:
        for name, parameter in module.named_parameters():
            if id(parameter) not in in_encoder | seen:
                seen.add(id(parameter))
                decoder.append((name, parameter))
    groups = _with_and_without_decay("decoder", decoder, lr)
    stages = encoder_stages(encoder, stage_of)
    for k, (stage, members) in enumerate(reversed(stages.items()), start=1):
        groups += _with_and_without_decay(f"encoder stage {stage}", members, lr * decay**k)
    return groups


def encoder_stages(
    encoder: nn.Module, stage_of: Mapping[str, int] | None = None
) -> dict[int, list[tuple[str, nn.Parameter]]]:
    """Sort an encoder's parameters by the first feature of its pyramid that they act on.

    Found by differentiating each feature (`first_features`), so it holds for any encoder and needs
    no list of layer names. The encoder's own state, gradients and random state are untouched.
    Parameters that act on no feature count as the deepest stage.

    .. versionadded:: 0.1

    Args:
        encoder: An encoder, on any device.
        stage_of: What `first_features` found before; by default it is asked now.

    Returns:
        Names and parameters by stage; stage ``i`` first acts on ``features[i]``. Shallow to deep.

    Raises:
        ContractError: If the encoder takes no image of the sizes that were tried.

    Example:
        >>> from muscletransfer import create_encoder
        >>> stages = encoder_stages(create_encoder("timm/resnet18"))
        >>> {stage: len(parameters) for stage, parameters in stages.items()}
        {1: 3, 2: 12, 3: 15, 4: 15, 5: 15}
    """
    stage_of = first_features(encoder) if stage_of is None else stage_of
    deepest = max(stage_of.values(), default=1)
    stages: dict[int, list[tuple[str, nn.Parameter]]] = {}
    for name, parameter in encoder.named_parameters():
        stages.setdefault(stage_of.get(name, deepest), []).append((name, parameter))
    return dict(sorted(stages.items()))


def _with_and_without_decay(
    name: str, members: list[tuple[str, nn.Parameter]], lr: float
) -> list[dict[str, Any]]:
    """Make up to two groups: matrices and kernels, and norm parameters and biases."""

    def spared(key: str, parameter: nn.Parameter) -> bool:
        return parameter.ndim <= 1 or "bias" in key.rpartition(".")[2]

    decayed = [p for key, p in members if not spared(key, p)]
    rest = [p for key, p in members if spared(key, p)]
    groups: list[dict[str, Any]] = []
    if decayed:
        groups.append({"params": decayed, "lr": lr, "name": name})
    if rest:
        groups.append({"params": rest, "lr": lr, "weight_decay": 0.0, "name": f"{name}, no decay"})
    return groups
