"""Which pretext images train, which validate, and which may not be looked at."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from lightning.pytorch.utilities import rank_zero_warn

from muscletransfer.data.manifest.people import one_name_each
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
        """Return the number of patients (in two manifests: one) and photographs of a role."""
        return len(
            {
                (number if source.is_natural else None, source.manifest.rows[i].patient_id)
                for number, source in enumerate(sources)
                for i in getattr(self, role)[number]
            }
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
        val_fraction: Share of the images of each collection that validate, where its layout does
            not say: of whole patients, drawn until another would exceed it. Of several patients
            at least one, of all manifests together. Who is in two manifests has one role.
        seed: Seed of the draw.
        exclude: The split whose test patients are left out, whichever of their names it has, or
            a manifest: those in the column ``aliases`` and in the split's own ``aliases``.
        exclude_val: Leave out its validation patients too.

    Returns:
        The roles.

    Raises:
        SplitError: Everything is excluded, or nobody is left to validate.
    """
    split = Split.load(exclude) if isinstance(exclude, str | Path) else exclude
    barred = set() if split is None else {*split.test, *(split.val if exclude_val else ())}
    # Another index with the same key may call a patient by another of their ids: what one manifest
    # or the split says of a patient's names holds in all.
    manifests = [source.manifest for source in sources if not source.is_natural]
    named = [patient_names(row) for manifest in manifests for row in manifest.rows]
    aliases = {} if split is None else split.aliases
    person = one_name_each([*named, *((p, *others) for p, others in aliases.items())])
    barred_people = {person.get(patient, patient) for patient in barred}
    people: list[list[str]] = []  # whose each row is, by one name a person; a group of photographs
    out: set[str] = set()
    out_images = 0
    allowed: list[list[int]] = []
    images: list[Counter[str]] = []  # of each patient, one a manifest
    for source in sources:
        ids = [row.patient_id for row in source.manifest.rows]
        whose = ids if source.is_natural else [person[patient] for patient in ids]
        usable = [i for i, one in enumerate(whose) if source.is_natural or one not in barred_people]
        if not usable:
            raise SplitError(
                f"{source.manifest.path}: exclude bars all of its {len(set(ids))} patients; wanted "
                "some to learn from. Use the split of another fold, or other images."
            )
        out_images += len(ids) - len(usable)
        allowed.append(usable)
        people.append(whose)
        if not source.is_natural:
            out |= {patient for patient in ids if person[patient] in barred_people}
            images.append(Counter(whose[i] for i in usable))
    validating = _draw(images, val_fraction, seed)
    train, val, test = [], [], []
    for source, usable, whose in zip(sources, allowed, people, strict=True):
        chosen = {role: [i for i in usable if source.roles[i] == role] for role in ("val", "test")}
        rest = [i for i in usable if source.roles[i] not in ("val", "test")]
        if not chosen["val"]:
            drawn = validating
            if source.is_natural:
                drawn = _draw([Counter(whose[i] for i in rest)], val_fraction, seed)
            chosen["val"] = [i for i in rest if whose[i] in drawn]
            rest = [i for i in rest if whose[i] not in drawn]
        train.append(tuple(rest))
        val.append(tuple(chosen["val"]))
        test.append(tuple(chosen["test"]))
    if val_fraction > 0 and not any(val):
        raise SplitError(
            f"val_fraction is {val_fraction}, but there is one patient only (by patient_id and "
            "aliases), and no patient may both train and validate; wanted two or more. Set "
            "val_fraction=0 to go without."
        )
    if barred and images and not out:
        rank_zero_warn(
            f"exclude names {len(barred)} patients and none of them has an image here. Right if "
            "these are other people; if not, the ids are written differently and test patients "
            "are being learnt from. Pseudonyms of two indexes agree where both were made with one "
            "key (data index --key)."
        )
    if barred and not images:
        rank_zero_warn(
            f"exclude names {len(barred)} patients, and no source is a manifest: nothing else says "
            "whose an image is, so nobody is left out. If these are images of patients, list them "
            "in a CSV with the columns patient_id,image."
        )
    return Roles(tuple(train), tuple(val), tuple(test), len(out), out_images)


def _draw(collections: Sequence[Mapping[str, int]], fraction: float, seed: int) -> set[str]:
    """Draw who validates: of each collection until another would exceed its share.

    Who was in a collection before keeps that role. If so nobody is drawn, the share is of all of
    them together, and at least one patient.
    """
    together = sum(map(Counter, collections), Counter[str]())
    if fraction <= 0 or len(together) < 2:
        return set()
    order = nested_subsets(together, [len(together)], seed)[len(together)]
    drawn: set[str] = set()
    seen: set[str] = set()
    # a share of all at once would be filled with the small patients of one collection
    for images in collections:
        left = fraction * sum(images.values()) - sum(images[p] for p in drawn & images.keys())
        drawn |= _until_full(images, [p for p in order if p in images and p not in seen], left)
        seen |= images.keys()
    drawn = drawn or _until_full(together, order, fraction * sum(together.values()))
    return drawn or {min(order, key=lambda p: together[p])}


def _until_full(images: Mapping[str, int], order: Sequence[str], left: float) -> set[str]:
    drawn = set()
    for patient in order:
        left -= images[patient]
        if left < -1e-9:
            break  # to go on to those who still fit would be to draw all of the small ones
        drawn.add(patient)
    return drawn
