"""What a run was made on and with: no host name, no path."""

from __future__ import annotations

import importlib.metadata
import os
import platform
import time
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


def _processor() -> str:
    info = Path("/proc/cpuinfo")
    if info.is_file():
        for line in info.read_text().splitlines():
            if line.startswith("model name"):
                return line.split(":", 1)[1].strip()
    return platform.processor() or platform.machine()
