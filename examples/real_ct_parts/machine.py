"""What stages were made on and with, and the words for it: no host name, no path."""

from __future__ import annotations

import importlib.metadata
import json
import os
import platform
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch

from muscletransfer.hardware import recommended_precision

PACKAGES = (
    "muscletransfer",
    "torch",
    "lightning",
    "timm",
    "segmentation-models-pytorch",
    "torchmetrics",
    "SimpleITK",
    "numpy",
)


def describe_machine() -> dict[str, Any]:
    """Return processor, threads, precision, versions, load and date."""
    return {
        "processor": _processor(),
        "cores": os.cpu_count(),
        "threads": torch.get_num_threads(),
        "load": max(os.getloadavg()),
        "precision": recommended_precision("cpu"),
        "python": platform.python_version(),
        "system": platform.system(),
        "versions": {name: importlib.metadata.version(name) for name in PACKAGES},
        "date": time.strftime("%Y-%m-%d", time.gmtime()),
    }


def told(stages: Sequence[dict[str, Any]], page: dict[str, Any]) -> str:
    """Say on what and with what stages were made, each machine and set of versions once.

    Args:
        stages: Results of stages; those made before they kept their ``machine`` have none.
        page: What the page is written on, told where stages do not say.
    """
    groups: dict[str, list[dict[str, Any]]] = {}
    for stage in stages:
        if "machine" in stage:
            same = {k: v for k, v in stage["machine"].items() if k not in ("load", "date")}
            groups.setdefault(json.dumps(same), []).append(stage["machine"])
    parts = [
        (f"{_count(len(found), 'stage')}: " if len(found) < len(stages) else "") + _words(found)
        for found in groups.values()
    ]
    unknown = sum("machine" not in stage for stage in stages)
    if unknown:
        parts.append(
            f"Machine, versions, load and date of {unknown} of the {len(stages)} stages were not "
            f"recorded; the page was written on {_words([page])}"
        )
    return ". ".join(parts) + "."


def _words(found: Sequence[dict[str, Any]]) -> str:
    one = found[0]
    dates = sorted({machine["date"] for machine in found})
    load = max(machine["load"] for machine in found)
    shared = ""
    if load > one["cores"]:
        shared = f" shared with other work (load up to {load:.1f}, so times are long)"
    versions = ", ".join(f"{name} {version}" for name, version in one["versions"].items())
    return (
        f"{dates[0]}{f' to {dates[-1]}' if len(dates) > 1 else ''}, {one['processor']}, "
        f"{_count(one['cores'], 'core')}{shared}, {_count(one['threads'], 'thread')} a process, "
        f"no accelerator, {one['precision']}; Python {one['python']} on {one['system']}; {versions}"
    )


def _count(number: int, what: str) -> str:
    return f"{number} {what}" + "s" * (number != 1)


def _processor() -> str:
    info = Path("/proc/cpuinfo")
    if info.is_file():
        for line in info.read_text().splitlines():
            if line.startswith("model name"):
                return line.split(":", 1)[1].strip()
    return platform.processor() or platform.machine()
