"""Heads: small networks on top of the encoder that exist for the pretext task only."""

from __future__ import annotations

import torch
from torch import Tensor, nn

__all__ = ["ClassificationHead", "JigsawHead", "ProjectionHead", "pool"]


def pool(features: Tensor) -> Tensor:
    """Average a feature map over its pixels.

    .. versionadded:: 0.1

    Args:
        features: (B, D, h, w).

    Returns:
        (B, D).

    Example:
        >>> pool(torch.ones(2, 8, 4, 4)).shape
        torch.Size([2, 8])
    """
    return features.mean(dim=(-2, -1))


class ClassificationHead(nn.Module):
    """Global average pooling and one linear layer.

    .. versionadded:: 0.1

    Args:
        in_channels: Channels of the feature map, ``encoder.out_channels[-1]``.
        num_classes: Number of logits.
        dropout: Dropout rate before the linear layer.

    Example:
        >>> ClassificationHead(512, 4)(torch.rand(2, 512, 7, 7)).shape
        torch.Size([2, 4])
    """

    def __init__(self, in_channels: int, num_classes: int, dropout: float = 0.0) -> None:
        super().__init__()
        self.dropout = nn.Dropout(dropout)
        self.classify = nn.Linear(in_channels, num_classes)

    def forward(self, features: Tensor) -> Tensor:
        """Map (B, in_channels, h, w) to logits (B, num_classes)."""
        logits: Tensor = self.classify(self.dropout(pool(features)))
        return logits


class JigsawHead(nn.Module):
    """Shared projection of each tile, late concatenation, and a two-layer classifier.

    The tiles meet only here (Noroozi & Favaro, ECCV 2016, arXiv 1603.09246: the context-free
    network), so the trunk must say by itself what a tile shows. A batch norm after each linear
    layer, which the paper does not have, lets the puzzle start to be learned within a short run.

    .. versionadded:: 0.1

    Args:
        in_channels: Channels of the trunk's last feature map.
        tiles: Number of tiles T.
        num_classes: Number of permutations.
        tile_features: Width of the projection of a tile.
        hidden: Width of the hidden layer after the concatenation.

    Example:
        >>> JigsawHead(512, tiles=9, num_classes=72)(torch.rand(4, 9, 512)).shape
        torch.Size([4, 72])
    """

    def __init__(
        self,
        in_channels: int,
        tiles: int,
        num_classes: int,
        tile_features: int = 128,
        hidden: int = 512,
    ) -> None:
        super().__init__()
        self.project = nn.Linear(in_channels, tile_features)
        self.norm = nn.BatchNorm1d(tile_features)
        self.classify = nn.Sequential(
            nn.Linear(tiles * tile_features, hidden),
            nn.BatchNorm1d(hidden),
            nn.ReLU(inplace=True),
            nn.Linear(hidden, num_classes),
        )

    def forward(self, features: Tensor) -> Tensor:
        """Map pooled tile features (B, T, in_channels) to logits (B, num_classes)."""
        batch = len(features)
        projected = torch.relu(self.norm(self.project(features.flatten(0, 1))))
        logits: Tensor = self.classify(projected.reshape(batch, -1))
        return logits


class ProjectionHead(nn.Module):
    """Global average pooling and two linear layers: what a contrastive loss compares.

    The encoder keeps what the loss makes the projection throw away (Chen et al., ICML 2020, arXiv
    2002.05709, section 4.2).

    .. versionadded:: 0.1

    Args:
        in_channels: Channels D of the feature map, ``encoder.out_channels[-1]``.
        features: Width of the embedding.

    Example:
        >>> ProjectionHead(512, 128)(torch.rand(2, 512, 7, 7)).shape
        torch.Size([2, 128])
    """

    def __init__(self, in_channels: int, features: int) -> None:
        super().__init__()
        self.project = nn.Sequential(
            nn.Linear(in_channels, in_channels, bias=False),
            nn.BatchNorm1d(in_channels),
            nn.ReLU(inplace=True),
            nn.Linear(in_channels, features),
        )

    def forward(self, features: Tensor) -> Tensor:
        """Map (B, D, h, w) to embeddings (B, features)."""
        embedded: Tensor = self.project(pool(features))
        return embedded
