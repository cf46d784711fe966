"""A weight source: edge filters in the first layer of ``example-plugin/tiny``, the rest drawn.

A source of your own would read a file that it ships or fetches. It is asked with the specification
of the encoder, and answers with tensors named as in ``encoder.state_dict()`` and where they are
from.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from muscletransfer.encoders import EncoderSpec, build_encoder
from muscletransfer.errors import WeightsError
from muscletransfer.transfer import LoadedWeights, Provenance

ENCODER = "example-plugin/tiny"
FIRST = "stages.0.0.weight"


def edge_filters(count: int, in_channels: int) -> Tensor:
    """Sobel filters in ``count`` directions over half a turn, (count, in_channels, 3, 3)."""
    across = torch.tensor([[-1.0, 0.0, 1.0], [-2.0, 0.0, 2.0], [-1.0, 0.0, 1.0]]) / 8
    angles = torch.arange(count) * (math.pi / count)
    filters = (
        torch.cos(angles).view(-1, 1, 1) * across + torch.sin(angles).view(-1, 1, 1) * across.T
    )
    return filters.unsqueeze(1).repeat(1, in_channels, 1, 1) / in_channels


def edge_weights(spec: EncoderSpec) -> LoadedWeights:
    """Return weights for the encoder of ``spec``, the same each time.

    Raises:
        WeightsError: If it is not ``example-plugin/tiny``.
    """
    if spec.name != ENCODER:
        raise WeightsError(
            f"'example-plugin/edges' has weights for the encoder {ENCODER!r} only, asked for "
            f"{spec.name!r}. Use encoder={ENCODER!r}, or other weights."
        )
    with torch.random.fork_rng(devices=[]):  # building draws values that are replaced below
        state = dict(build_encoder(spec).state_dict())  # type: ignore[attr-defined]
    generator = torch.Generator().manual_seed(0)
    for value in state.values():
        if value.ndim == 4:
            nn.init.kaiming_normal_(value, nonlinearity="relu", generator=generator)
    state[FIRST] = edge_filters(len(state[FIRST]), spec.in_channels)
    return LoadedWeights(
        source="example-plugin/edges",
        encoder_state=state,
        in_channels=spec.in_channels,
        provenance=Provenance(
            task="example-plugin/edges",
            hyperparameters={"filters": "Sobel", "seed": 0},
            licence="Apache-2.0",
            created=None,
        ),
    )
