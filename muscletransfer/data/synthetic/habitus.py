"""Who is scanned: body size, fat, muscle and age of a synthetic patient.

The numbers are drawn so that a cohort has plausible means and correlations; they are not fitted to
any group of people.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal, TypeAlias, get_args

import numpy as np

from muscletransfer.errors import DataError

__all__ = ["Habitus", "Phase", "Sex", "sample_habitus"]

Sex: TypeAlias = Literal["female", "male"]
Phase: TypeAlias = Literal["native", "arterial", "portal", "delayed"]


@dataclass(frozen=True)
class Habitus:
    """Patient-level parameters of a phantom.

    .. versionadded:: 0.1

    Attributes:
        sex: ``"female"`` or ``"male"``.
        age: Years.
        height_m: Height in m.
        bmi: Body mass index in kg/m2.
        muscle: Muscle bulk relative to a healthy person of this sex and height; 0.7 is wasted.
        fat_infiltration: Share of myosteatosis in [0, 1]: lowers muscle HU, adds streaks of fat.
        visceral: Share of the fat inside the abdomen in [0, 1].
        shape_ratio: Width of the trunk over its depth.
        phase: Contrast phase of the scan.

    Example:
        >>> from muscletransfer.data.synthetic import phantom_slice
        >>> patient = phantom_slice(0, size=32).patient
        >>> wasted = patient.with_changes(muscle=0.7)
        >>> wasted.muscle, wasted.sex == patient.sex
        (0.7, True)
    """

    sex: Sex
    age: float
    height_m: float
    bmi: float
    muscle: float
    fat_infiltration: float
    visceral: float
    shape_ratio: float
    phase: Phase

    def __post_init__(self) -> None:
        limits = {
            "age": (18.0, 100.0),
            "height_m": (1.35, 2.1),
            "bmi": (14.0, 50.0),
            "muscle": (0.4, 1.6),
            "fat_infiltration": (0.0, 1.0),
            "visceral": (0.0, 1.0),
            "shape_ratio": (1.0, 1.8),
        }
        for name, (low, high) in limits.items():
            value = getattr(self, name)
            if not low <= value <= high:
                raise DataError(
                    f"{name}={value} of a phantom patient is outside {low} to {high}; "
                    "give a value in that range"
                )
        for name, kind in (("sex", Sex), ("phase", Phase)):
            if getattr(self, name) not in get_args(kind):
                raise DataError(
                    f"{name}={getattr(self, name)!r} of a phantom patient is unknown; "
                    f"give one of {', '.join(get_args(kind))}"
                )

    @property
    def male(self) -> bool:
        """Whether the patient is male."""
        return self.sex == "male"

    @property
    def frame(self) -> float:
        """Linear size of the skeleton relative to a man of 1.75 m."""
        relative = self.height_m / (1.75 if self.male else 1.63)
        return float((1.0 if self.male else 0.93) * relative**0.7)

    def with_changes(self, **changes: object) -> Habitus:
        """Copy with some fields replaced."""
        return replace(self, **changes)  # type: ignore[arg-type]


def sample_habitus(rng: np.random.Generator) -> Habitus:
    """Draw a patient.

    Older patients have less muscle with more fat in it, heavier ones more muscle and more fat; men
    store more of their fat inside the abdomen. Every patient consumes the same number of draws.

    .. versionadded:: 0.1

    Args:
        rng: Source of randomness.

    Returns:
        The patient.

    Example:
        >>> patient = sample_habitus(np.random.default_rng(1))
        >>> 1.4 < patient.height_m < 2.1 and 15 < patient.bmi < 45
        True
    """
    male = bool(rng.random() < 0.6)
    age = float(np.clip(rng.normal(64.0, 12.0), 28.0, 92.0))
    height = float(np.clip(rng.normal(1.75 if male else 1.62, 0.065), 1.42, 1.98))
    bmi = float(np.clip(np.exp(rng.normal(np.log(26.2), 0.17)), 16.5, 43.0))
    wasting = float(rng.random() ** 3) * (0.22 + 0.004 * max(age - 50.0, 0.0))
    muscle = 1.0 + 0.012 * (bmi - 26.0) - 0.0022 * (age - 60.0) - wasting + rng.normal(0.0, 0.075)
    logit = -1.1 + 0.035 * (age - 62.0) + 0.07 * (bmi - 26.0) + 1.2 * wasting + rng.normal(0, 0.7)
    infiltration = 1.0 / (1.0 + np.exp(-logit - (0.0 if male else 0.35)))
    visceral = np.clip(rng.normal(0.52 if male else 0.36, 0.1), 0.12, 0.8)
    ratio = np.clip(rng.normal(1.42, 0.07) - 0.008 * (bmi - 26.0), 1.18, 1.65)
    phase = rng.choice(get_args(Phase), p=[0.2, 0.12, 0.56, 0.12])
    return Habitus(
        sex="male" if male else "female",
        age=round(age),
        height_m=round(height, 2),
        bmi=round(bmi, 1),
        muscle=float(np.clip(muscle, 0.5, 1.5)),
        fat_infiltration=float(infiltration),
        visceral=float(visceral),
        shape_ratio=float(ratio),
        phase=str(phase),  # type: ignore[arg-type]
    )
