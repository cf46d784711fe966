"""What is told and recorded of the patients that a `LowDataModule` uses; never who they are."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from muscletransfer.data.manifest import Manifest
from muscletransfer.data.manifest.sidecar import read_sidecar
from muscletransfer.data.splits import Split

__all__ = ["drawn", "held_out", "licence_of", "spent"]


def drawn(
    split: Split, images: int, budget: Mapping[str, int], classes: Sequence[int]
) -> dict[str, Any]:
    """Return what provenance records of a split.

    Args:
        split: The split.
        images: How many images train.
        budget: Labels spent, ``patients`` and ``slices``.
        classes: Mask values.

    Example:
        >>> split = Split(("a", "b"), ("c",), ("d",))
        >>> found = drawn(split, 2, {"patients": 3, "slices": 3}, [0, 1])
        >>> found["patients"], found["val_patients"], found["held_out"]
        (2, 1, 'validation and test')
    """
    return {
        "patients": len(split.train),
        "images": images,
        "val_patients": len(split.val),
        "test_patients": len(split.test),
        "label_budget": dict(budget),
        "classes": list(classes),
        "held_out": held_out(split),
        "fold": split.fold,
        "num_folds": split.num_folds,
        "repeat": split.repeat,
    }


def licence_of(manifest: Manifest) -> str | None:
    """Return the licence that lies beside a manifest, or None."""
    facts = read_sidecar(manifest.path)
    return None if facts is None else str(facts["licence"])


def held_out(split: Split) -> str:
    """Return who was kept from training, for provenance.

    Example:
        >>> held_out(Split(("a",), (), ("b",))), held_out(Split(("a",), (), (), fold=None))
        ('test', 'nobody')
    """
    roles = [name for name, ids in (("validation", split.val), ("test", split.test)) if ids]
    return " and ".join(roles) or "nobody"


def spent(split: Split, budget: Mapping[str, int]) -> str:
    """Return a sentence on the labels that are spent, and on whom the model is tested.

    Args:
        split: The split.
        budget: ``patients`` and ``slices``.
    """
    drawn = f"seed {split.seed}, repeat {split.repeat}"
    tests = f"{len(split.test)} patients test (fold {split.fold} of {split.num_folds}, {drawn})"
    if not split.test:
        tests = f"nobody tests ({drawn}): nothing here can say how good the model is"
    return (
        f"Labels spent: {len(split.train)} training + {len(split.val)} validation patients = "
        f"{budget['patients']} ({budget['slices']} slices); {tests}."
    )
