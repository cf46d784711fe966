"""An observer study from files: one manifest of the observers' masks, one of the reference."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

from muscletransfer.data.manifest import Manifest
from muscletransfer.observers.case_files import case_files, unseen_notes
from muscletransfer.observers.consensus import Consensus
from muscletransfer.observers.inputs import EmptyRule
from muscletransfer.observers.result import ObserverStudy
from muscletransfer.observers.study import observer_study

__all__ = ["observer_study_from_manifest"]


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
        DataError: As ``observer_study``; a mask of several classes without a label, one with 255
            where the structure is, or nothing is left of an observer's mask where all looked.

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
    masks: dict[str, dict[str, Any]] = {}
    spacing, patients, hu = {}, {}, {}
    more: dict[str, dict[str, Any]] = {}
    if reference is not None:
        more["reference"] = {}
    if model is not None:
        more["model"] = {}
    unseen: dict[str, tuple[float, tuple[str, ...]]] = {}
    for files in case_files(observers, reference, model):
        case = files.read(label, with_hu)
        masks[files.name], spacing[files.name] = case.masks, case.spacing
        patients[files.name] = files.patient
        if case.ignored is not None:
            unseen[files.name] = float(case.ignored.mean()), case.unseen_by
        if case.hu is not None:
            hu[files.name] = case.hu
        for what, mask in (("reference", case.reference), ("model", case.model)):
            if mask is not None:
                more[what][files.name] = mask
    study = observer_study(
        masks,
        spacing,
        reference=more.get("reference"),
        model=more.get("model"),
        hu=hu if len(hu) == len(masks) else None,  # a plain image among them: areas by outline
        consensus=consensus,
        empty=empty,
        patients=patients,
    )
    return replace(study, notes=(*unseen_notes(unseen), *study.notes))
