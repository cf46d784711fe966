"""An observer study from files: one manifest of the observers' masks, one of the reference."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeAlias

from numpy.typing import NDArray

from muscletransfer.data.io import check_same_grid, read_ct, read_image, read_mask, read_volume
from muscletransfer.data.io_plain import is_plain
from muscletransfer.data.manifest import Manifest
from muscletransfer.data.manifest_rows import ManifestRow
from muscletransfer.data.types import Volume
from muscletransfer.errors import DataError, GeometryError, ManifestError
from muscletransfer.observers.consensus import Consensus
from muscletransfer.observers.inputs import EmptyRule
from muscletransfer.observers.result import ObserverStudy
from muscletransfer.observers.study import observer_study

__all__ = ["observer_study_from_manifest"]

Key: TypeAlias = tuple[Path, int]


def observer_study_from_manifest(
    observers: str | Path | Manifest,
    reference: str | Path | Manifest | None = None,
    model: str | Path | Manifest | None = None,
    consensus: Consensus = "majority",
    empty: EmptyRule = "error",
    label: int | None = None,
    with_hu: bool = True,
) -> ObserverStudy:
    r"""Run :func:`muscletransfer.observers.observer_study` on files.

    .. versionadded:: 0.1

    Args:
        observers: A manifest with one row a case and observer: ``patient_id,image,mask,observer``
            (and ``slice_index`` where the image has several slices).
        reference: A manifest whose masks are the reference; rows of other images are not used.
        model: A manifest whose masks are a model's, such as the output of a prediction.
        consensus: ``"majority"`` or ``"staple"``.
        empty: What an observer's empty mask means; see ``observer_study``.
        label: The class that is studied, for masks of several classes; ``None`` for masks of
            0 and 1.
        with_hu: Read the images as CT and measure inside the muscle window too. Pass ``False`` for
            other modalities; plain images (PNG, TIFF) never have Hounsfield units.

    Returns:
        The study. A case is called after its patient, with ``_slice003`` where a patient has
        several slices, or the image's name where it has several images.

    Raises:
        ManifestError: No ``observer`` column, a row without observer or mask, one observer twice
            for a case.
        GeometryError: A mask on another grid than its image, or no spacing.
        ImageReadError: A file cannot be read.
        DataError: As ``observer_study``.

    Example:
        >>> import tempfile
        >>> import numpy as np
        >>> from muscletransfer.data.io import write_mask
        >>> from PIL import Image
        >>> folder = Path(tempfile.mkdtemp())
        >>> Image.new("L", (9, 9)).save(folder / "image.png")
        >>> mask = np.zeros((9, 9), np.uint8); mask[2:7, 2:7] = 1
        >>> for name, shift in (("A", 0), ("B", 1)):
        ...     _ = write_mask(np.roll(mask, shift, 0), folder / f"{name}.png")
        >>> head = "patient_id,image,mask,observer,spacing_x_mm,spacing_y_mm"
        >>> rows = [f"P1,image.png,{name}.png,{name},0.5,0.5" for name in "AB"]
        >>> _ = (folder / "observers.csv").write_text("\n".join([head, *rows]))
        >>> study = observer_study_from_manifest(folder / "observers.csv")
        >>> study.pairwise[["case", "observer", "other", "dice"]].values.tolist()
        [['P1', 'A', 'B', 0.8]]
    """
    table = _open(observers, by_observers=True)
    cases: dict[Key, _Files] = {}
    for row in table:
        observer = row.extra.get("observer", "")
        if not observer:
            raise ManifestError(
                f"{row.where}: no observer; wanted a column 'observer' with a name in every row, "
                "patient_id,image,mask,observer."
            )
        files = cases.setdefault(_key(row), _Files(row))
        if observer in files.observers:
            raise ManifestError(
                f"{row.where}: observer {observer!r} already has a mask of this case, in row "
                f"{files.observers[observer].line}; wanted one. Remove one, or name the second "
                "reading as an observer of its own."
            )
        files.observers[observer] = row
    extra: dict[str, dict[Key, ManifestRow]] = {}
    for what, source in (("reference", reference), ("model", model)):
        if source is None:
            continue
        extra[what] = {_key(row): row for row in _open(source) if _key(row) in cases}
        if not extra[what]:
            raise ManifestError(
                f"The {what} shares no image with the observers' manifest {table.path}: wanted "
                "rows of the same image files (and slice_index)."
            )
    return _study(cases, extra, consensus, empty, label, with_hu)


@dataclass
class _Files:
    first: ManifestRow
    observers: dict[str, ManifestRow] = field(default_factory=dict)


def _study(
    cases: Mapping[Key, _Files],
    extra: Mapping[str, Mapping[Key, ManifestRow]],
    consensus: Consensus,
    empty: EmptyRule,
    label: int | None,
    with_hu: bool,
) -> ObserverStudy:
    names = _names({key: files.first for key, files in cases.items()})
    masks: dict[str, dict[str, Any]] = {}
    spacing: dict[str, tuple[float, float]] = {}
    hu: dict[str, Any] = {}
    more: dict[str, dict[str, Any]] = {what: {} for what in extra}
    for key, files in cases.items():
        name, image = names[key], _image(files.first, with_hu)
        own = files.first.spacing if image.slice_spacing is None else image.slice_spacing
        if own is None:
            raise GeometryError(
                f"{files.first.where}: the spacing of {files.first.image} is not known; wanted "
                "columns spacing_x_mm and spacing_y_mm (1 each gives results in pixels)."
            )
        spacing[name] = own
        if with_hu and not is_plain(files.first.image):
            hu[name] = image.array[0]
        masks[name] = {who: _mask(row, image, label) for who, row in files.observers.items()}
        for what, rows in extra.items():
            if key in rows:
                more[what][name] = _mask(rows[key], image, label)
    return observer_study(
        masks,
        spacing,
        reference=more.get("reference"),
        model=more.get("model"),
        hu=hu if len(hu) == len(masks) else None,  # a plain image among them: areas by outline
        consensus=consensus,
        empty=empty,
        patients={names[key]: files.first.patient_id for key, files in cases.items()},
    )


def _open(source: str | Path | Manifest, by_observers: bool = False) -> Manifest:
    if isinstance(source, Manifest):
        return source
    return Manifest.read(source, need_masks=by_observers, allow_repeats=by_observers)


def _key(row: ManifestRow) -> Key:
    return row.image.resolve(), row.slice_index or 0


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


def _mask(row: ManifestRow, image: Volume, label: int | None) -> NDArray[Any]:
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
    if label is None and not set(mask.classes) <= {0, 1}:
        raise DataError(
            f"{row.where}: the mask {row.mask} holds the values {list(mask.classes)}; wanted 0 "
            "and 1, or label= to choose a class."
        )
    labels: NDArray[Any] = mask.labels[0]
    return labels if label is None else labels == label
