"""Pretext image collections as they lie on disk, read into one form: a `Manifest` and its classes.

Five layouts: a CT (or plain image) manifest, a folder of images a class, a CSV of classes, paired
image and mask folders, and a folder of unlabelled images.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from muscletransfer.data.manifest.slices import SliceChoice
from muscletransfer.data.sources.image_source import (
    IMAGE_FOLDERS,
    MASK_FOLDERS,
    ROLES,
    ImageSource,
    child_folder,
    entries,
    images_below,
    images_in,
    listing,
    read_records,
)
from muscletransfer.data.sources.layouts import (
    from_class_csv,
    from_class_folder,
    from_image_folder,
    from_manifest,
    from_mask_folders,
)
from muscletransfer.errors import DataError, UnknownNameError, close_matches

__all__ = ["PHOTOGRAPHS", "ImageSource", "detect_kind", "open_source"]

KINDS = ("manifest", "class_folder", "class_csv", "mask_folders", "image_folder")
# No layout that people have: a manifest that stands for photographs, which stay what they are.
PHOTOGRAPHS = "photographs"


def detect_kind(path: Path) -> str:
    """Tell the layout of ``path`` from its files.

    .. versionadded:: 0.1

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
        near = close_matches(path.name, (p.name for p in entries(path.parent)))
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
        header, _ = read_records(path)
        return "manifest" if {"patient_id", "image"} <= set(header) else "class_csv"
    for folder in [path, *(p for p in entries(path) if p.is_dir() and p.name.lower() in ROLES)]:
        if child_folder(folder, IMAGE_FOLDERS) and child_folder(folder, MASK_FOLDERS):
            return "mask_folders"
    filled = [p for p in entries(path) if p.is_dir() and any(images_below(p))]
    # a lone images/ is how a collection with its lists beside it is often laid out, not a class
    if any(images_in(path)) or (len(filled) == 1 and filled[0].name.lower() in IMAGE_FOLDERS):
        return "image_folder"
    if filled:
        return "class_folder"
    raise DataError(
        f"source {str(path)!r} holds no images: found {listing(path)}; wanted <class>/*.jpg, "
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

    .. versionadded:: 0.1

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
    if kind is not None and kind not in (*KINDS, PHOTOGRAPHS):
        near = close_matches(kind, KINDS)
        hint = f" Did you mean {' or '.join(near)}?" if near else ""
        raise UnknownNameError(
            f"kind={kind!r} is no layout of images.{hint} Wanted one of {', '.join(KINDS)}, or "
            "None to find out."
        )
    found = kind or detect_kind(path)
    if found in ("manifest", PHOTOGRAPHS):
        read = from_manifest(path, label_column, mask_column, where, slices)
        return replace(read, kind=found)
    if found == "class_csv":
        return from_class_csv(path, label_column)
    if not path.is_dir():
        raise DataError(f"source {str(path)!r} is no folder, which kind={found!r} wants")
    readers = {
        "class_folder": from_class_folder,
        "mask_folders": from_mask_folders,
        "image_folder": from_image_folder,
    }
    return readers[found](path)
