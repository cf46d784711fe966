"""The page is one self-contained file, escaped, written whole or not at all."""

import re
from html.parser import HTMLParser
from pathlib import Path

import pytest
from matplotlib.figure import Figure

from muscletransfer.report import Page


class _Tags(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.seen: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.seen.append(tag)
        if tag not in {"meta", "img"}:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


def build() -> Page:
    page = Page("A <title>", "below")
    page.heading("Numbers")
    page.text("5 < 10 & so on", note=True)
    page.table([{"source": "<random>", "Dice": 0.9}, {"source": "jigsaw", "Dice": 0.95}])
    page.preformatted("muscletransfer demo")
    figure = Figure()
    figure.subplots().plot([1, 2])
    page.figure(figure, 'a "caption"')
    return page


def test_page_is_balanced_escaped_and_self_contained() -> None:
    text = build().render()
    tags = _Tags()
    tags.feed(text)
    assert tags.open == []
    assert tags.seen.count("img") == 1
    assert "<random>" not in text
    assert "&lt;random&gt;" in text
    assert not re.search(r'(src|href)="(?!data:)', text)


def test_empty_table_says_so() -> None:
    page = Page("t")
    page.table([])
    assert "No rows." in page.render()


def test_write_leaves_nothing_half_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    page = build()
    target = page.write(tmp_path / "out" / "report.html")
    before = target.read_text()

    def broken(self: Page) -> str:
        raise RuntimeError("no more disk")

    monkeypatch.setattr(Page, "render", broken)
    with pytest.raises(RuntimeError, match="disk"):
        page.write(target)
    assert target.read_text() == before
    assert [p.name for p in target.parent.iterdir()] == ["report.html"]
