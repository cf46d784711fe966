"""Figures as files and as part of a page that is read in the light and in the dark."""

from __future__ import annotations

import io
import re
from dataclasses import dataclass, field
from html import escape
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["BAND", "GRID", "PAPER", "SERIES", "SOFT", "Drawing", "drawn"]

#: Colours of arms in figures (Okabe & Ito 2008, the light ones darkened for thin lines).
SERIES = ("#0072b2", "#d55e00", "#009e73", "#b0588f", "#b87900", "#2f8fc4")
SOFT, GRID, BAND, PAPER = "#59636e", "#d8dee4", "#b6bec8", "#fefefe"

# In the page a colour is a variable that follows the reader's light or dark; those of figures
# that other pages draw too are mapped as well.
_IN_PAGE = {
    **{colour: f"var(--s{i})" for i, colour in enumerate(SERIES, start=1)},
    **{SOFT: "var(--soft)", GRID: "var(--line)", BAND: "var(--band)", PAPER: "none"},
    **{"#000000": "currentColor", "#444444": "var(--soft)", "#999999": "var(--band)"},
    **{"#e69f00": "var(--s5)", "#56b4e9": "var(--s6)"},
}


@dataclass(frozen=True, eq=False)
class Drawing:
    """A figure that was drawn.

    Args:
        name: Of its files, without ending.
        svg: As a file, on white.
        png: As a file.
        inline: For the page: HTML.
    """

    name: str
    svg: str = field(repr=False)
    png: bytes = field(repr=False)
    inline: str = field(repr=False)


def drawn(figure: Figure, name: str, alt: str) -> Drawing:
    """Render a figure.

    The same figure gives the same bytes.

    Args:
        figure: Drawn within ``report.plain_text``; its background is taken out of the page's copy.
        name: Of its files and of its parts in the page, unique in a page.
        alt: What it shows, for those who do not see it.

    Returns:
        The drawing.
    """
    import matplotlib

    figure.patch.set_facecolor(PAPER)
    for axes in figure.axes:
        axes.patch.set_visible(False)
    figure.draw_without_rendering()
    figure.set_layout_engine("none")  # laid out once is enough for both files
    picture = io.BytesIO()
    figure.savefig(picture, format="png", dpi=150, facecolor="white", metadata={"Software": None})
    text = io.StringIO()
    with matplotlib.rc_context({"svg.fonttype": "none", "svg.hashsalt": name}):
        figure.savefig(text, format="svg", metadata={"Date": None, "Creator": None})
    svg = text.getvalue()
    file = svg.replace(PAPER, "#ffffff")
    return Drawing(name, file, picture.getvalue(), _inline(svg, name, alt))


def _inline(svg: str, name: str, alt: str) -> str:
    """Make an SVG file part of a page: no ids or addresses that could meet those of others."""
    body = svg[svg.index("<svg") :]
    body = re.sub(r"<metadata>.*?</metadata>", "", body, flags=re.DOTALL)
    head, rest = body.split(">", 1)
    box = re.search(r'viewBox="[^"]*"', head)
    assert box is not None  # matplotlib always writes one
    rest = re.sub(r'\bid="', f'id="{name}-', rest)
    rest = re.sub(r'(?:xlink:)?href="#', f'href="#{name}-', rest)
    rest = rest.replace("url(#", f"url(#{name}-")
    for colour, variable in _IN_PAGE.items():
        rest = rest.replace(f": {colour}", f": {variable}")
    return f'<svg role="img" aria-label="{escape(alt)}" {box.group()}>{rest.strip()}'
