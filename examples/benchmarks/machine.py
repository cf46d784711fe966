"""What a benchmark says of the machine it ran on, and how it sums up times."""

from __future__ import annotations

import os
import platform
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np


def describe() -> str:
    """Processor, cores, Python and the versions that matter for speed."""
    import lightning
    import torch

    cpu = platform.processor() or platform.machine()
    info = Path("/proc/cpuinfo")
    if info.is_file():
        names = [line for line in info.read_text().splitlines() if line.startswith("model name")]
        cpu = names[0].partition(":")[2].strip() if names else cpu
    gpu = f"{accelerator()}; " if accelerator() else ""
    return (
        f"{gpu}{cpu}, {cores()} cores, {torch.get_num_threads()} torch threads; "
        f"Python {platform.python_version()}, torch {torch.__version__}, "
        f"lightning {lightning.__version__}"
    )


def cores() -> int:
    """Cores that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def precision_of_ours() -> str:
    """A sentence on what the library computes in here by itself."""
    from muscletransfer.hardware import recommended_precision

    found = recommended_precision()
    where = accelerator() or "this processor"
    reason = f", since {where} multiplies no bf16" if found == "32-true" else ""
    return f"Ours computes in {found} here, its own choice{reason}."


def accelerator() -> str:
    """Name of the GPU that torch sees, or nothing."""
    import torch

    return torch.cuda.get_device_name() if torch.cuda.is_available() else ""


def spread(times: Sequence[float], unit: float = 1e3, name: str = "ms") -> str:
    """Median and quartiles of times in seconds, in another unit."""
    low, middle, high = np.percentile(np.asarray(times) * unit, [25, 50, 75])
    return f"{middle:8.2f} {name} ({low:.2f} to {high:.2f})"


def quartiles(times: Sequence[float], unit: float = 1e3) -> str:
    """The quartiles of times in seconds, in another unit, as the note of their median."""
    low, high = np.percentile(np.asarray(times) * unit, [25, 75])
    return f"{low:.4g} to {high:.4g}"


def timed(work: Callable[[], object]) -> tuple[float, float]:
    """Wall and processor seconds of one call, finished child processes included."""
    wall, processor = time.perf_counter(), _processor_seconds()
    work()
    return time.perf_counter() - wall, _processor_seconds() - processor


def _processor_seconds() -> float:
    spent = os.times()
    return spent.user + spent.system + spent.children_user + spent.children_system


def peak_of(code: str) -> float:
    """Peak resident megabytes of a process of its own that runs some code (Linux)."""
    # Not ru_maxrss: that of a new process starts from the size of the one that started it.
    tail = "print([line for line in open('/proc/self/status') if 'VmHWM' in line][0].split()[1])\n"
    done = subprocess.run(
        [sys.executable, "-c", code + tail], capture_output=True, text=True, check=True
    )
    return float(done.stdout.split()[-1]) / 1024
