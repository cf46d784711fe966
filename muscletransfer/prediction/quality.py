"""Quality flags: which predictions a person should look at, why, and in which order."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from numbers import Real

from torch import Tensor

from muscletransfer.data.types import Array
from muscletransfer.errors import SettingError
from muscletransfer.finetune.profile import Spread, TrainingProfile
from muscletransfer.prediction.picture import Picture, look_at, outside_field, touched_mm

__all__ = ["FLAGS", "Quality", "Thresholds", "expected_dice", "flags_off", "judge"]

#: Flag to (weight in the review score, what it means). A flag is up at severity 1.
#:
#: .. versionadded:: 0.1
FLAGS: dict[str, tuple[float, str]] = {
    "empty": (5.0, "nothing was outlined"),
    "disagreement": (1.0, "the networks (or the two views of one) outline different areas"),
    "uncertain": (1.0, "the probabilities along the outline leave much of it open"),
    "unfamiliar": (1.0, "features far from those of the training images: wrong level?"),
    "area": (0.5, "muscle area outside the range of the training patients"),
    "density": (0.5, "muscle density outside the range of the training patients"),
    "cut": (1.0, "the body runs out of the field of view"),
    "edge": (0.5, "the muscle touches the edge of the field of view"),
    "arms": (1.0, "arms in the picture"),
    "metal": (0.3, "metal in the picture"),
}
_CONTINUOUS = ("disagreement", "uncertain")  # count below their threshold too
_MOST = 4.0  # no single finding decides alone how a case is ranked


@dataclass(frozen=True)
class Thresholds:
    """Where flags go up.

    .. versionadded:: 0.1

    Args:
        disagreement: 1 - Dice between members (or views).
        uncertain: 1 - Dice that the probabilities let expect.
        unfamiliar: Distance of the features; 5 % of further images like the training ones are
            expected to pass 1.
        coverage: Share of further patients inside the range of area and density.
        cut_mm: Length of the body's outline on the edge of the field of view.
        edge_mm: The same of the muscle's.
        arms_cm2: Area of limbs beside the trunk.
        metal_mm2: Area denser than bone.

    Raises:
        SettingError: A value that is no number above 0, or a coverage of 1 or more. At infinity a
            flag never goes up.

    Example:
        >>> Thresholds(disagreement=0.05).disagreement, Thresholds().arms_cm2
        (0.05, 8.0)
    """

    disagreement: float = 0.10
    uncertain: float = 0.15
    unfamiliar: float = 1.0
    coverage: float = 0.99
    cut_mm: float = 20.0
    edge_mm: float = 10.0
    arms_cm2: float = 8.0
    metal_mm2: float = 10.0

    def __post_init__(self) -> None:
        for name, value in vars(self).items():
            is_number = isinstance(value, Real) and not isinstance(value, bool)
            is_share = name == "coverage"
            if not (is_number and value > 0 and (value < 1 or not is_share)):
                wanted = "a share between 0 and 1" if is_share else "a number above 0 (inf: never)"
                raise SettingError(f"The threshold {name} is {value!r}; wanted {wanted}.")


@dataclass(frozen=True)
class Quality:
    """The judgement of one prediction.

    .. versionadded:: 0.1

    Args:
        score: The higher, the sooner a person should look; see `FLAGS` for the weights.
        flags: Names of the flags that are up, the weightiest first.
        reasons: One sentence a flag, with its number.
        picture: Findings in the slice; ``None`` where it is no CT with a known spacing.
        edge_mm: Length of the muscle's outline on the edge of the field; ``None`` likewise.

    Example:
        >>> Quality(0.8, ("empty",), ("Nothing was outlined.",), picture=None, edge_mm=None).flags
        ('empty',)
    """

    score: float
    flags: tuple[str, ...]
    reasons: tuple[str, ...]
    picture: Picture | None
    edge_mm: float | None


def expected_dice(probabilities: Tensor) -> float:
    """Return the Dice that a slice's own probabilities let expect.

    With p the probability of muscle and M where p > 0.5: 2 sum_M(p) / (|M| + sum(p)), the
    expected overlap over the expected sizes. It is as good as the probabilities are calibrated.

    Args:
        probabilities: (K, h, w) of one slice; with K > 1 all structures count as one.

    Returns:
        0 to 1; 1 where nothing is outlined and nothing was likely, 0 where any is NaN.

    Example:
        >>> import torch
        >>> expected_dice(torch.tensor([[[1.0, 1.0, 0.0, 0.0]]]))
        1.0
        >>> round(expected_dice(torch.tensor([[[0.6, 0.6, 0.4, 0.4]]])), 3)
        0.6
    """
    single = len(probabilities) == 1
    muscle = probabilities[0] if single else 1.0 - probabilities[0]
    chosen = muscle > 0.5 if single else probabilities.argmax(0) > 0
    total = float(chosen.sum() + muscle.sum())
    if math.isnan(total):  # a broken network promises nothing
        return 0.0
    return float(2 * muscle[chosen].sum()) / total if total > 1e-6 else 1.0


def judge(
    pixels: Array,
    mask: Array,
    spacing: tuple[float, float] | None,
    *,
    expected: float,
    agreement: float | None,
    distance: float | None,
    density: float | None,
    profiles: Sequence[TrainingProfile | None] = (),
    is_ct: bool = True,
    thresholds: Thresholds | None = None,
) -> Quality:
    """Judge one prediction on its native grid.

    Args:
        pixels: (H, W), HU for CT.
        mask: (H, W) class indices, the prediction.
        spacing: (sy, sx) in mm, or ``None``.
        expected: `expected_dice`.
        agreement: Mean Dice between members or views, or ``None``.
        distance: Feature distance, or ``None``.
        density: Mean HU of the muscle, or ``None``.
        profiles: What each member was trained on.
        is_ct: Whether the pixels are HU.
        thresholds: Where flags go up.

    Returns:
        Score, flags and reasons.

    Example:
        >>> import numpy as np
        >>> blank = np.full((40, 40), -1000)
        >>> found = judge(blank, blank * 0, (5.0, 5.0), expected=1.0, agreement=None,
        ...               distance=None, density=None)
        >>> found.flags
        ('empty',)
    """
    limit = thresholds or Thresholds()
    found: dict[str, tuple[float, str]] = {}
    outlined = mask > 0
    if not outlined.any():
        found["empty"] = 1.0, "nothing was outlined"
    if agreement is not None:
        found["disagreement"] = (
            (1 - agreement) / limit.disagreement,
            f"predictions agree with Dice {agreement:.3f} only",
        )
    found["uncertain"] = (
        (1 - expected) / limit.uncertain,
        f"the probabilities let expect a Dice of {expected:.3f}",
    )
    if distance is not None:
        found["unfamiliar"] = (
            distance / limit.unfamiliar,
            f"features {distance:.1f} times as far beyond the typical distance from the training "
            "images as 95 % of images like them would be: another level, or another kind of scan?",
        )
    if spacing is not None and outlined.any():
        area = float(outlined.sum()) * spacing[0] * spacing[1] / 100
        logs = [p.log_area for p in profiles if p is not None and p.log_area is not None]
        low, high = _range(logs, limit.coverage)
        found["area"] = (
            _outside(math.log(area), (low, high)),
            f"{area:.0f} cm²; the training patients let expect {math.exp(low):.0f} to "
            f"{math.exp(high):.0f}",
        )
    if density is not None and math.isfinite(density):
        known = [p.density for p in profiles if p is not None and p.density is not None]
        low, high = _range(known, limit.coverage)
        found["density"] = (
            _outside(density, (low, high)),
            f"{density:.0f} HU; the training patients let expect {low:.0f} to {high:.0f}",
        )
    picture, edge = None, None
    if is_ct and spacing is not None:
        outside = outside_field(pixels, spacing)
        picture = look_at(pixels, spacing, outside)
        edge = touched_mm(outlined, outside, spacing)
        found |= _seen(picture, edge, limit)
    return _summed(found, picture, edge)


def flags_off(
    profiles: Sequence[TrainingProfile | None], voices: int, is_ct: bool
) -> dict[str, str]:
    """Return the flags that cannot go up in a run, and why.

    Args:
        profiles: What each member says of its training images.
        voices: Members times views.
        is_ct: Whether images are CT.

    Returns:
        Flag to reason.

    Example:
        >>> flags_off([None], 1, True)["disagreement"]
        'one network and one view; give several checkpoints, or --tta'
    """
    off: dict[str, str] = {}
    if voices < 2:
        off["disagreement"] = "one network and one view; give several checkpoints, or --tta"
    too_few = "on fewer than three cases, or without spacings"
    for flag, part, how in (
        ("unfamiliar", "features", "on fewer than four patients"),
        ("area", "log_area", too_few),
        ("density", "density", too_few),
    ):
        if all(p is None or getattr(p, part) is None for p in profiles):
            off[flag] = (
                "the checkpoints do not say what their training images looked like (they are of an "
                f"earlier version, or were trained {how})"
            )
    if not is_ct:
        off |= dict.fromkeys(("cut", "edge", "arms", "metal", "density"), "the images are not CT")
    return off


def _seen(picture: Picture, edge: float, limit: Thresholds) -> Mapping[str, tuple[float, str]]:
    return {
        "cut": (
            picture.cut_mm / limit.cut_mm,
            f"{picture.cut_mm:.0f} mm of the body's outline lie on the edge of the field of view",
        ),
        "edge": (
            edge / limit.edge_mm,
            f"{edge:.0f} mm of the muscle's outline lie on the edge of the field of view",
        ),
        "arms": (
            picture.arms_cm2 / limit.arms_cm2,
            f"{picture.arms_cm2:.0f} cm² of arms beside the trunk",
        ),
        "metal": (
            picture.metal_mm2 / limit.metal_mm2,
            f"{picture.metal_mm2:.0f} mm² denser than bone: metal",
        ),
    }


def _summed(
    found: Mapping[str, tuple[float, str]], picture: Picture | None, edge: float | None
) -> Quality:
    """Weigh what was found.

    Disagreement and uncertainty order the cases also where no flag is up. Of the others only what
    lies beyond the threshold counts: the sight of an arm adds its weight and no more.
    """
    score = 0.0
    raised: list[tuple[float, str, str]] = []
    for flag, (severity, reason) in found.items():
        weight = FLAGS[flag][0]
        if flag in _CONTINUOUS:
            part = weight * min(severity, _MOST)
        elif severity < 1:
            part = 0.0
        else:
            graded = flag in ("unfamiliar", "area", "density")
            part = weight * (min(severity, _MOST) if graded else 1.0)
        score += part
        if severity >= 1:
            raised.append((part, flag, reason))
    raised.sort(key=lambda one: -one[0])
    return Quality(score, tuple(r[1] for r in raised), tuple(r[2] for r in raised), picture, edge)


def _range(spreads: Sequence[Spread], coverage: float) -> tuple[float, float]:
    """Return the widest range of all members; without any, no value is outside."""
    if not spreads:
        return -math.inf, math.inf
    lows, highs = zip(*(spread.interval(coverage) for spread in spreads), strict=True)
    return min(lows), max(highs)


def _outside(value: float, limits: tuple[float, float]) -> float:
    """Return how far out a value is: 1 at either limit, 0 in the middle."""
    low, high = limits
    if math.isinf(low):
        return 0.0
    half = (high - low) / 2
    return abs(value - (low + high) / 2) / half if half > 0 else float(value != low)
