"""`docs/results.md`, one page of parts; each example writes its own and leaves the others."""

from __future__ import annotations

import re
from pathlib import Path

#: Parts in the order they stand on the page.
PARTS = ("study_phantom", "study_cardiac_mr", "real_ct")

HEAD = """\
# Results

What the library's own examples measured, each part written by the run that made it: no number here
was typed by hand. Synthetic images are called synthetic, and what a part cannot show is said in it.
"""


def put_part(page: Path, name: str, text: str) -> Path:
    """Write one part of the page, whole or not at all.

    Args:
        page: The page; made if need be.
        name: One of `PARTS`.
        text: Markdown that begins with a heading of the first level; all its headings go one level
            down.

    Returns:
        The page.
    """
    kept = _parts(page.read_text(encoding="utf-8")) if page.is_file() else {}
    kept[name] = re.sub(r"^(#+ )", r"#\1", text.strip(), flags=re.M)
    chosen = [f"{_begin(part)}\n\n{kept[part]}\n" for part in PARTS if part in kept]
    page.parent.mkdir(parents=True, exist_ok=True)
    temporary = page.with_suffix(".partial")
    temporary.write_text("\n".join([HEAD, *chosen]), encoding="utf-8")
    return temporary.replace(page)


def _begin(part: str) -> str:
    return f"<!-- part: {part} -->"


def _parts(text: str) -> dict[str, str]:
    pieces = re.split(r"^<!-- part: (\w+) -->\n", text, flags=re.M)
    return {name: body.strip() for name, body in zip(pieces[1::2], pieces[2::2], strict=True)}
