"""The parts of a page: its text, and the code blocks that are run."""

from __future__ import annotations

import re
from dataclasses import dataclass

# Blocks of any other language (console, text, yaml, toml) are shown and not run.
RUN = ("python", "bash")
_FENCE = re.compile(rf"^```({'|'.join(RUN)})\n(.*?)^```[ ]*$\n?", re.M | re.S)
_OTHER_FENCE = re.compile(r"^(`{3,}|~{3,})([^\n]*)\n.*?^\1[ ]*$\n?", re.M | re.S)


@dataclass(frozen=True)
class Block:
    """A part of a page.

    Attributes:
        kind: ``"text"``, ``"python"`` or ``"bash"``.
        source: The part, without the fences of a code block.
        line: Where it begins in the page, from 0.
    """

    kind: str
    source: str
    line: int


def split_page(page: str) -> list[Block]:
    """Cut a Markdown page into text and the blocks that are run, in order.

    A block counts where its fence begins a line. What looks like one inside another fence (a page
    about Markdown) is text.
    """
    shown = [match.span() for match in _OTHER_FENCE.finditer(page) if match[2] not in RUN]
    parts: list[Block] = []
    end = 0

    def add(kind: str, source: str, start: int) -> None:
        if source.strip():
            parts.append(Block(kind, source, page.count("\n", 0, start)))

    for match in _FENCE.finditer(page):
        if any(start < match.start() < stop for start, stop in shown):
            continue
        add("text", page[end : match.start()], end)
        add(match[1], match[2], match.start())
        end = match.end()
    add("text", page[end:], end)
    return parts
