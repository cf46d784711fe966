"""The files of an observer study, gathered by case and read one case at a time."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from muscletransfer.data.io import read_ct, read_image, read_mask, read_volume
from muscletransfer.data.io.masks import check_same_grid
from muscletransfer.data.io.plain import is_plain
from muscletransfer.data.manifest import Manifest
from muscletransfer.data.manifest.rows import ManifestRow
from muscletransfer.data.types import Volume
from muscletransfer.errors import DataError, GeometryError, ManifestError

__all__ = ["CaseFiles", "CaseMasks", "case_files", "case_key", "unseen_notes"]

Key: TypeAlias = tuple[Path, int]
_IGNORE = 255


@dataclass(frozen=True, eq=False)
class CaseMasks:
    """What was read of a case, not yet checked against each other.

    Args:
        masks: Observer to mask, ``(H, W)``.
        spacing: Millimetres ``(y, x)``.
        hu: The image in Hounsfield units, ``(H, W)``; ``None`` where it was not asked for or is a
            plain image.
        reference: The reference mask, if there is one.
        model: The model's mask, if there is one.
        ignored: Pixels that somebody marked as not annotated (255), which count in no mask;
            ``None`` where there are none.
        unseen_by: In whose masks they are.
    """

    masks: dict[str, NDArray[Any]]
    spacing: tuple[float, float]
    hu: NDArray[Any] | None
    reference: NDArray[Any] | None
    model: NDArray[Any] | None
    ignored: NDArray[np.bool_] | None = None
    unseen_by: tuple[str, ...] = ()


@dataclass
class CaseFiles:
    """The rows of a case.

    Args:
        first: One of its rows, for image, patient and spacing.
        name: What the case is called.
        observers: Observer to row.
        more: ``"reference"`` and ``"model"`` to row.
    """

    first: ManifestRow
    name: str = ""
    observers: dict[str, ManifestRow] = field(default_factory=dict)
    more: dict[str, ManifestRow] = field(default_factory=dict)

    @property
    def patient(self) -> str:
        """Whose case it is."""
        return self.first.patient_id

    def read(self, label: int | None = None, with_hu: bool = True) -> CaseMasks:
        """Read image and masks.

        Args:
            label: The class that is studied; ``None`` for masks of 0 and 1.
            with_hu: Read the image as CT.

        Returns:
            The masks.

        Raises:
            GeometryError: A mask on another grid than its image, or no spacing.
            ImageReadError: A file cannot be read.
            DataError: A mask of several classes without a label, nothing is left of an observer's
                mask where all were looked at, or a mask has 255 where 1 is wanted.
        """
        image = _image(self.first, with_hu)
        own = self.first.spacing if image.slice_spacing is None else image.slice_spacing
        if own is None:
            raise GeometryError(
                f"{self.first.where}: the spacing of {self.first.image} is not known; wanted "
                "columns spacing_x_mm and spacing_y_mm (1 each gives results in pixels)."
            )
        labels = {who: _labels(row, image, label) for who, row in self.observers.items()}
        others = {what: _labels(row, image, label) for what, row in self.more.items()}
        unseen = {who: drawn == _IGNORE for who, drawn in (labels | others).items()}
        ignored = np.logical_or.reduce(list(unseen.values()))
        wanted = 1 if label is None else label
        masks = {who: (drawn == wanted) & ~ignored for who, drawn in labels.items()}
        more = {what: (drawn == wanted) & ~ignored for what, drawn in others.items()}
        holders = tuple(who for who, pixels in unseen.items() if pixels.any())
        for who, mask in (masks | more).items() if holders else ():
            had = ignored.all() or ((labels | others)[who] == wanted).any()
            if who != "model" and had and not mask.any():  # a model's empty mask is a failure
                (note,) = unseen_notes({self.name: (float(ignored.mean()), holders)})
                raise DataError(
                    f"{note[0].upper()}{note[1:]}, and nothing is left of the mask of {who!r}; "
                    "wanted masks by people who looked at the same pixels, with "
                    f"{wanted} for the structure. Leave out the rows whose mask is 255 there, or "
                    "the case."
                )
        for who in _drawn_with_255(labels | others, wanted, holders):
            row = (self.observers | self.more)[who]
            raise DataError(
                f"Case {self.name!r}: the mask of {who!r} ({row.mask}) holds 0 and 255 alone; "
                f"wanted {wanted} for the structure, since 255 marks pixels that nobody looked at. "
                f"Write {wanted} instead of 255, or 0 where the mask is meant to be empty."
            )
        is_ct = with_hu and not is_plain(self.first.image)
        return CaseMasks(
            masks, own, image.array[0] if is_ct else None, more.get("reference"), more.get("model"),
            ignored if holders else None, holders,
        )  # fmt: skip


def case_files(
    observers: str | Path | Manifest,
    reference: str | Path | Manifest | None = None,
    model: str | Path | Manifest | None = None,
) -> list[CaseFiles]:
    """Gather the rows of manifests by case.

    Args:
        observers: A manifest with one row a case and observer.
        reference: A manifest whose masks are the reference; rows of other images are not used.
        model: A manifest whose masks are a model's, likewise.

    Returns:
        The cases in the order of the observers' manifest, called after their patients, with
        ``_slice003`` where a patient has several slices, or the image's name where it has several
        images.

    Raises:
        ManifestError: No ``observer`` column, a row without observer, one observer twice for a
            case, or a manifest that shares no image with the observers'.
    """
    table = _open(observers, by_observers=True)
    cases: dict[Key, CaseFiles] = {}
    for row in table:
        observer = row.extra.get("observer", "")
        if not observer:
            raise ManifestError(
                f"{row.where}: no observer; wanted a column 'observer' with a name in every row, "
                "patient_id,image,mask,observer."
            )
        files = cases.setdefault(case_key(row), CaseFiles(row))
        if observer in files.observers:
            raise ManifestError(
                f"{row.where}: observer {observer!r} already has a mask of this case, in row "
                f"{files.observers[observer].line}; wanted one. Remove one, or name the second "
                "reading as an observer of its own."
            )
        files.observers[observer] = row
    for what, source in (("reference", reference), ("model", model)):
        if source is None:
            continue
        rows = {case_key(row): row for row in _open(source) if case_key(row) in cases}
        if not rows:
            raise ManifestError(
                f"The {what} shares no image with the observers' manifest {table.path}: wanted "
                "rows of the same image files (and slice_index)."
            )
        for key, row in rows.items():
            cases[key].more[what] = row
    for key, name in _names({key: files.first for key, files in cases.items()}).items():
        cases[key].name = name
    return list(cases.values())


def case_key(row: ManifestRow) -> Key:
    """Return what makes two rows rows of one case: image file and slice."""
    return row.image.resolve(), row.slice_index or 0


def _open(source: str | Path | Manifest, by_observers: bool = False) -> Manifest:
    if isinstance(source, Manifest):
        return source
    return Manifest.read(source, need_masks=by_observers, allow_repeats=by_observers)


def _names(cases: Mapping[Key, ManifestRow]) -> dict[Key, str]:
    rows = list(cases.items())
    for style in ("{p}", "{p}_slice{s:03d}", "{p}_{f}", "{p}_{f}_slice{s:03d}", "{p}_{path}_{s}"):
        names = {
            (path, index): style.format(p=row.patient_id, s=index, f=path.name, path=path)
            for (path, index), row in rows
        }
        if max(Counter(names.values()).values()) == 1:
            break
    return names


def unseen_notes(cases: Mapping[str, tuple[float, Sequence[str]]]) -> list[str]:
    """Say how much of the slices is 255, in one note however many cases there are.

    Args:
        cases: Case to the share of its pixels and to whose masks have them.

    Returns:
        No note without cases, else one.

    Example:
        >>> print(*unseen_notes({"P1": (0.5, ["C"]), "P2": (0.25, ["B", "C"])}))
        2 cases ('P1', 'P2'): 25 to 50 % of the slice is 255 (in masks of 'C', 'B') and counts in
        no mask; areas are of the rest
    """
    if not cases:
        return []
    shares = [f"{100 * share:.3g}" for share, _ in sorted(cases.values(), key=lambda c: c[0])]
    holders = _some(list(dict.fromkeys(who for _, whose in cases.values() for who in whose)))
    which, whose = f"{len(cases)} cases ({_some(list(cases))})", f"masks of {holders}"
    if len(cases) == 1:
        which, whose = f"case {_some(list(cases))}", f"the mask of {holders}"
    reach = " to ".join(dict.fromkeys([shares[0], shares[-1]]))
    return [
        f"{which}: {reach} % of the slice is 255 (in {whose}) and counts in no mask; areas are of "
        "the rest"
    ]


def _some(names: Sequence[str]) -> str:
    return ", ".join(map(repr, names[:3])) + (", ..." if names[3:] else "")


def _drawn_with_255(
    labels: Mapping[str, NDArray[Any]], wanted: int, holders: Sequence[str]
) -> list[str]:
    """Whose mask has 255 and no class, where others drew the structure or where nobody did.

    An empty mask may have a frame that nobody looked at; it is not where the others drew.
    """
    drawn = np.logical_or.reduce([mask == wanted for mask in labels.values()])
    return [
        who
        for who in holders
        if np.isin(labels[who], (0, _IGNORE)).all()
        and (not drawn.any() or drawn[labels[who] == _IGNORE].any())
    ]


def _image(row: ManifestRow, with_hu: bool) -> Volume:
    """The slice of a row, ``(1, H, W)``."""
    if is_plain(row.image):
        pixels = read_image(row.image)
        grey = pixels if pixels.ndim == 2 else pixels[..., 0]  # only its shape is of use here
        return Volume(grey[None], path=str(row.image))
    read = read_ct if with_hu else read_volume
    volume: Volume = read(row.image, row.slice_index)
    if volume.num_slices != 1:
        raise ManifestError(
            f"{row.where}: {row.image} has {volume.num_slices} slices and slice_index is empty; "
            f"wanted one from 0 to {volume.num_slices - 1}."
        )
    return volume


def _labels(row: ManifestRow, image: Volume, label: int | None) -> NDArray[Any]:
    if row.mask is None:
        raise ManifestError(f"{row.where}: no mask; wanted one in every row.")
    mask = read_mask(row.mask)
    if mask.num_slices > 1:
        mask = mask.slice(row.slice_index or 0)
    if is_plain(row.mask) or is_plain(row.image):
        if mask.shape != image.shape:
            raise GeometryError(
                f"{row.where}: the mask {row.mask} has shape {mask.shape[1:]}, its image "
                f"{image.shape[1:]}; wanted the same."
            )
    else:
        check_same_grid(mask, image)
    if label is None and not set(mask.classes) <= {0, 1, _IGNORE}:
        raise DataError(
            f"{row.where}: the mask {row.mask} holds the values {list(mask.classes)}; wanted 0 "
            "and 1 (and 255 where nobody looked), or label= to choose a class."
        )
    labels: NDArray[Any] = mask.labels[0]
    return labels
