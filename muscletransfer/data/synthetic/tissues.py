"""Label tables and Hounsfield units of the phantom."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from muscletransfer.data.synthetic.habitus import Habitus

__all__ = ["GROUPS", "TISSUES", "Hounsfield", "hounsfield"]

#: Codes of the named muscle groups; left and right are the patient's.
#:
#: .. versionadded:: 0.1
GROUPS: dict[str, int] = {
    "psoas_left": 1,
    "psoas_right": 2,
    "quadratus_lumborum_left": 3,
    "quadratus_lumborum_right": 4,
    "erector_spinae_left": 5,
    "erector_spinae_right": 6,
    "rectus_abdominis_left": 7,
    "rectus_abdominis_right": 8,
    "lateral_wall_left": 9,
    "lateral_wall_right": 10,
}

#: Codes of the organ and tissue mask. Muscle is part of 0, so that the mask cannot give it away; so
#: are skin, lung, pancreas, adrenals, gall bladder, cartilage, the canal, metal and air.
#:
#: .. versionadded:: 0.1
TISSUES: dict[str, int] = {
    "subcutaneous_fat": 1,
    "visceral_fat": 2,
    "bone": 3,
    "kidney": 4,
    "bowel": 5,
    "vessel": 6,
    "liver_spleen": 7,
}


@dataclass(frozen=True)
class Hounsfield:
    """Mean attenuation of each material of one patient in HU."""

    muscle: float
    fat: float
    visceral_fat: float
    skin: float
    fascia: float
    cortical: float
    trabecular: float
    thecal: float
    artery: float
    vein: float
    kidney_cortex: float
    kidney_medulla: float
    urine: float
    liver: float
    spleen: float
    bowel_wall: float
    fluid: float


# Contrast phase: artery, vein, cortex, medulla, urine, liver gain, spleen, bowel wall.
_PHASES: dict[str, tuple[float, ...]] = {
    "native": (42, 40, 33, 31, 6, 0, 47, 38),
    "arterial": (290, 95, 175, 75, 8, 8, 120, 75),
    "portal": (150, 152, 178, 165, 12, 48, 118, 85),
    "delayed": (105, 106, 125, 120, 330, 32, 92, 66),
}


def hounsfield(patient: Habitus, rng: np.random.Generator) -> Hounsfield:
    """Draw the attenuation of each material for a patient.

    Muscle loses density with fat infiltration and gains a few HU with contrast; bone loses density
    with age.

    Example:
        >>> from muscletransfer.data.synthetic import sample_habitus
        >>> rng = np.random.default_rng(0)
        >>> hu = hounsfield(sample_habitus(rng), rng)
        >>> hu.fat < 0 < hu.muscle < hu.trabecular < hu.cortical
        True
    """
    scale = np.asarray(_PHASES[patient.phase], dtype=np.float64)
    scale[:5] *= rng.normal(1.0, 0.09)
    artery, vein, cortex, medulla, urine, gain, spleen, wall = scale
    enhanced = 0.0 if patient.phase == "native" else 1.0
    bone = 1.0 - 0.006 * (patient.age - 60.0) + rng.normal(0.0, 0.1)
    draw = rng.normal(size=8)
    return Hounsfield(
        muscle=58.0 - 14.0 * patient.fat_infiltration + 4.0 * enhanced + 2.5 * draw[0],
        fat=-106.0 + 3.0 * draw[1],
        visceral_fat=-102.0 + 4.0 * draw[2],
        skin=35.0 + 10.0 * draw[3],
        fascia=25.0,
        cortical=float(np.clip(820.0 * bone, 560.0, 1150.0)),
        trabecular=float(np.clip(155.0 * bone, 90.0, 240.0)) + 12.0 * enhanced,
        thecal=20.0 + 4.0 * draw[4],
        artery=float(artery),
        vein=float(vein),
        kidney_cortex=float(cortex),
        kidney_medulla=float(medulla),
        urine=float(urine),
        liver=58.0 - 10.0 * patient.visceral * max(draw[5], 0.0) + float(gain) + 3.0 * draw[6],
        spleen=float(spleen) + 3.0 * draw[7],
        bowel_wall=float(wall),
        fluid=14.0,
    )
