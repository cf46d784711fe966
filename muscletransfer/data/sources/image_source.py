"""One collection of pretext images, and what the readers of every layout need."""

from __future__ import annotations

import csv
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from muscletransfer.data.io.plain import is_plain
from muscletransfer.data.manifest import Manifest
from muscletransfer.errors import ManifestError, close_matches

__all__ = ["ImageSource"]

ROLES = {
    "train": "train",
    "training": "train",
    "val": "val",
    "valid": "val",
    "validation": "val",
    "test": "test",
}
IMAGE_FOLDERS = ("images", "image", "imgs", "img")
MASK_FOLDERS = ("masks", "mask", "labels", "annotations", "segmentations")


@dataclass(frozen=True)
class ImageSource:
    """One collection of images.

    .. versionadded:: 0.1

    Args:
        manifest: One row an image; ``patient_id`` is the group that a split must not divide.
        kind: Which layout it was read from.
        roles: ``"train"``, ``"val"`` or ``"test"`` a row where the layout says, else ``None``.
        classes: Names of the classes in index order; empty when rows carry no label.
        labels: Class index a row, or ``None`` when a row carries no label.

    Example:
        >>> from pathlib import Path
        >>> from muscletransfer.data import ManifestRow
        >>> rows = [ManifestRow("cat", Path("cat.png")), ManifestRow("dog", Path("dog.png"))]
        >>> source = ImageSource(Manifest(rows, "pets"), "folder", (None, None))
        >>> source.is_natural, source.has_masks
        (True, False)
    """

    manifest: Manifest
    kind: str
    roles: tuple[str | None, ...]
    classes: tuple[str, ...] = ()
    labels: tuple[int, ...] | None = None

    @property
    def is_natural(self) -> bool:
        """Whether the images are photographs, to be cropped to a square, rather than slices."""
        return self.kind != "manifest"

    @property
    def has_masks(self) -> bool:
        """Whether every image has a mask."""
        return all(row.mask is not None for row in self.manifest.rows)


def number_classes(texts: Sequence[str]) -> tuple[tuple[str, ...], tuple[int, ...]]:
    """Number the classes; whole numbers sort as numbers, so "10" comes after "9"."""
    distinct = set(texts)
    if all(t.isdigit() for t in distinct):
        classes = sorted(distinct, key=lambda t: (int(t), t))
    else:
        classes = sorted(distinct)
    place = {name: i for i, name in enumerate(classes)}
    return tuple(classes), tuple(place[t] for t in texts)


def read_records(path: Path) -> tuple[list[str], list[tuple[int, list[str]]]]:
    """Return the header of a CSV, and each row with its line; values stripped, no blank lines."""
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            reader = csv.reader(file)
            lines = [(reader.line_num, [v.strip() for v in r]) for r in reader if any(r)]
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise ManifestError(f"{path}: cannot be read as a CSV in UTF-8 ({error})") from error
    if not lines:
        raise ManifestError(f"{path}: is empty; wanted a header line and one row an image")
    (_, header), *records = lines
    if len(header) == 1 and (";" in header[0] or "\t" in header[0]):
        raise ManifestError(
            f"{path}: the header {header[0]!r} is not separated by commas; wanted commas. Save the "
            "sheet as 'CSV UTF-8 (comma delimited)'."
        )
    return header, records


def missing_column(path: Path, column: str, header: Iterable[str]) -> None:
    """Raise the error for a CSV without the column of the classes."""
    known = list(header)
    near = close_matches(column, known)
    hint = f" (did you mean {' or '.join(map(repr, near))}?)" if near else ""
    raise ManifestError(
        f"{path}: no column {column!r} to take the class from{hint}; found {', '.join(known)}. "
        "Name the column with label_column=."
    )


def entries(folder: Path) -> list[Path]:
    """Return what a folder holds by name, hidden files apart; nothing if it is no folder."""
    if not folder.is_dir():
        return []
    return sorted(p for p in folder.iterdir() if not p.name.startswith("."))


def is_image(path: Path) -> bool:
    """Whether the name ends like an image and is not hidden."""
    return is_plain(path) and not path.name.startswith(".")


def images_below(folder: Path) -> Iterator[Path]:
    """Yield the images in a folder and its subfolders, those in hidden folders apart."""
    for path in folder.rglob("*"):
        hidden = any(part.startswith(".") for part in path.relative_to(folder).parts)
        if not hidden and is_image(path):
            yield path


def images_in(folder: Path) -> list[Path]:
    """Return the images that lie in a folder itself."""
    return [p for p in entries(folder) if is_image(p)]


def child_folder(folder: Path, names: Sequence[str]) -> Path | None:
    """Return the subfolder that has one of these names, in any case of letters."""
    return next((p for p in entries(folder) if p.is_dir() and p.name.lower() in names), None)


def listing(folder: Path) -> str:
    """Return a few names of what a folder holds, for messages."""
    names = [p.name + ("/" if p.is_dir() else "") for p in entries(folder)]
    shown = ", ".join(names[:6])
    return f"{shown} and {len(names) - 6} more" if len(names) > 6 else shown or "nothing"
