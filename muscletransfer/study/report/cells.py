"""Tables of the page: what a reader sees is rounded, what stands behind it is the whole number."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from typing import Any

__all__ = ["Cell", "Head", "count", "interval", "number", "p_value", "pill", "table", "text"]

_DASH = "\u2013"


@dataclass(frozen=True)
class Cell:
    """One cell.

    Args:
        html: What is shown; escaped already.
        value: What it is sorted by, with every digit; ``None`` sorts by what is shown.
        low: Lower end of an interval, with every digit.
        high: Upper end.
        kind: ``"text"``, ``"prose"`` or empty for numbers.
        title: Text that a pointer brings up.
    """

    html: str
    value: str | None = None
    low: str | None = None
    high: str | None = None
    kind: str = ""
    title: str = ""

    def render(self) -> str:
        """Return the cell as HTML."""
        found = f' class="{self.kind}"' if self.kind else ""
        for name in ("value", "low", "high"):
            given = getattr(self, name)
            found += "" if given is None else f' data-{name}="{escape(given)}"'
        found += f' title="{escape(self.title)}"' if self.title else ""
        return f"<td{found}>{self.html}</td>"


@dataclass(frozen=True)
class Head:
    """Heading of a column.

    Args:
        title: What it says.
        kind: ``"text"`` to sort as text.
    """

    title: str
    kind: str = ""


def text(value: object, *, prose: bool = False) -> Cell:
    """A cell of words."""
    return Cell(escape(str(value)), kind="prose" if prose else "text")


def count(value: Any) -> Cell:
    """A whole number."""
    return Cell(str(int(value)), str(int(value)))


def number(value: float, digits: int = 3, sign: bool = False) -> Cell:
    """A number; NaN is a dash, infinity its sign.

    Example:
        >>> number(0.91234).render()
        '<td data-value="0.91234">0.912</td>'
    """
    return Cell(shown(value, digits, sign), exact(value))


def interval(value: float, low: float, high: float, digits: int = 3, sign: bool = False) -> Cell:
    """A number with its interval.

    Example:
        >>> interval(0.9, 0.85, 0.95, 2).html
        '0.90 <span class="range">0.85 to 0.95</span>'
    """
    if math.isnan(value):
        return number(value)
    reach = f"{shown(low, digits, sign)} to {shown(high, digits, sign)}"
    if math.isinf(low) and math.isinf(high) and low < high:
        reach = "no interval"
    body = f'{shown(value, digits, sign)} <span class="range">{reach}</span>'
    return Cell(body, exact(value), exact(low), exact(high))


def p_value(value: float) -> Cell:
    """A p value; very small ones are a bound.

    Example:
        >>> p_value(0.00002).html
        '&lt;&nbsp;0.001'
    """
    return Cell("&lt;&nbsp;0.001" if value < 0.001 else f"{value:.3f}", exact(value))


def pill(words: str, tone: str = "", value: str | None = None, title: str = "") -> Cell:
    """A word set off in colour, which is never told by colour alone."""
    body = f'<span class="pill {tone}">{escape(words)}</span>'
    return Cell(body, value, kind="text", title=title)


def shown(value: float, digits: int, sign: bool = False) -> str:
    """A rounded number as text."""
    if math.isnan(value):
        return _DASH
    if math.isinf(value):
        return "\u221e" if value > 0 else "\u2212\u221e"
    rounded = f"{value:{'+' if sign else ''}.{digits}f}"
    return rounded.replace("-", "\u2212")


def exact(value: float) -> str:
    """Every digit, as scripts and programs read it; empty for NaN."""
    if math.isnan(value):
        return ""
    return ("Infinity" if value > 0 else "-Infinity") if math.isinf(value) else repr(float(value))


def table(
    ident: str,
    heads: Sequence[Head],
    rows: Sequence[Sequence[Cell]],
    *,
    find: bool = False,
    kind: str = "sortable",
) -> str:
    """Return a table that sorts by a click on a heading.

    Args:
        ident: Its id in the page.
        heads: One a column.
        rows: Cells, as many a row as there are headings.
        find: Put a box above it that filters its rows.
        kind: Class of the table; ``"sortable"`` sorts.
    """
    titles = "".join(
        f'<th scope="col"{f" class={head.kind}" if head.kind else ""}>'
        + (f'<button type="button">{escape(head.title)}</button>' if "sortable" in kind
           else escape(head.title))
        + "</th>"
        for head in heads
    )  # fmt: skip
    body = "\n".join("<tr>" + "".join(cell.render() for cell in row) + "</tr>" for row in rows)
    box = (
        f'<input class="find" type="search" data-table="{escape(ident)}" placeholder="Find rows" '
        'aria-label="Find rows">'
        if find
        else ""
    )
    return (
        f'{box}<div class="scroll"><table class="{kind}" id="{escape(ident)}"><thead><tr>{titles}'
        f"</tr></thead><tbody>{body}</tbody></table></div>"
    )
