"""One case after the networks: its mask on the native grid, measures, quality, files."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from torch import Tensor

from muscletransfer.data.preprocessing import PreprocessingSpec
from muscletransfer.data.types import Array
from muscletransfer.finetune.native import native_from_probabilities
from muscletransfer.finetune.profile import TrainingProfile
from muscletransfer.measures import HU_WINDOWS, muscle_measures
from muscletransfer.measures.muscle import MUSCLE_WINDOWS
from muscletransfer.measures.windows import clip_doubts
from muscletransfer.prediction.masks import MaskFormat, write_prediction
from muscletransfer.prediction.overlay import overlay_image, write_overlay
from muscletransfer.prediction.quality import Quality, Thresholds, expected_dice, judge
from muscletransfer.prediction.reading import ReadCase

__all__ = ["Finisher", "Outcome"]

_WINDOWS = {name: HU_WINDOWS[name] for name in MUSCLE_WINDOWS}


@dataclass(frozen=True, eq=False)
class Outcome:
    """One predicted case.

    .. versionadded:: 0.1

    Args:
        name: The case.
        image: Its image.
        slice_index: Which slice of it.
        patient_id: As the manifest has it.
        mask: The mask file.
        overlay: The picture; ``None`` when none was asked for.
        quality: Score, flags and reasons.
        expected_dice: See `expected_dice`.
        member_dice: Mean Dice between members or views.
        feature_distance: How far from the training images.
        measures: As `muscle_measures` gives them; empty without a spacing or HU.
        warning: What is doubtful about the measures, such as an image clipped inside a window.

    Example:
        >>> quality = Quality(score=0.0, flags=(), reasons=(), picture=None, edge_mm=None)
        >>> one = Outcome("P1", Path("P1.nii.gz"), 0, "P1", Path("masks/P1.nii.gz"), None, quality,
        ...               expected_dice=0.95, member_dice=None, feature_distance=None)
        >>> one.name, one.quality.flags
        ('P1', ())
    """

    name: str
    image: Path
    slice_index: int
    patient_id: str | None
    mask: Path
    overlay: Path | None
    quality: Quality
    expected_dice: float
    member_dice: float | None
    feature_distance: float | None
    measures: dict[str, float] = field(default_factory=dict)
    warning: str = ""

    def to_row(self, root: Path) -> dict[str, object]:
        """Return one row of ``measures.csv``; files of the run relative to its folder."""
        quality, picture = self.quality, self.quality.picture
        return {
            "case": self.name,
            "patient_id": self.patient_id or "",
            "review_score": round(quality.score, 4),
            "flags": " ".join(quality.flags),
            "reasons": "; ".join(quality.reasons),
            "warning": self.warning,
            **{name: _plain(value) for name, value in self.measures.items()},
            "expected_dice": _plain(self.expected_dice),
            "member_dice": _plain(self.member_dice),
            "feature_distance": _plain(self.feature_distance),
            "body_cut_mm": _plain(None if picture is None else picture.cut_mm),
            "muscle_edge_mm": _plain(quality.edge_mm),
            "arms_cm2": _plain(None if picture is None else picture.arms_cm2),
            "metal_mm2": _plain(None if picture is None else picture.metal_mm2),
            "image": str(self.image.absolute()),  # as typed it would be of another folder
            "slice_index": self.slice_index,
            "mask": self.mask.relative_to(root).as_posix(),
            "overlay": "" if self.overlay is None else self.overlay.relative_to(root).as_posix(),
        }


@dataclass(frozen=True)
class Finisher:
    """Turns probabilities on the network grid into files and an `Outcome`.

    Args:
        root: Folder of the run.
        preprocessing: What brought images to the network grid.
        classes: Names of the classes 1, 2, ...
        profiles: What the members were trained on.
        mask_format: Of the mask files.
        overlays: Whether to draw pictures.
        thresholds: Where flags go up.
    """

    root: Path
    preprocessing: PreprocessingSpec
    classes: tuple[str, ...]
    profiles: tuple[TrainingProfile | None, ...]
    mask_format: MaskFormat = "nifti"
    overlays: bool = True
    thresholds: Thresholds | None = None

    def finish(
        self,
        read: ReadCase,
        probabilities: Tensor,
        agreement: float | None,
        distance: float | None,
    ) -> Outcome:
        """Decide, measure, judge, write.

        Args:
            read: The case.
            probabilities: (K, h, w) of it.
            agreement: Mean Dice between members or views.
            distance: Of its features.

        Returns:
            What was found, its files written.

        Raises:
            DataError: Values that are no HU, or a file that could not be written.
        """
        is_ct = self.preprocessing.hu_window is not None
        mask = native_from_probabilities(probabilities, read.geometry, self.preprocessing)
        labels: Array = mask.mask.numpy()
        measures = self._measures(read, labels) if is_ct and read.spacing is not None else {}
        expected = expected_dice(probabilities)
        quality = judge(
            read.pixels,
            labels,
            read.spacing,
            expected=expected,
            agreement=agreement,
            distance=distance,
            density=measures.get("smd_hu"),
            profiles=self.profiles,
            is_ct=is_ct,
            thresholds=self.thresholds,
        )
        written = write_prediction(
            labels, read, self.root / "masks", self.mask_format, self.classes
        )
        case = read.case
        picture: Path | None = None
        if self.overlays:
            drawn = overlay_image(
                read.pixels,
                labels,
                read.spacing,
                read.geometry.flip,
                (-150.0, 250.0) if is_ct else None,
            )
            picture = write_overlay(drawn, self.root / "overlays" / f"{case.name}.png")
        return Outcome(
            case.name,
            case.image,
            read.index,
            case.patient_id,
            written,
            picture,
            quality,
            expected,
            agreement,
            distance,
            measures,
            " ".join(clip_doubts(read.pixels, _WINDOWS)) if measures else "",
        )

    def _measures(self, read: ReadCase, labels: Array) -> dict[str, float]:
        assert read.spacing is not None
        case = read.case
        groups: dict[str, int] | None = None
        if len(self.classes) > 1:
            groups = {name: number for number, name in enumerate(self.classes, 1)}
        return muscle_measures(
            read.pixels,
            labels if groups else np.asarray(labels > 0),
            read.spacing,
            case.height_m,
            case.sex,
            case.bmi,
            groups=groups,
        )


def classes_of(num_classes: int, names: Sequence[str] | None) -> tuple[str, ...]:
    """Return a name for each foreground class."""
    count = max(1, num_classes - 1)
    if names is not None and len(names) == count:
        return tuple(names)
    return ("muscle",) if count == 1 else tuple(f"class{k}" for k in range(1, count + 1))


def _plain(value: float | None) -> object:
    """Return a number for a CSV: six digits, empty where there is none."""
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return ""
    return bool(value) if isinstance(value, bool) else float(f"{value:.6g}")
