"""What this machine has to share out: processors and GPUs, found without importing torch."""

from __future__ import annotations

import os
import shutil
import subprocess

from muscletransfer.processors import count_cpus

__all__ = ["count_cpus", "find_gpus", "thread_settings"]

_THREADS = (
    "OMP_NUM_THREADS",
    "MKL_NUM_THREADS",
    "OPENBLAS_NUM_THREADS",
    "ITK_GLOBAL_DEFAULT_NUMBER_OF_THREADS",
)


def find_gpus() -> tuple[str, ...]:
    """Return the GPUs that this process may use, as ``CUDA_VISIBLE_DEVICES`` names them.

    Example:
        >>> isinstance(find_gpus(), tuple)
        True
    """
    chosen = os.environ.get("CUDA_VISIBLE_DEVICES")
    if chosen is not None:
        return tuple(part.strip() for part in chosen.split(",") if part.strip() not in ("", "-1"))
    tool = shutil.which("nvidia-smi")
    if tool is None:
        return ()
    listed = subprocess.run([tool, "-L"], capture_output=True, text=True, timeout=60)
    lines = [line for line in listed.stdout.splitlines() if line.startswith("GPU ")]
    return tuple(str(number) for number in range(len(lines))) if not listed.returncode else ()


def thread_settings(threads: int | None, workers: int) -> dict[str, str]:
    """Return the environment that keeps workers from fighting over processors.

    Args:
        threads: Threads of one worker; by default the processors shared out evenly, unless the
            variable is set already.
        workers: How many work at once.

    Example:
        >>> thread_settings(2, workers=4)["OMP_NUM_THREADS"]
        '2'
    """
    if threads is not None:
        return dict.fromkeys(_THREADS, str(threads))
    share = str(max(1, count_cpus() // workers))
    return {name: os.environ.get(name, share) for name in _THREADS}
