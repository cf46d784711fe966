"""How the trunk of one patient differs from level to level: girth, fat, wall and back muscles."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeAlias

from muscletransfer.data.synthetic.levels import Level

__all__ = ["BUILDS", "Build"]

Points: TypeAlias = tuple[tuple[float, float], ...]

# Points are in mm of a man of 1.75 m, patient's left, with the centre of the vertebral body as the
# origin.
_BACK: Points = ((83.0, 58.0), (80.0, 71.0), (64.0, 82.0), (42.0, 87.5), (22.0, 87.0))
_FLOOR: Points = ((86.0, 40.0), (66.0, 33.0), (40.0, 24.0), (0.0, 20.0))
# In the chest the cavity reaches back beside the spine.
_GUTTER: Points = ((76.0, 50.0), (56.0, 49.0), (38.0, 33.0), (24.0, 14.0), (0.0, 8.0))
_BUTTOCK: Points = ((122.0, 44.0), (112.0, 70.0), (84.0, 92.0), (52.0, 94.0), (22.0, 80.0))
_PELVIS: Points = (
    (112.0, -28.0),
    (96.0, 0.0),
    (70.0, 18.0),
    (44.0, 8.0),
    (24.0, -8.0),
    (0.0, -16.0),
)


@dataclass(frozen=True)
class Build:
    """Proportions of the trunk at a level, relative to L3 unless said otherwise.

    Attributes:
        girth: Relative width and depth of the skin.
        fat: Relative thickness of the fat under the skin in front, at the sides and behind.
        rectus: Relative thickness of the rectus abdominis.
        lateral: Relative thickness of the lateral wall.
        lateral_end: Where the lateral wall ends, as a share of the way to the back.
        back: Border of the back (or buttock) muscles, from the side to the midline.
        stretch: Relative width and depth of the back muscles.
        floor: Back border of the cavity, from the side to the midline.
        inner_end: How much of the wall bounds the cavity, as a share of its length.
        skeleton_width: Half the width of the muscle wall in mm where bone sets it (the pelvis), or
            ``None`` where the girth does.
        psoas: Relative size of the psoas and its shift ``(size, dx, dy)``, or ``None``.
        quadratus: Relative size of the quadratus lumborum; 0 for none.
        vertebra: Relative size of the vertebra.
        transverse: Range of the reach of the transverse processes in mm.
    """

    girth: tuple[float, float] = (1.0, 1.0)
    fat: tuple[float, float, float] = (1.0, 1.0, 1.0)
    rectus: float = 1.0
    lateral: float = 1.0
    lateral_end: float = 1.0
    back: Points = _BACK
    stretch: tuple[float, float] = (1.0, 1.0)
    floor: Points = _FLOOR
    inner_end: float = 1.0
    skeleton_width: float | None = None
    psoas: tuple[float, float, float] | None = (1.0, 0.0, 0.0)
    quadratus: float = 1.0
    vertebra: float = 1.0
    transverse: tuple[float, float] = (38.0, 50.0)


#: The build of each level.
BUILDS: dict[Level, Build] = {
    "T12": Build(
        girth=(0.98, 1.0),
        fat=(0.62, 0.6, 0.7),
        rectus=0.7,
        lateral=0.66,
        stretch=(0.86, 0.9),
        floor=_GUTTER,
        psoas=None,
        quadratus=0.0,
        vertebra=0.86,
        transverse=(25.0, 31.0),
    ),
    "L1": Build(
        girth=(0.98, 0.99),
        fat=(0.75, 0.7, 0.8),
        rectus=0.8,
        lateral=0.74,
        stretch=(0.92, 0.94),
        floor=((80.0, 46.0), (58.0, 42.0), (36.0, 26.0), (0.0, 14.0)),
        psoas=(0.46, -3.0, 5.0),
        quadratus=0.42,
        vertebra=0.92,
        transverse=(30.0, 37.0),
    ),
    "L2": Build(
        girth=(0.98, 0.99),
        fat=(0.9, 0.85, 0.9),
        rectus=0.92,
        lateral=0.92,
        stretch=(0.96, 0.98),
        psoas=(0.74, -2.0, 3.0),
        quadratus=0.74,
        vertebra=0.96,
        transverse=(35.0, 45.0),
    ),
    "L3": Build(),
    "L4": Build(
        girth=(1.02, 1.0),
        fat=(1.1, 1.1, 1.15),
        rectus=1.0,
        lateral=0.82,
        lateral_end=0.84,
        stretch=(0.98, 0.98),
        psoas=(1.2, 4.0, -4.0),
        quadratus=0.95,
        vertebra=1.05,
        transverse=(38.0, 48.0),
    ),
    "S1": Build(
        girth=(1.01, 0.97),
        fat=(1.1, 1.2, 1.35),
        rectus=0.95,
        lateral=0.5,
        lateral_end=0.5,
        back=_BUTTOCK,
        floor=_PELVIS,
        inner_end=0.47,
        skeleton_width=138.0,
        psoas=(1.05, 14.0, -16.0),
        quadratus=0.0,
    ),
}
