"""The executor ``local``: worker processes of this machine."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Sequence
from queue import Empty, SimpleQueue

from muscletransfer.errors import SettingError
from muscletransfer.study.running.executors.base import Executor, Report, Task
from muscletransfer.study.running.executors.devices import find_gpus, thread_settings
from muscletransfer.study.running.executors.process import WorkerProcess
from muscletransfer.study.running.jobs import Job

__all__ = ["LocalExecutor"]

_LOOK = 0.2  # seconds between two looks whether workers live
_ROUNDING = 1e-6


class LocalExecutor(Executor):
    """Runs so many jobs at a time, each in a process that is kept for the next one.

    Args:
        workers: How many at a time; by default as many as the devices hold, and one without any.
        devices: GPUs as ``CUDA_VISIBLE_DEVICES`` names them, shared out in turn; ``"auto"`` takes
            those there are; ``()`` hides all.
        runs_per_device: How many jobs of share 1 one device holds (see `Job.device_share`).
        threads: Threads of one worker; by default the processors shared out evenly, unless
            ``OMP_NUM_THREADS`` is set.

    Raises:
        SettingError: A number is below 1.

    Example:
        >>> executor = LocalExecutor(devices=("0", "1"), runs_per_device=4)
        >>> executor.workers
        8
    """

    def __init__(
        self,
        workers: int | None = None,
        devices: Sequence[str] | str = "auto",
        runs_per_device: int = 1,
        threads: int | None = None,
    ) -> None:
        settings = {"workers": workers, "runs_per_device": runs_per_device, "threads": threads}
        for name, value in settings.items():
            if value is not None and value < 1:
                raise SettingError(f"{name}={value!r}; wanted at least 1.")
        # None found is not the same as none wanted: then the bodies may look for themselves.
        self._hidden = devices != "auto"
        if devices == "auto":
            devices = find_gpus()
        elif isinstance(devices, str):
            devices = [part for part in devices.split(",") if part]
        self.devices = tuple(str(device) for device in devices)
        self.runs_per_device = runs_per_device
        self.workers = workers or max(1, len(self.devices) * runs_per_device)
        self.threads = threads
        self._alive: list[WorkerProcess] = []
        self._ended: SimpleQueue[Report] = SimpleQueue()
        self._busy: dict[str, tuple[WorkerProcess, float]] = {}  # by working folder

    def start(self) -> None:
        """Nothing yet: a worker starts with the first task that finds none idle."""

    def room(self, job: Job) -> bool:
        """Tell whether a worker and a device are free."""
        return len(self._busy) < self.workers and self._device_for(job) is not None

    def submit(self, task: Task) -> None:
        """Give a task to an idle worker of the emptiest device, starting one if need be."""
        device = self._device_for(task.job)
        if device is None or len(self._busy) >= self.workers:
            raise SettingError(f"there is no room for job {task.job.label}; ask room() before.")
        worker = self._idle(device)
        self._busy[task.working] = (worker, task.job.device_share)
        worker.give(task)

    def wait(self, timeout: float) -> list[Report]:
        """Return the reports that have come, and one for each worker that died at work."""
        found: list[Report] = []
        until = time.monotonic() + timeout
        while not found:
            left = until - time.monotonic()
            try:
                found.append(self._ended.get(timeout=max(0.0, min(left, _LOOK))))
            except Empty:
                found += self._deaths()
                if left <= 0:
                    break
        while not self._ended.empty():
            found.append(self._ended.get())
        for report in found:
            self._busy.pop(report.working, None)
        return found

    def stop(self) -> None:
        """Kill all workers with what they started."""
        for worker in self._alive:
            worker.kill()
        self._alive.clear()
        self._busy.clear()

    def _device_for(self, job: Job) -> str | None:
        """Return the device with the most room for a job, or None; "" where there is none."""
        if not self.devices:
            return ""
        used: Counter[str] = Counter()
        for worker, share in self._busy.values():
            used[worker.device or ""] += share  # type: ignore[assignment]
        device = min(self.devices, key=lambda d: used[d])
        fits = used[device] + job.device_share <= self.runs_per_device + _ROUNDING
        return device if fits else None

    def _idle(self, device: str) -> WorkerProcess:
        busy = [worker for worker, _ in self._busy.values()]
        idle = [w for w in self._alive if w not in busy and w.is_alive()]
        for worker in idle:
            if (worker.device or "") == device:
                return worker
        if len(busy) + len(idle) >= self.workers:  # those of other devices hold memory there
            idle[0].kill()
        self._alive = [w for w in self._alive if w.is_alive()]
        settings = thread_settings(self.threads, self.workers)
        visible = device if self.devices or self._hidden else None
        worker = WorkerProcess(visible, settings, self._ended)
        self._alive.append(worker)
        return worker

    def _deaths(self) -> list[Report]:
        found = []
        for working, (worker, _) in self._busy.items():
            if worker.is_alive():
                continue
            worker.kill()  # what it had started; then all that it said has arrived
            if not worker.has_told(working):
                found.append(Report(working, "lost", worker.how_it_died()))
        return found
