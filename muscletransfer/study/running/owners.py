"""Who a process is, so that another can tell, later and exactly, whether it still lives."""

from __future__ import annotations

import contextlib
import hashlib
import os
import platform
import socket
import subprocess
from dataclasses import dataclass
from pathlib import Path

__all__ = ["Owner", "is_dead", "is_mark_of_dead", "process_mark", "this_process"]


@dataclass(frozen=True)
class Owner:
    """A process, told apart from a later one with the same number.

    Args:
        host: Name of the machine, for people.
        machine: The machine's running system: process numbers mean something only within it. Two
            containers, or two boots of one computer, differ.
        pid: Process number.
        started: When the process started, as the system says it.
    """

    host: str
    machine: str
    pid: int
    started: str


def this_process() -> Owner:
    """Return the process that asks.

    Example:
        >>> this_process().pid == os.getpid()
        True
    """
    return Owner(socket.gethostname(), _machine(), os.getpid(), _started(os.getpid()) or "")


def is_dead(owner: Owner) -> bool | None:
    """Tell whether a process is gone.

    Returns:
        True or False for a process of this machine; None when it cannot be known from here.

    Example:
        >>> is_dead(this_process())
        False
    """
    if owner.machine != _machine() or not owner.started:
        return None
    return _started(owner.pid) != owner.started


def process_mark() -> str:
    """Return a short word for a file name that says which process made the file.

    Example:
        >>> process_mark().split("-")[0] == str(os.getpid())
        True
    """
    return f"{os.getpid()}-{hashlib.sha256(_machine().encode()).hexdigest()[:8]}"


def is_mark_of_dead(mark: str) -> bool:
    """Tell whether a mark is that of a process of this machine that is gone.

    Example:
        >>> is_mark_of_dead(process_mark())
        False
    """
    pid, _, machine = mark.partition("-")
    return machine == process_mark().partition("-")[2] and _started(int(pid)) is None


def _machine() -> str:
    parts = [socket.gethostname()]
    with contextlib.suppress(OSError):  # systems without /proc: the name must do
        parts.append(Path("/proc/sys/kernel/random/boot_id").read_text().strip())
        parts.append(os.readlink("/proc/self/ns/pid"))
    return " ".join(parts)


def _started(pid: int) -> str | None:
    """Return when a process started; None when there is none; "" when that cannot be known."""
    system = platform.system()
    if system == "Linux":
        try:
            text = Path(f"/proc/{pid}/stat").read_text()
        except (FileNotFoundError, ProcessLookupError):
            return None
        # The name in parentheses may hold spaces; the state is field 3, the start field 22.
        fields = text.rpartition(")")[2].split()
        return None if fields[0] in "ZX" else fields[19]
    if system == "Windows":
        return ""
    listed = subprocess.run(
        ["ps", "-o", "lstart=", "-p", str(pid)], capture_output=True, text=True, timeout=10
    )
    return listed.stdout.strip() or None
