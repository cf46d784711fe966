"""Write docs/performance.md from the JSON files that the benchmarks wrote.

Run from a checkout::

    python examples/benchmarks/performance_page.py docs/performance docs/performance.md
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

from record import Figure

HEAD = """# Performance

Every figure on this page was written by the command printed beside it; both sides of a ratio ran
in turns in one run. Where a limit is missed, that is said. The figures are of one machine and say
nothing of another: run the command.
"""


def section(record: dict[str, Any]) -> str:
    """One benchmark as Markdown."""
    lines = [f"## {record['title']}", "", f"`{record['command']}`", ""]
    lines += [f"{record['machine']}; load {record['load']} at the end; {record['date']}.", ""]
    lines += ["| figure | measured | wanted | |", "|---|---|---|---|"]
    for values in record["figures"]:
        figure = Figure(**values)
        verdict = {None: "", True: "met", False: "**missed**"}[figure.met]
        measured = f"{figure.value:.4g} {figure.unit}".strip()
        if figure.note:
            measured += f" ({figure.note.strip('()')})"
        lines.append(f"| {figure.what} | {measured} | {figure.limit} | {verdict} |")
    for remark in record.get("remarks", []):
        lines += ["", remark]
    for title, text in record.get("tables", {}).items():
        lines += ["", f"**{title}**", "", "```text", text.rstrip(), "```"]
    return "\n".join(lines) + "\n"


def page(folder: Path) -> str:
    """The whole page."""
    records = [json.loads(path.read_text()) for path in sorted(folder.glob("*.json"))]
    if not records:
        raise SystemExit(f"{folder} has no JSON file; run the benchmarks with --json first.")
    figures = [Figure(**values) for record in records for values in record["figures"]]
    judged = [figure for figure in figures if figure.met is not None]
    missed = [figure for figure in judged if not figure.met]
    summary = f"{len(judged) - len(missed)} of {len(judged)} limits are met."
    if missed:
        summary += " Missed: " + "; ".join(f"{figure.what}" for figure in missed) + "."
    gpus = sorted({record["accelerator"] for record in records if record.get("accelerator")})
    if gpus:
        summary += f" Some were measured on {' and '.join(gpus)}; each says on what."
    else:
        summary += (
            " No GPU was at hand, so no figure is of one: the same commands take a GPU where torch"
            " sees one, and say so."
        )
    return "\n".join([HEAD, summary, "", *map(section, records)])


def main() -> None:
    """Write the page."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("page", type=Path)
    args = parser.parse_args()
    args.page.write_text(page(args.folder))
    print(args.page)


if __name__ == "__main__":
    main()
