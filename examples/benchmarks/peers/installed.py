"""Whether a peer is installed; a benchmark leaves it out and says so where it is not."""

from __future__ import annotations

import importlib.util
from importlib.metadata import version
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from record import Record

HOW = "python examples/benchmarks/peers/environment.py FOLDER makes an environment that has it"


def installed(record: Record, module: str, package: str | None = None) -> bool:
    """Tell whether a peer can be imported, and put into the record which version, or that not."""
    package = package or module
    if importlib.util.find_spec(module) is None:
        record.remark(f"{package} is not installed, so it is left out here; {HOW}.")
        return False
    record.remark(f"{package} {version(package)}.")
    return True
