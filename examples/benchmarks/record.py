"""The figures of one run of a benchmark: printed, and written as JSON for docs/performance.md."""

from __future__ import annotations

import argparse
import json
import os
import shlex
import sys
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from pathlib import Path

from machine import accelerator, describe

__all__ = ["Figure", "Record", "add_json_argument"]


@dataclass(frozen=True)
class Figure:
    """One figure.

    Args:
        what: What it is, in a few words.
        value: The figure.
        unit: Its unit; empty for a ratio.
        wanted: The limit, or ``None`` for a figure without one.
        least: Whether the limit is the least that is wanted, not the most.
        note: What the reader must know, such as the spread.
    """

    what: str
    value: float
    unit: str = ""
    wanted: float | None = None
    least: bool = True
    note: str = ""

    @property
    def met(self) -> bool | None:
        """Whether the limit is met."""
        if self.wanted is None:
            return None
        return self.value >= self.wanted if self.least else self.value <= self.wanted

    @property
    def limit(self) -> str:
        """The limit in words."""
        if self.wanted is None:
            return ""
        return f"at {'least' if self.least else 'most'} {self.wanted:g} {self.unit}".strip()

    def __str__(self) -> str:
        verdict = {None: "", True: f" ({self.limit}: met)", False: f" ({self.limit}: MISSED)"}
        return f"{self.what}: {self.value:.4g} {self.unit}".rstrip() + verdict[self.met]


@dataclass
class Record:
    """All figures of one run.

    Args:
        title: What the benchmark compares.

    Attributes:
        figures: What was measured.
        remarks: What the reader must know besides, such as a side that was left out.
        tables: Further results as text, by title.
    """

    title: str
    figures: list[Figure] = field(default_factory=list)
    remarks: list[str] = field(default_factory=list)
    tables: dict[str, str] = field(default_factory=dict)

    def add(
        self,
        what: str,
        value: float,
        unit: str = "",
        at_least: float | None = None,
        at_most: float | None = None,
        note: str = "",
    ) -> None:
        """Print a figure and keep it."""
        wanted = at_most if at_least is None else at_least
        figure = Figure(what, float(value), unit, wanted, at_least is not None, note)
        self.figures.append(figure)
        print(figure, flush=True)

    def remark(self, text: str) -> None:
        """Print a sentence and keep it."""
        self.remarks.append(text)
        print(text, flush=True)

    def table(self, title: str, text: str) -> None:
        """Print a table and keep it."""
        self.tables[title] = text
        print(f"\n{title}\n{text}", flush=True)

    def write(self, path: Path | None) -> None:
        """Write the record, when a path was given."""
        if path is None:
            return
        # The run's own arguments, without the place that the figures go to.
        told = [word for word in sys.argv[1:] if word not in ("--json", str(path))]
        script = Path(sys.argv[0]).name
        record = {
            "title": self.title,
            "command": shlex.join(["python", f"examples/benchmarks/{script}", *told]),
            "machine": describe(),
            "load": round(os.getloadavg()[0], 2),
            "date": datetime.now(UTC).date().isoformat(),
            "accelerator": accelerator(),
            "figures": [asdict(figure) for figure in self.figures],
            "remarks": self.remarks,
            "tables": self.tables,
        }
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(record, indent=1) + "\n")


def add_json_argument(parser: argparse.ArgumentParser) -> None:
    """Let a benchmark take ``--json PATH``."""
    parser.add_argument("--json", type=Path, help="write the figures here, for performance_page.py")
