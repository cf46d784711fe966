"""One HTML file with everything in it: text, tables, figures as embedded PNG."""

from __future__ import annotations

import base64
import html
import io
import os
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["Page"]

_STYLE = """
:root { color-scheme: light; --ink: #1b1f24; --soft: #59636e; --line: #d8dee4; --mark: #fff4d6; }
* { box-sizing: border-box; }
body { margin: 0 auto; max-width: 62rem; padding: 2rem 1.25rem 4rem; color: var(--ink);
  font: 16px/1.55 system-ui, -apple-system, "Segoe UI", Roboto, sans-serif; }
h1 { font-size: 1.7rem; margin: 0 0 .25rem; } h2 { font-size: 1.2rem; margin: 2.2rem 0 .5rem; }
p { margin: .5rem 0; } .note { background: var(--mark); padding: .75rem 1rem; border-radius: 6px; }
.scroll { overflow-x: auto; } table { border-collapse: collapse; margin: .75rem 0; min-width: 60%; }
th, td { padding: .35rem .75rem; border-bottom: 1px solid var(--line); text-align: right;
  font-variant-numeric: tabular-nums; white-space: nowrap; }
th:first-child, td:first-child { text-align: left; }
thead th { border-bottom: 2px solid var(--ink); }
table.prose td, table.prose th { text-align: left; white-space: normal; vertical-align: top;
  overflow-wrap: anywhere; min-width: 6rem; }
table.prose td:first-child { white-space: nowrap; min-width: 0; }
table.prose td:last-child { min-width: 14rem; } table.prose { width: 100%; }
figure { margin: 1rem 0; } figure img { max-width: 100%; height: auto; display: block; }
figcaption { color: var(--soft); font-size: .92rem; margin-top: .35rem; }
pre { background: #f6f8fa; padding: .75rem 1rem; border-radius: 6px; overflow-x: auto;
  font-size: .85rem; line-height: 1.4; }
"""


class Page:
    """A page built from top to bottom and written as one file.

    .. versionadded:: 0.1

    Args:
        title: The page's heading and window title.
        subtitle: A line under the heading.

    Example:
        >>> page = Page("Result")
        >>> page.table([{"source": "random", "Dice": 0.91}])
        >>> "<td>random</td><td>0.91</td>" in page.render()
        True
    """

    def __init__(self, title: str, subtitle: str = "") -> None:
        self.title = title
        self._parts = [f"<h1>{html.escape(title)}</h1>"]
        if subtitle:
            self._parts.append(f"<p>{html.escape(subtitle)}</p>")

    def heading(self, text: str) -> None:
        """Start a section."""
        self._parts.append(f"<h2>{html.escape(text)}</h2>")

    def text(self, text: str, *, note: bool = False) -> None:
        """Add a paragraph; ``note`` sets it off, for what a reader must not miss."""
        kind = ' class="note"' if note else ""
        self._parts.append(f"<p{kind}>{html.escape(text)}</p>")

    def preformatted(self, text: str) -> None:
        """Add text as it stands, in a fixed-width font."""
        self._parts.append(f"<pre>{html.escape(text)}</pre>")

    def table(self, rows: Sequence[Mapping[str, object]], *, prose: bool = False) -> None:
        """Add a table whose columns are the keys of the first row.

        Args:
            rows: One mapping a row; values are shown with ``str``.
            prose: The cells hold sentences: break lines, and align to the left.
        """
        if not rows:
            self.text("No rows.")
            return
        kind = ' class="prose"' if prose else ""
        head = "".join(f"<th>{html.escape(str(name))}</th>" for name in rows[0])
        body = "".join(
            "<tr>"
            + "".join(f"<td>{html.escape(str(row[name]))}</td>" for name in rows[0])
            + "</tr>"
            for row in rows
        )
        self._parts.append(
            f'<div class="scroll"><table{kind}><thead><tr>{head}</tr></thead>'
            f"<tbody>{body}</tbody></table></div>"
        )

    def figure(self, figure: Figure, caption: str, alt: str | None = None) -> None:
        """Embed a matplotlib figure as PNG with a caption below it."""
        buffer = io.BytesIO()
        figure.savefig(buffer, format="png", dpi=130)
        data = base64.b64encode(buffer.getvalue()).decode("ascii")
        self._parts.append(
            f'<figure><img alt="{html.escape(alt or caption)}" src="data:image/png;base64,{data}">'
            f"<figcaption>{html.escape(caption)}</figcaption></figure>"
        )

    def render(self) -> str:
        """Return the whole page as HTML."""
        parts = "\n".join(self._parts)
        return (
            '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
            '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
            f"<title>{html.escape(self.title)}</title>\n<style>{_STYLE}</style>\n</head>\n"
            f"<body>\n{parts}\n</body>\n</html>\n"
        )

    def write(self, path: str | os.PathLike[str]) -> Path:
        """Write the page, whole or not at all.

        Args:
            path: The file to write; its folder is made if needed.

        Returns:
            The path written.
        """
        target = Path(path)
        target.parent.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(dir=target.parent, suffix=".html")
        try:
            with os.fdopen(handle, "w", encoding="utf-8") as file:
                file.write(self.render())
            os.chmod(name, 0o644)
            os.replace(name, target)
        except BaseException:
            Path(name).unlink(missing_ok=True)
            raise
        return target
