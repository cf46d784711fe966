"""Each row of the table of user hooks names a test that exists, or says why there is none."""

import re
from pathlib import Path

HERE = Path(__file__).parent
PAGE = HERE.parents[1] / "docs" / "user_hooks.md"


def rows():
    lines = [line for line in PAGE.read_text().splitlines() if line.startswith("| ")]
    cells = [[cell.strip() for cell in line.strip("|").split(" | ")] for line in lines]
    return [row for row in cells if row[0] != "hook"]


def test_every_row_is_backed():
    defined = set()
    for path in HERE.glob("test_*.py"):
        defined |= set(re.findall(r"^def (test_\w+)", path.read_text(), re.M))
    assert len(rows()) > 25
    for row in rows():
        named = re.findall(r"`(test_\w+)`", " ".join(row))
        assert named or "not run" in " ".join(row), f"{row[0]} names no test and no reason"
        assert set(named) <= defined, f"{row[0]} names {set(named) - defined}"
