"""A worker process as its driver sees it."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
from collections.abc import Mapping
from queue import SimpleQueue
from threading import Thread

from muscletransfer.study.running.executors.base import Report, Task
from muscletransfer.study.running.executors.ranks import without_ranks

__all__ = ["WorkerProcess"]

_PATIENCE = 10.0  # seconds for the last words of a process that has ended
_START = (
    "import json, sys; sys.path[:] = json.loads(sys.argv[1]); "
    "from muscletransfer.study.running.executors.worker import main; main(int(sys.argv[2]))"
)


class WorkerProcess:
    """Starts a worker, gives it tasks, and puts what it reports into a queue.

    Args:
        device: The GPU it may see (``CUDA_VISIBLE_DEVICES``), ``""`` for none; None leaves it open.
        settings: Further environment.
        ended: Where reports go.
    """

    def __init__(
        self, device: str | None, settings: Mapping[str, str], ended: SimpleQueue[Report]
    ) -> None:
        self.device = device
        visible = {} if device is None else {"CUDA_VISIBLE_DEVICES": device}
        self._told: set[str] = set()
        self._ended = ended
        # Not `multiprocessing`: a body may start processes of its own, and a script without a
        # guard around its main part must not run again. A session of its own: what a body starts
        # ends with its worker, and Ctrl-C reaches the driver alone.
        self._process = subprocess.Popen(
            [sys.executable, "-c", _START, json.dumps(sys.path), str(os.getpid())],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env={**without_ranks(os.environ), **settings, **visible},
            start_new_session=True,
        )
        self._listener = Thread(target=self._listen, name="study-worker", daemon=True)
        self._listener.start()

    def give(self, task: Task) -> None:
        """Send a task; a worker that has died meanwhile is found by the next look at it."""
        assert self._process.stdin is not None
        with contextlib.suppress(BrokenPipeError):
            self._process.stdin.write(json.dumps(task.plain()).encode() + b"\n")
            self._process.stdin.flush()

    def is_alive(self) -> bool:
        """Tell whether the process runs."""
        return self._process.poll() is None

    def has_told(self, working: str) -> bool:
        """Tell, of a process that was killed, whether it had reported a task before."""
        return working in self._told

    def how_it_died(self) -> str:
        """Return what the system says of its end."""
        code = self._process.returncode
        if code is not None and code < 0:
            return f"killed by {signal.Signals(-code).name}"
        return f"ended by itself with exit status {code}"

    def kill(self) -> None:
        """End it now, with all that it started."""
        with contextlib.suppress(ProcessLookupError, PermissionError):
            if hasattr(os, "killpg"):
                os.killpg(self._process.pid, signal.SIGKILL)
            else:
                self._process.kill()
        self._process.wait()
        self._listener.join(_PATIENCE)
        for pipe in (self._process.stdin, self._process.stdout):
            if pipe is not None:
                with contextlib.suppress(OSError):
                    pipe.close()

    def _listen(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            report = Report(**json.loads(line))
            self._told.add(report.working)
            self._ended.put(report)
