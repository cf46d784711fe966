"""An augmentation of the user's own, for a whole batch on its device."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeAlias

import torch
from torch import Tensor

from muscletransfer.data.augmentation.batch import Augmentation
from muscletransfer.errors import DataError
from muscletransfer.randomness import own_streams

__all__ = ["AugmentationLike", "OwnAugmentation"]

BatchFunction: TypeAlias = Callable[..., tuple[Tensor, Tensor | None]]
"""Takes ``(image, mask, generator)`` and returns ``(image, mask)``, see `OwnAugmentation`."""

AugmentationLike: TypeAlias = Augmentation | str | BatchFunction | None


class OwnAugmentation:
    """Runs a function on training batches, with all of its randomness drawn from the step's seed.

    The function gets ``image`` (B, C, H, W), floats in [0, 1] before they are standardised,
    ``mask`` (B, H, W) of class indices (255: no label) or ``None``, and a ``torch.Generator`` on
    their device. Draws from the global generators of torch, NumPy and Python are seeded too, and
    these are as before afterwards.

    Args:
        function: The function, or an object that is called.

    Example:
        >>> flip = OwnAugmentation(lambda image, mask, generator: (image.flip(-1), mask.flip(-1)))
        >>> image, mask = torch.rand(2, 1, 4, 4), torch.ones(2, 4, 4, dtype=torch.uint8)
        >>> out, _ = flip(image, mask, torch.Generator())
        >>> torch.equal(out, image.flip(-1))
        True
    """

    def __init__(self, function: BatchFunction) -> None:
        self.function = function
        self.name = getattr(function, "__qualname__", type(function).__qualname__)

    def to_dict(self) -> dict[str, Any]:
        """Return what provenance records: the name, and what ``to_dict`` of the object adds."""
        more = getattr(self.function, "to_dict", None)
        return {"name": self.name, **(more() if callable(more) else {})}

    @torch.no_grad()
    def __call__(
        self, image: Tensor, mask: Tensor | None, generator: torch.Generator
    ) -> tuple[Tensor, Tensor | None]:
        """Augment one batch.

        Args:
            image: (B, C, H, W) floats in [0, 1].
            mask: (B, H, W) class indices, or ``None``.
            generator: Source of all random numbers; its state moves on.

        Returns:
            The image in the same shape and type, and the mask as int64 (or ``None``).

        Raises:
            DataError: The function failed, or returned other shapes or types.
        """
        seed = int(torch.randint(2**62, (1,), generator=generator, device=generator.device))
        with own_streams(seed, image.device):
            try:
                found: Any = self.function(image, mask, generator)
            except Exception as error:
                raise DataError(
                    f"the augmentation {self.name} failed on images {tuple(image.shape)}: "
                    f"{type(error).__name__}: {error}. It is called with (image, mask, generator)."
                ) from error
        if not isinstance(found, tuple | list) or len(found) != 2:
            raise DataError(
                f"the augmentation {self.name} returned a {type(found).__name__}; wanted the pair "
                "(image, mask), with mask None where it was None."
            )
        self._check("image", found[0], image, image.is_floating_point())
        if mask is None:
            return found[0].to(image.dtype), None
        self._check("mask", found[1], mask, False)
        return found[0].to(image.dtype), found[1].long()

    def _check(self, what: str, found: Any, given: Tensor, floats: bool) -> None:
        right = isinstance(found, Tensor) and found.shape == given.shape
        if not right or found.is_floating_point() != floats:
            kind = f"{tuple(found.shape)} {found.dtype}" if isinstance(found, Tensor) else found
            wanted = f"{tuple(given.shape)} of {'floats' if floats else 'whole numbers'}"
            raise DataError(
                f"the augmentation {self.name} returned as {what}: {kind}; wanted {wanted}."
            )
