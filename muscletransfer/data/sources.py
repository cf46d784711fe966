"""Pretext image collections as they lie on disk, read into one form: a `Manifest` and its classes.

Five layouts: a CT (or plain image) manifest, a folder of images a class, a CSV of classes, paired
image and mask folders, and a folder of unlabelled images.
"""

from __future__ import annotations

import csv
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, get_args

from muscletransfer.data.io_plain import is_plain
from muscletransfer.data.manifest import Manifest, ManifestRow
from muscletransfer.data.slices import SliceChoice, expand_slices
from muscletransfer.errors import DataError, ManifestError, UnknownNameError, close_matches

__all__ = ["ImageSource", "SourceKind", "detect_kind", "open_source"]

SourceKind = Literal["manifest", "class_folder", "class_csv", "mask_folders", "image_folder"]
KINDS: tuple[str, ...] = get_args(SourceKind)

_ROLES = {
    "train": "train",
    "training": "train",
    "val": "val",
    "valid": "val",
    "validation": "val",
    "test": "test",
}
_IMAGE_FOLDERS = ("images", "image", "imgs", "img")
_MASK_FOLDERS = ("masks", "mask", "labels", "annotations", "segmentations")
_FILE_COLUMNS = ("file", "image", "path", "filename", "file_name")


@dataclass(frozen=True)
class ImageSource:
    """One collection of images.

    Args:
        manifest: One row an image; ``patient_id`` is the group that a split must not divide.
        kind: Which layout it was read from.
        roles: ``"train"``, ``"val"`` or ``"test"`` a row where the layout says, else ``None``.
        classes: Names of the classes in index order; empty when rows carry no label.
        labels: Class index a row, or ``None`` when a row carries no label.
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


def detect_kind(path: Path) -> str:
    """Tell the layout of ``path`` from its files.

    Args:
        path: A CSV or a folder.

    Returns:
        One of ``manifest``, ``class_folder``, ``class_csv``, ``mask_folders``, ``image_folder``.

    Raises:
        DataError: There is nothing there, or the layout is none of these.

    Example:
        >>> import tempfile
        >>> folder = Path(tempfile.mkdtemp())
        >>> (folder / "cat").mkdir()
        >>> (folder / "cat" / "a.jpg").touch()
        >>> detect_kind(folder)
        'class_folder'
    """
    if not path.exists():
        near = close_matches(path.name, (p.name for p in _entries(path.parent)))
        hint = f" (did you mean {' or '.join(map(repr, near))}?)" if near else ""
        raise DataError(
            f"source {str(path)!r} does not exist{hint}; wanted a manifest, a CSV of classes, or a "
            "folder of images"
        )
    if path.is_file():
        if path.suffix.lower() not in {".csv", ".txt"}:
            raise DataError(
                f"source {str(path)!r} is a single file that is no CSV; wanted a manifest, a CSV "
                "of classes or a folder. For one volume write a manifest with a row for it and "
                "set slices='all'."
            )
        header = _records(path)[0]
        return "manifest" if {"patient_id", "image"} <= set(header) else "class_csv"
    for folder in [path, *(p for p in _entries(path) if p.is_dir() and p.name.lower() in _ROLES)]:
        if _child(folder, _IMAGE_FOLDERS) and _child(folder, _MASK_FOLDERS):
            return "mask_folders"
    filled = [p for p in _entries(path) if p.is_dir() and any(map(_is_image, p.rglob("*")))]
    # a lone images/ is how a collection with its lists beside it is often laid out, not a class
    if any(_images(path)) or (len(filled) == 1 and filled[0].name.lower() in _IMAGE_FOLDERS):
        return "image_folder"
    if filled:
        return "class_folder"
    raise DataError(
        f"source {str(path)!r} holds no images: found {_listing(path)}; wanted <class>/*.jpg, "
        "images/ and masks/, or image files. CT volumes and DICOM folders are listed in a "
        "manifest (a CSV with the columns patient_id,image)."
    )


def open_source(
    path: str | Path,
    kind: str | None = None,
    *,
    label_column: str = "label",
    mask_column: str = "mask",
    where: Mapping[str, str] | None = None,
    slices: SliceChoice = "listed",
) -> ImageSource:
    """Read one collection.

    Args:
        path: A CSV or a folder.
        kind: Its layout; None finds out.
        label_column: Column of a CSV that holds the class, such as ``coarse``.
        mask_column: Column of a manifest that holds the masks.
        where: Only rows of a manifest whose columns hold these texts.
        slices: Which slices of a manifest's volumes; see `expand_slices`.

    Returns:
        The images in a fixed order (by name, or as in the CSV), with their classes.

    Raises:
        UnknownNameError: ``kind`` is none of the known ones.
        DataError: The files are not laid out as ``kind`` says.
        ManifestError: A CSV lacks a column or names a file that is not there.

    Example:
        >>> import tempfile
        >>> folder = Path(tempfile.mkdtemp())
        >>> for name in ("cat/a.jpg", "dog/b.jpg", "dog/c.jpg"):
        ...     (folder / name).parent.mkdir(exist_ok=True)
        ...     (folder / name).touch()
        >>> source = open_source(folder)
        >>> source.kind, source.classes, source.labels
        ('class_folder', ('cat', 'dog'), (0, 1, 1))
    """
    path = Path(path)
    if kind is not None and kind not in KINDS:
        near = close_matches(kind, KINDS)
        hint = f" Did you mean {' or '.join(near)}?" if near else ""
        raise UnknownNameError(
            f"kind={kind!r} is no layout of images.{hint} Wanted one of {', '.join(KINDS)}, or "
            "None to find out."
        )
    found = kind or detect_kind(path)
    if found == "manifest":
        return _from_manifest(path, label_column, mask_column, where, slices)
    if found == "class_csv":
        return _from_class_csv(path, label_column)
    if not path.is_dir():
        raise DataError(f"source {str(path)!r} is no folder, which kind={found!r} wants")
    readers = {
        "class_folder": _from_class_folder,
        "mask_folders": _from_mask_folders,
        "image_folder": _from_image_folder,
    }
    return readers[found](path)


def _from_manifest(
    path: Path,
    label_column: str,
    mask_column: str,
    where: Mapping[str, str] | None,
    slices: SliceChoice,
) -> ImageSource:
    manifest = Manifest.read(path, mask_column=mask_column)
    if label_column != "label" and not any(r.extra.get(label_column) for r in manifest.rows):
        _missing_column(path, label_column, manifest.rows[0].extra)
    if where:
        manifest = manifest.where(**where)
        if not len(manifest):
            raise ManifestError(f"{path}: no row has {dict(where)}; wanted at least one.")
    manifest = expand_slices(manifest, slices)
    texts = [
        (row.label if label_column == "label" else row.extra.get(label_column, "")) or ""
        for row in manifest.rows
    ]
    roles = (None,) * len(manifest)
    if not all(texts):  # slices without a class still serve the tasks that need none
        return ImageSource(manifest, "manifest", roles)
    classes, labels = _index(texts)
    return ImageSource(manifest, "manifest", roles, classes, labels)


def _from_class_csv(path: Path, label_column: str) -> ImageSource:
    header, *records = _records(path)
    file_column = next((c for c in _FILE_COLUMNS if c in header), None)
    if file_column is None:
        raise ManifestError(
            f"{path}: no column of file names; found {', '.join(header)}, wanted one of "
            f"{', '.join(_FILE_COLUMNS)}"
        )
    if label_column not in header:
        _missing_column(path, label_column, header)
    rows, texts = [], []
    for line, record in enumerate(records, start=2):
        if len(record) != len(header):
            raise ManifestError(
                f"{path} row {line}: has {len(record)} values, the header {len(header)}"
            )
        values = dict(zip(header, record, strict=True))
        name, text = values[file_column], values[label_column]
        if not name or not text:
            column = file_column if not name else label_column
            raise ManifestError(f"{path} row {line}: {column} is empty; wanted a value")
        image = next(
            (p for p in (path.parent / name, path.parent / "images" / name) if p.is_file()), None
        )
        if image is None:
            raise ManifestError(
                f"{path} row {line}: {file_column} {name!r} is neither in {path.parent} nor in its "
                "folder images/; wanted paths relative to the CSV"
            )
        rows.append(ManifestRow(name, image.resolve(), label=text, manifest=path, line=line))
        texts.append(text)
    if not rows:
        raise ManifestError(f"{path}: has a header and no rows; wanted one row an image")
    classes, labels = _index(texts)
    return ImageSource(
        Manifest(tuple(rows), path), "class_csv", (None,) * len(rows), classes, labels
    )


def _from_class_folder(path: Path) -> ImageSource:
    rows, texts, roles = [], [], []
    for role, folder in _role_folders(path):
        for one_class in _entries(folder):
            if not one_class.is_dir():
                continue
            for image in sorted(p for p in one_class.rglob("*") if _is_image(p)):
                rows.append(_row(image, path, one_class.name))
                texts.append(one_class.name)
                roles.append(role)
    if not rows:
        raise DataError(
            f"source {str(path)!r} holds no <class>/<image>: found {_listing(path)}; wanted one "
            "folder a class, in the folder itself or in train/ and val/"
        )
    classes, labels = _index(texts)
    return ImageSource(Manifest(tuple(rows), path), "class_folder", tuple(roles), classes, labels)


def _from_mask_folders(path: Path) -> ImageSource:
    rows, roles = [], []
    for role, folder in _role_folders(path):
        images, masks = _child(folder, _IMAGE_FOLDERS), _child(folder, _MASK_FOLDERS)
        if images is None or masks is None:
            raise DataError(
                f"{folder}: found {_listing(folder)}; wanted a folder images/ and a folder masks/"
            )
        mask_of: dict[str, Path] = {}
        for mask in _images(masks):
            if mask.stem in mask_of:
                raise DataError(f"{masks}: two masks are named {mask.stem!r}; wanted one an image")
            mask_of[mask.stem] = mask
        for image in _images(images):
            if image.stem not in mask_of:
                raise DataError(
                    f"{image} has no mask: {masks} has {len(mask_of)} masks and none is named "
                    f"{image.stem!r}; wanted one mask an image, with the same name before the dot"
                )
            rows.append(_row(image, path, None, mask_of[image.stem]))
            roles.append(role)
    if not rows:
        raise DataError(f"source {str(path)!r}: its image folders are empty")
    return ImageSource(Manifest(tuple(rows), path), "mask_folders", tuple(roles))


def _from_image_folder(path: Path) -> ImageSource:
    images = sorted(p for p in path.rglob("*") if _is_image(p))
    if not images:
        raise DataError(f"source {str(path)!r} holds no images: found {_listing(path)}")
    rows = tuple(_row(image, path, None) for image in images)
    return ImageSource(Manifest(rows, path), "image_folder", (None,) * len(rows))


def _row(image: Path, root: Path, label: str | None, mask: Path | None = None) -> ManifestRow:
    # a photograph is its own group: nothing says which belong together
    name = image.relative_to(root).as_posix()
    resolved = None if mask is None else mask.resolve()
    return ManifestRow(name, image.resolve(), resolved, label=label, manifest=image, line=-1)


def _role_folders(path: Path) -> Iterator[tuple[str | None, Path]]:
    """Yield train/, val/ and test/ where there is a train/, else the folder itself."""
    named = {_ROLES[p.name.lower()]: p for p in _entries(path) if p.name.lower() in _ROLES}
    if "train" not in named:
        yield None, path
    else:
        yield from ((role, named[role]) for role in ("train", "val", "test") if role in named)


def _index(texts: Sequence[str]) -> tuple[tuple[str, ...], tuple[int, ...]]:
    """Number the classes; whole numbers sort as numbers, so "10" comes after "9"."""
    distinct = set(texts)
    if all(t.isdigit() for t in distinct):
        classes = sorted(distinct, key=lambda t: (int(t), t))
    else:
        classes = sorted(distinct)
    place = {name: i for i, name in enumerate(classes)}
    return tuple(classes), tuple(place[t] for t in texts)


def _records(path: Path) -> list[list[str]]:
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            records = [[v.strip() for v in r] for r in csv.reader(file) if any(r)]
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise ManifestError(f"{path}: cannot be read as a CSV in UTF-8 ({error})") from error
    if not records:
        raise ManifestError(f"{path}: is empty; wanted a header line and one row an image")
    return records


def _missing_column(path: Path, column: str, header: Iterable[str]) -> None:
    known = list(header)
    near = close_matches(column, known)
    hint = f" (did you mean {' or '.join(map(repr, near))}?)" if near else ""
    raise ManifestError(
        f"{path}: no column {column!r} to take the class from{hint}; found {', '.join(known)}. "
        "Name the column with label_column=."
    )


def _entries(folder: Path) -> list[Path]:
    if not folder.is_dir():
        return []
    return sorted(p for p in folder.iterdir() if not p.name.startswith("."))


def _is_image(path: Path) -> bool:
    return is_plain(path) and not path.name.startswith(".")


def _images(folder: Path) -> list[Path]:
    return [p for p in _entries(folder) if _is_image(p)]


def _child(folder: Path, names: Sequence[str]) -> Path | None:
    return next((p for p in _entries(folder) if p.is_dir() and p.name.lower() in names), None)


def _listing(folder: Path) -> str:
    names = [p.name + ("/" if p.is_dir() else "") for p in _entries(folder)]
    shown = ", ".join(names[:6])
    return f"{shown} and {len(names) - 6} more" if len(names) > 6 else shown or "nothing"
