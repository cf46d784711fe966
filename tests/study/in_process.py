"""An executor that does each task in the test's own process: no worker has to start."""

from __future__ import annotations

from muscletransfer.study.running import Executor, Job, Report, Task
from muscletransfer.study.running.performing import perform


class Here(Executor):
    """One task at a time, done when it is handed over."""

    def __init__(self) -> None:
        self.ended: list[Report] = []

    def start(self) -> None: ...

    def room(self, job: Job) -> bool:
        return not self.ended

    def submit(self, task: Task) -> None:
        self.ended.append(perform(task))

    def wait(self, timeout: float) -> list[Report]:
        ended, self.ended = self.ended, []
        return ended

    def stop(self) -> None: ...
