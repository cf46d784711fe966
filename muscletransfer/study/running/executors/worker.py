"""A worker process: reads tasks from its driver, carries them out one by one, and tells the end.

It stays for many tasks, so that imports are paid for once, and never outlives its driver.
"""

from __future__ import annotations

import contextlib
import faulthandler
import json
import os
import signal
import sys
from dataclasses import asdict
from queue import SimpleQueue
from threading import Thread
from typing import BinaryIO

__all__ = ["main"]

_DIE_WITH_PARENT = 1  # PR_SET_PDEATHSIG


def main(driver: int) -> None:
    """Serve the driver until it closes the pipe.

    Args:
        driver: Its process number.
    """
    _die_with(driver)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the driver's to answer
    tasks = os.fdopen(os.dup(0), "rb")
    reports = os.fdopen(os.dup(1), "wb", buffering=0)
    # A body that reads or prints must not disturb the talk.
    with open(os.devnull, "rb") as nothing:
        os.dup2(nothing.fileno(), 0)
    os.dup2(2, 1)
    faulthandler.enable()
    lines: SimpleQueue[bytes] = SimpleQueue()
    Thread(target=_listen, args=(tasks, lines), daemon=True).start()

    from muscletransfer.study.running.executors.base import Task
    from muscletransfer.study.running.performing import pass_over_imports, perform

    while True:
        report = perform(Task.from_plain(json.loads(lines.get())))
        reports.write(json.dumps(asdict(report)).encode() + b"\n")
        pass_over_imports()


def _listen(tasks: BinaryIO, lines: SimpleQueue[bytes]) -> None:
    """Hand lines on; when the driver has gone or wants an end, end at once, whatever runs."""
    for line in tasks:
        lines.put(line)
    os._exit(0)


def _die_with(driver: int) -> None:
    """Ask Linux to kill this process with its driver, even while it computes without a pause."""
    if sys.platform.startswith("linux"):
        with contextlib.suppress(ImportError, OSError, AttributeError):  # the pipe's end must do
            import ctypes

            ctypes.CDLL(None).prctl(_DIE_WITH_PARENT, signal.SIGKILL)
        if os.getppid() != driver:  # it died before the call
            os._exit(0)
