"""The contrastive loss of SimCLR, over the images of all processes."""

from __future__ import annotations

from typing import Any

import torch
import torch.distributed as dist
import torch.nn.functional as F
from torch import Tensor

from muscletransfer.errors import ContractError

__all__ = ["gather_rows", "mean_over_all", "nt_xent", "pair_logits"]


class _Gather(torch.autograd.Function):
    """Gather equally many rows from each process; gradients go back to where rows came from."""

    @staticmethod
    def forward(ctx: Any, rows: Tensor) -> Tensor:
        parts = [torch.empty_like(rows) for _ in range(dist.get_world_size())]
        dist.all_gather(parts, rows)
        return torch.stack(parts)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> Tensor:
        grad = grad.contiguous()
        dist.all_reduce(grad)
        return grad[dist.get_rank()]


def gather_rows(rows: Tensor) -> tuple[Tensor, int]:
    """Gather rows of all processes, however many each has, keeping the gradient.

    Args:
        rows: (n, D) of this process.

    Returns:
        ``(all, start)``: (N, D), ordered by process, and where those of this process begin. Without
        several processes the rows themselves and 0.

    Example:
        >>> gather_rows(torch.zeros(2, 3))[1]
        0
    """
    if not (dist.is_available() and dist.is_initialized()) or dist.get_world_size() == 1:
        return rows, 0
    count = torch.tensor([len(rows)], device=rows.device)
    counts = [torch.empty_like(count) for _ in range(dist.get_world_size())]
    dist.all_gather(counts, count)
    sizes = [int(c) for c in counts]
    padded = F.pad(rows, (0, 0, 0, max(sizes) - len(rows))).contiguous()
    gathered = _Gather.apply(padded)
    parts = [gathered[rank, :size] for rank, size in enumerate(sizes)]
    return torch.cat(parts), sum(sizes[: dist.get_rank()])


def pair_logits(embeddings: Tensor, temperature: float) -> tuple[Tensor, Tensor]:
    """Compare each view with all others, of all processes.

    Args:
        embeddings: (2 n, D): the first view of each of n images, then the second of each.
        temperature: Divides the cosine similarities, above 0.

    Returns:
        ``(logits, positive)``: (2 n, 2 N) float32 with minus infinity where a view would meet
        itself, and (2 n,) the column of each row's other view.

    Raises:
        ContractError: If the rows are no pairs.

    Example:
        >>> logits, positive = pair_logits(torch.eye(4), 1.0)
        >>> logits.shape, positive.tolist()
        (torch.Size([4, 4]), [2, 3, 0, 1])
    """
    if embeddings.ndim != 2 or len(embeddings) == 0 or len(embeddings) % 2:
        raise ContractError(
            f"The embeddings have shape {tuple(embeddings.shape)}; wanted (2 n, D): the first view "
            "of each of n images, then the second of each."
        )
    unit = F.normalize(embeddings.float(), dim=1)
    everyone, start = gather_rows(unit)
    rows = torch.arange(len(unit), device=unit.device)
    # In half precision near views would tie, and the first of equals would be taken for nearest.
    with torch.autocast(unit.device.type, enabled=False):
        logits = unit @ everyone.t() / temperature
    itself = torch.arange(len(everyone), device=unit.device) == (start + rows).unsqueeze(1)
    half = len(unit) // 2
    return logits.masked_fill(itself, -torch.inf), start + (rows + half) % len(unit)


def nt_xent(embeddings: Tensor, temperature: float = 0.5) -> Tensor:
    """Normalised temperature-scaled cross-entropy (Chen et al., ICML 2020, arXiv 2002.05709).

    Each view must tell its image's other view from all views of all other images. Under several
    processes these are the images of all of them, and the mean over processes of what this returns
    has the loss and the gradient of one process with the whole batch. A figure that is logged with
    the number of images beside it, as ``val_loss`` is, would count these twice where processes have
    unequally many.

    .. versionadded:: 0.1

    Args:
        embeddings: (2 n, D): the first view of each of n images, then the second of each.
        temperature: Divides the cosine similarities, above 0.

    Returns:
        A scalar.

    Raises:
        ContractError: If the rows are no pairs.

    Example:
        >>> views = torch.eye(3).repeat(2, 1)  # both views of an image agree, images differ
        >>> round(nt_xent(views, 0.05).item(), 4)
        0.0
    """
    return mean_over_all(*pair_logits(embeddings, temperature))


def mean_over_all(logits: Tensor, positive: Tensor) -> Tensor:
    """Return the cross-entropy of :func:`pair_logits`, weighted for the mean over processes.

    A process with more views than another counts for more, so that the mean over processes, which
    distributed training takes of gradients, is the mean over views.

    Args:
        logits: (2 n, 2 N).
        positive: (2 n,).

    Returns:
        A scalar; with equally many views in each process the mean over its rows.

    Example:
        >>> logits, positive = pair_logits(torch.eye(4), 1.0)
        >>> torch.equal(mean_over_all(logits, positive), F.cross_entropy(logits, positive))
        True
    """
    total = F.cross_entropy(logits, positive, reduction="sum")
    processes = 1
    if dist.is_available() and dist.is_initialized():
        processes = dist.get_world_size()
    return total * (processes / logits.shape[1])
