"""The page: sections, text, figures, in the order in which a person reads them."""

from __future__ import annotations

import re
from collections.abc import Iterable
from html import escape

from muscletransfer.study.report.drawing import Drawing
from muscletransfer.study.report.look import SCRIPT, STYLE

__all__ = ["StudyPage", "folded", "paragraph", "wide_figure"]


class StudyPage:
    """A page that is built from top to bottom.

    Args:
        title: Heading and window title.
        subtitle: A line under the heading.

    Example:
        >>> page = StudyPage("A & B", "")
        >>> page.section("Curves")
        >>> '<a href="#section-curves">Curves</a>' in page.render() and "A &amp; B" in page.render()
        True
    """

    def __init__(self, title: str, subtitle: str) -> None:
        self.title, self.subtitle = title, subtitle
        self.top: list[str] = []
        self.parts: list[str] = []
        self.links: list[tuple[str, str]] = []

    def section(self, title: str) -> None:
        """Start a section that the links at the top lead to."""
        ident = "section-" + re.sub(r"[^a-z]+", "-", title.lower()).strip("-")
        self.links.append((ident, title))
        self.parts.append(f'<h2 id="{ident}">{escape(title)}</h2>')

    def heading(self, title: str) -> None:
        """Start a part of a section."""
        self.parts.append(f"<h3>{escape(title)}</h3>")

    def text(self, words: str, kind: str = "") -> None:
        """Add a paragraph."""
        self.parts.append(paragraph(words, kind))

    def add(self, *html: str) -> None:
        """Add what is HTML already."""
        self.parts += html

    def figures(self, drawn: Iterable[tuple[Drawing, str]], kind: str = "") -> None:
        """Add figures side by side, as many as fit, each with its caption."""
        cells = "".join(_figure(drawing, caption) for drawing, caption in drawn)
        if cells:
            self.parts.append(f'<div class="grid {kind}">{cells}</div>')

    def render(self) -> str:
        """Return the whole page."""
        links = "".join(f'<a href="#{ident}">{escape(title)}</a>' for ident, title in self.links)
        parts = [
            f"<h1>{escape(self.title)}</h1>",
            f'<p class="soft">{escape(self.subtitle)}</p>',
            *self.top,
            f'<nav aria-label="Sections">{links}</nav>',
            *self.parts,
        ]
        return (
            '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
            '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
            '<link rel="icon" href="data:,">\n'
            f"<title>{escape(self.title)}</title>\n<style>{STYLE}</style>\n</head>\n<body>\n"
            + "\n".join(parts)
            + f"\n<script>{SCRIPT}</script>\n</body>\n</html>\n"
        )


def paragraph(words: str, kind: str = "") -> str:
    """Return a paragraph."""
    return f"<p{f' class={chr(34)}{kind}{chr(34)}' if kind else ''}>{escape(words)}</p>"


def folded(title: str, *html: str, opened: bool = False, ident: str = "") -> str:
    """Return a part that opens by a click."""
    name = f' id="{escape(ident)}"' if ident else ""
    return (
        f"<details{name}{' open' if opened else ''}><summary>{escape(title)}</summary>"
        + "".join(html)
        + "</details>"
    )


def wide_figure(drawing: Drawing, caption: str) -> str:
    """Return one figure by itself."""
    return f'<div class="wide">{_figure(drawing, caption)}</div>'


def _figure(drawing: Drawing, caption: str) -> str:
    return (
        f'<figure id="figure-{escape(drawing.name)}">{drawing.inline}'
        f"<figcaption>{escape(caption)}</figcaption></figure>"
    )
