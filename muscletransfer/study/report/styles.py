"""How each arm is drawn: the same in every figure of a page."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from muscletransfer.study.report.drawing import SERIES, SOFT
from muscletransfer.study.results import Arm

__all__ = ["ArmStyle", "arm_styles"]

# One more than colours, so that no two of the first 42 arms share both.
_MARKERS = ("o", "s", "^", "D", "v", "P", "X")
_SCRATCH = ("--", ":", "-.")


@dataclass(frozen=True)
class ArmStyle:
    """Line of an arm.

    Args:
        label: Its short name.
        colour: Of line and marker.
        marker: Shape of the points.
        line: Style of the line; arms from scratch are broken.
    """

    label: str
    colour: str
    marker: str
    line: str

    @property
    def legend(self) -> str:
        """The name as a legend takes it: one that begins with ``_`` would be left out."""
        return f" {self.label}" if self.label.startswith("_") else self.label


def arm_styles(
    arms: Sequence[Arm], labels: Mapping[Arm, str], reference: str
) -> dict[Arm, ArmStyle]:
    """Give each arm a style; those from scratch are grey and broken.

    Args:
        arms: All arms of the page.
        labels: Their short names.
        reference: Source of the arms from scratch.

    Example:
        >>> one, two = Arm("random", "e", "d", "none"), Arm("jigsaw", "e", "d", "encoder")
        >>> styles = arm_styles([one, two], {one: "random", two: "jigsaw"}, "random")
        >>> styles[one].line, styles[two].line
        ('--', '-')
    """
    found, others, scratch = {}, 0, 0
    for arm in arms:
        if arm.source == reference:
            line = _SCRATCH[scratch % len(_SCRATCH)]
            found[arm] = ArmStyle(labels[arm], SOFT, _MARKERS[scratch % len(_MARKERS)], line)
            scratch += 1
        else:
            colour = SERIES[others % len(SERIES)]
            found[arm] = ArmStyle(labels[arm], colour, _MARKERS[others % len(_MARKERS)], "-")
            others += 1
    return found
