"""Which pretext images train, which validate, and which may not be looked at."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from lightning.pytorch.utilities import rank_zero_warn

from muscletransfer.data.manifest.rows import patient_names
from muscletransfer.data.sources.image_source import ImageSource
from muscletransfer.data.splits import Split, nested_subsets
from muscletransfer.errors import SplitError

__all__ = ["Roles", "assign_roles"]


@dataclass(frozen=True)
class Roles:
    """Row numbers by role, one list a source.

    Args:
        train: Rows to learn from.
        val: Rows to validate on.
        test: Rows the layout sets aside for a test.
        excluded_patients: How many patients were left out.
        excluded_images: How many rows were left out.
    """

    train: tuple[tuple[int, ...], ...]
    val: tuple[tuple[int, ...], ...]
    test: tuple[tuple[int, ...], ...]
    excluded_patients: int = 0
    excluded_images: int = 0

    def count(self, role: str) -> int:
        """Return the number of images of a role."""
        return sum(len(rows) for rows in getattr(self, role))

    def groups(self, role: str, sources: Sequence[ImageSource]) -> int:
        """Return the number of patients (or photographs) of a role."""
        return sum(
            len({source.manifest.rows[i].patient_id for i in rows})
            for source, rows in zip(sources, getattr(self, role), strict=True)
        )


def assign_roles(
    sources: Sequence[ImageSource],
    *,
    val_fraction: float,
    seed: int,
    exclude: Split | str | Path | None = None,
    exclude_val: bool = False,
) -> Roles:
    """Say what each image is for; whole patients, drawn from their ids and the seed alone.

    Args:
        sources: The collections.
        val_fraction: Share of each source's images that validate, where its layout does not
            say: of whole patients, as many as fit, at least one of several.
        seed: Seed of the draw.
        exclude: The split whose test patients are left out, also where it calls them by another
            of the names in the column ``aliases``.
        exclude_val: Leave out its validation patients too.

    Returns:
        The roles.

    Raises:
        SplitError: Everything is excluded, or nobody is left to validate.
    """
    barred = _barred(exclude, exclude_val)
    train, val, test = [], [], []
    out_patients, out_images, in_manifests = 0, 0, False
    for source in sources:
        ids = [row.patient_id for row in source.manifest.rows]
        allowed = list(range(len(ids)))
        if not source.is_natural:
            in_manifests = True
            # Another index with the same key may call a patient by an id of theirs that is not
            # the one chosen here.
            out = {row.patient_id for row in source.manifest.rows if patient_names(row) & barred}
            allowed = [i for i in allowed if ids[i] not in out]
            out_patients += len(out)
            out_images += len(ids) - len(allowed)
            if not allowed:
                raise SplitError(
                    f"{source.manifest.path}: exclude bars all of its {len(out)} patients; wanted "
                    "some to learn from. Use the split of another fold, or other images."
                )
        chosen = {role: [i for i in allowed if source.roles[i] == role] for role in ("val", "test")}
        rest = [i for i in allowed if source.roles[i] not in ("val", "test")]
        if not chosen["val"]:
            patients = _draw(Counter(ids[i] for i in rest), val_fraction, seed)
            chosen["val"] = [i for i in rest if ids[i] in patients]
            rest = [i for i in rest if ids[i] not in patients]
        train.append(tuple(rest))
        val.append(tuple(chosen["val"]))
        test.append(tuple(chosen["test"]))
    if val_fraction > 0 and not any(val):
        raise SplitError(
            f"val_fraction is {val_fraction}, but there is one patient only, and no patient may "
            "both train and validate; wanted two or more. Set val_fraction=0 to go without."
        )
    if barred and in_manifests and not out_patients:
        rank_zero_warn(
            f"exclude names {len(barred)} patients and none of them has an image here. Right if "
            "these are other people; if not, the ids are written differently and test patients "
            "are being learnt from. Pseudonyms of two indexes agree where both were made with one "
            "key (data index --key)."
        )
    return Roles(tuple(train), tuple(val), tuple(test), out_patients, out_images)


def _barred(exclude: Split | str | Path | None, with_val: bool) -> set[str]:
    if exclude is None:
        return set()
    split = exclude if isinstance(exclude, Split) else Split.load(exclude)
    return {*split.test, *(split.val if with_val else ())}


def _draw(images: Mapping[str, int], fraction: float, seed: int) -> set[str]:
    """Draw patients that have ``fraction`` of the images at most, and at least one patient."""
    if fraction <= 0 or len(images) < 2:
        return set()
    order = nested_subsets(images, [len(images)], seed)[len(images)]
    left = fraction * sum(images.values()) + 1e-9
    drawn = set()
    for patient in order:
        if images[patient] <= left:
            left -= images[patient]
            drawn.add(patient)
    return drawn or {min(order, key=lambda p: images[p])}
