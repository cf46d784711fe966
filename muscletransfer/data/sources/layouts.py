"""The five layouts of pretext images, each read into an `ImageSource`."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path

from muscletransfer.data.manifest import Manifest, ManifestRow
from muscletransfer.data.manifest.slices import SliceChoice, expand_slices
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
    missing_column,
    number_classes,
    read_records,
)
from muscletransfer.errors import DataError, ManifestError

__all__ = [
    "from_class_csv",
    "from_class_folder",
    "from_image_folder",
    "from_manifest",
    "from_mask_folders",
]

_FILE_COLUMNS = ("file", "image", "path", "filename", "file_name")


def from_manifest(
    path: Path,
    label_column: str,
    mask_column: str,
    where: Mapping[str, str] | None,
    slices: SliceChoice,
) -> ImageSource:
    """Read a manifest; classes from ``label_column`` where every row has one.

    Args:
        path: The CSV.
        label_column: Column of the classes.
        mask_column: Column of the masks.
        where: Only rows whose columns hold these texts.
        slices: Which slices of its volumes.

    Raises:
        ManifestError: The CSV is wrong, has no such column, or no such row.
    """
    manifest = Manifest.read(path, mask_column=mask_column)
    if label_column != "label" and not any(r.extra.get(label_column) for r in manifest.rows):
        missing_column(path, label_column, manifest.rows[0].extra)
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
    classes, labels = number_classes(texts)
    return ImageSource(manifest, "manifest", roles, classes, labels)


def from_class_csv(path: Path, label_column: str) -> ImageSource:
    """Read a CSV of file names and classes; files lie beside it or in its folder ``images/``.

    Args:
        path: The CSV, with a column ``file`` (or ``image``, ``path``, ``filename``).
        label_column: Column of the classes.

    Raises:
        ManifestError: Naming the row, the value found and what was wanted.
    """
    header, records = read_records(path)
    file_column = next((c for c in _FILE_COLUMNS if c in header), None)
    if file_column is None:
        raise ManifestError(
            f"{path}: no column of file names; found {', '.join(header)}, wanted one of "
            f"{', '.join(_FILE_COLUMNS)}"
        )
    # read as it is, images of one patient would be apart and exclude would bar nobody
    if {"patient_id", "image"} <= set(header):
        raise ManifestError(
            f"{path}: has the columns 'patient_id' and 'image'; kind='class_csv' reads no "
            "patients. Pass kind='manifest', or leave kind out."
        )
    if "patient_id" in header:
        raise ManifestError(
            f"{path}: has a column 'patient_id' and its files in {file_column!r}; wanted them in "
            "'image', as in a manifest. Rename that column to image, or patient_id where it names "
            "no patients."
        )
    if label_column not in header:
        missing_column(path, label_column, header)
    rows, texts = [], []
    for line, record in records:
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
    classes, labels = number_classes(texts)
    return ImageSource(
        Manifest(tuple(rows), path), "class_csv", (None,) * len(rows), classes, labels
    )


def from_class_folder(path: Path) -> ImageSource:
    """Read ``<class>/<image>``, or the same in ``train/`` and ``val/``.

    Args:
        path: The folder.

    Raises:
        DataError: It holds no folder of images.
    """
    rows, texts, roles = [], [], []
    for role, folder in _role_folders(path):
        for one_class in entries(folder):
            if not one_class.is_dir():
                continue
            for image in sorted(images_below(one_class)):
                rows.append(_row(image, path, one_class.name))
                texts.append(one_class.name)
                roles.append(role)
    if not rows:
        raise DataError(
            f"source {str(path)!r} holds no <class>/<image>: found {listing(path)}; wanted one "
            "folder a class, in the folder itself or in train/ and val/"
        )
    classes, labels = number_classes(texts)
    return ImageSource(Manifest(tuple(rows), path), "class_folder", tuple(roles), classes, labels)


def from_mask_folders(path: Path) -> ImageSource:
    """Read ``images/`` and ``masks/`` paired by name, or the same in ``train/``, ``val/``...

    Args:
        path: The folder.

    Raises:
        DataError: A folder is missing, an image has no mask, or two masks have one name.
    """
    rows, roles = [], []
    for role, folder in _role_folders(path):
        images, masks = child_folder(folder, IMAGE_FOLDERS), child_folder(folder, MASK_FOLDERS)
        if images is None or masks is None:
            raise DataError(
                f"{folder}: found {listing(folder)}; wanted a folder images/ and a folder masks/"
            )
        mask_of: dict[str, Path] = {}
        for mask in images_in(masks):
            if mask.stem in mask_of:
                raise DataError(f"{masks}: two masks are named {mask.stem!r}; wanted one an image")
            mask_of[mask.stem] = mask
        for image in images_in(images):
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


def from_image_folder(path: Path) -> ImageSource:
    """Read all images of a folder and its subfolders, without classes or masks.

    Args:
        path: The folder.

    Raises:
        DataError: There is none.
    """
    images = sorted(images_below(path))
    if not images:
        raise DataError(f"source {str(path)!r} holds no images: found {listing(path)}")
    rows = tuple(_row(image, path, None) for image in images)
    return ImageSource(Manifest(rows, path), "image_folder", (None,) * len(rows))


def _row(image: Path, root: Path, label: str | None, mask: Path | None = None) -> ManifestRow:
    # a photograph is its own group: nothing says which belong together
    name = image.relative_to(root).as_posix()
    resolved = None if mask is None else mask.resolve()
    return ManifestRow(name, image.resolve(), resolved, label=label, manifest=image, line=-1)


def _role_folders(path: Path) -> Iterator[tuple[str | None, Path]]:
    """Yield train/, val/ and test/ where there is a train/, else the folder itself."""
    named = {ROLES[p.name.lower()]: p for p in entries(path) if p.name.lower() in ROLES}
    if "train" not in named:
        yield None, path
    else:
        yield from ((role, named[role]) for role in ("train", "val", "test") if role in named)
