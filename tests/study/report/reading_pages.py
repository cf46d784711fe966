"""Tables of a page as values, the way a program would read them."""

from __future__ import annotations

from html.parser import HTMLParser
from typing import Any


class Tables(HTMLParser):
    """All tables of a page by id; each row a list of cells ``{text, value, low, high}``."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.tables: dict[str, list[list[dict[str, Any]]]] = {}
        self.addresses: list[tuple[str, str, str]] = []
        self.scripts = 0
        self._rows: list[list[dict[str, Any]]] | None = None
        self._cell: dict[str, Any] | None = None
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = {name: value or "" for name, value in attrs}
        self.scripts += tag == "script"
        for name in ("src", "href", "action", "data", "srcset", "poster", "xlink:href"):
            if name in given:
                self.addresses.append((tag, name, given[name]))
        if tag == "table":
            self._rows = self.tables.setdefault(given["id"], [])
        elif tag == "tr" and self._rows is not None:
            self._rows.append([])
        elif tag == "td" and self._rows is not None:
            self._cell = {"text": ""}
            for name in ("value", "low", "high"):
                if f"data-{name}" in given:
                    text = given[f"data-{name}"]
                    self._cell[name] = float(text) if _is_number(text) else text
            self._rows[-1].append(self._cell)

    def handle_endtag(self, tag: str) -> None:
        if tag == "td":
            self._cell = None
        elif tag == "table" and self._rows is not None:
            self._rows[:] = [row for row in self._rows if row]
            self._rows = None

    def handle_data(self, data: str) -> None:
        if self._cell is not None:
            self._cell["text"] += data


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True
