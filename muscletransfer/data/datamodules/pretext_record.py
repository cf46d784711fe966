"""What is told and recorded of the images of a `PretextDataModule`; never whose they are."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from muscletransfer.data.sources.image_source import ImageSource
from muscletransfer.data.sources.roles import Roles

__all__ = ["assigned", "shares"]

_MOST_NAMES = 50


def assigned(
    roles: Roles, sources: Sequence[ImageSource], classes: Sequence[str]
) -> dict[str, Any]:
    """Return what provenance records of the sources.

    Args:
        roles: What each image is for.
        sources: The collections.
        classes: Names of the image classes.
    """
    return {
        "kinds": ", ".join(source.kind for source in sources),
        "patients": roles.groups("train", sources),
        "images": roles.count("train"),
        "val_images": roles.count("val"),
        "excluded_patients": roles.excluded_patients,
        "excluded_images": roles.excluded_images,
        "num_classes": len(classes),
        # one text, since provenance refuses lists of texts: they could name patients
        "classes": ", ".join(classes[:_MOST_NAMES]),
    }


def shares(roles: Roles, excluding: bool) -> str:
    """Return a sentence on how many images train, validate, and are left out.

    Args:
        roles: What each image is for.
        excluding: Whether a split's patients were to be left out.

    Example:
        >>> shares(Roles(train=((0, 1),), val=((2,),), test=((),)), excluding=False)
        'Pretext images: 2 train, 1 validate.'
    """
    left_out = f"; {roles.excluded_images} of {roles.excluded_patients} patients left out"
    return (
        f"Pretext images: {roles.count('train')} train, {roles.count('val')} validate"
        f"{left_out if excluding else ''}."
    )
