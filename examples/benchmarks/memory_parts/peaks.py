"""Memory of this process (Linux), in megabytes."""

from __future__ import annotations

import json
from pathlib import Path

import torch


def _status(name: str) -> float:
    lines = Path("/proc/self/status").read_text().splitlines()
    return float(next(line for line in lines if line.startswith(name)).split()[1]) / 1024


def after_imports() -> float:
    """Resident now."""
    return _status("VmRSS")


def peaks(imported: float) -> str:
    """What was resident after the imports and at most, and what was taken of a GPU, as JSON."""
    found = {"after the imports": imported, "peak of resident memory": _status("VmHWM")}
    if torch.cuda.is_available():
        found["peak of GPU memory"] = torch.cuda.max_memory_allocated() / 2**20
    return json.dumps(found)
