"""What the images of a fine-tuning run looked like, so that a strange one can be told later."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self

from muscletransfer.finetune.familiarity import FeatureReference
from muscletransfer.finetune.spread import Spread

__all__ = ["FeatureReference", "Spread", "TrainingProfile"]

_FORMAT = 2


@dataclass(frozen=True)
class TrainingProfile:
    """Ranges and features of a training set; plain tensors in a checkpoint, and no patient.

    Args:
        log_area: Natural logarithm of the outlined area in cm2; ``None`` where no spacing is known.
        density: Mean HU within outline and muscle window; ``None`` where the images are not CT.
        features: Encoder features by their place; ``None`` where they could not be had.

    Example:
        >>> profile = TrainingProfile(Spread.of([5.0, 5.1, 4.9]), None, None)
        >>> TrainingProfile.from_block(profile.to_block()) == profile
        True
    """

    log_area: Spread | None
    density: Spread | None
    features: FeatureReference | None

    def to_block(self) -> dict[str, Any]:
        """Return a dict of tensors and an int, for ``torch.load(weights_only=True)``."""
        block: dict[str, Any] = {"format": _FORMAT}
        for name in ("log_area", "density"):
            spread: Spread | None = getattr(self, name)
            block[name] = None if spread is None else spread.to_tensor()
        block["features"] = None if self.features is None else self.features.to_block()
        return block

    @classmethod
    def from_block(cls, block: Mapping[str, Any] | None) -> Self | None:
        """Rebuild from `to_block`; ``None`` for a checkpoint without one, or with a later one.

        Features of format 1 were others, from which no distance can be had: they are left out.
        """
        if block is None or block.get("format") not in (1, _FORMAT):
            return None
        spreads = [
            None if block[name] is None else Spread.from_tensor(block[name])
            for name in ("log_area", "density")
        ]
        kept = block["features"] if block["format"] == _FORMAT else None
        features = None if kept is None else FeatureReference.from_block(kept)
        return cls(spreads[0], spreads[1], features)
