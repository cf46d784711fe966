"""Which jobs are open, ready, under way or ended: the driver's bookkeeping."""

from __future__ import annotations

from bisect import insort
from collections.abc import Mapping

from muscletransfer.study.running.jobs import Job

__all__ = ["Agenda"]


class Agenda:
    """The jobs of one start and how far each is.

    A job is open, then ready (all its needs are finished), then under way or elsewhere (another
    driver has it), then done or failed; with a failed job all that need it are skipped. Ready jobs
    stand in the order they were given in, so that what is done of a stopped study is a whole first
    part of it: all sources of one repeat before the next.

    Args:
        jobs: By id, each after its needs (see `check_jobs`).

    Example:
        >>> first = Job("a", "pretext", (), "package.module:function")
        >>> agenda = Agenda({"a": first, "b": Job("b", "run", ("a",), "package.module:function")})
        >>> agenda.ready
        ['a']
        >>> agenda.finish("a")
        >>> agenda.has_ended("a"), agenda.ready[-1]
        (True, 'b')
    """

    def __init__(self, jobs: Mapping[str, Job]) -> None:
        self.jobs = jobs
        self.done: dict[str, None] = {}
        self.failed: dict[str, str] = {}
        self.skipped: dict[str, str] = {}
        self.elsewhere: dict[str, None] = {}
        self._needed_by: dict[str, list[str]] = {name: [] for name in jobs}
        self._open_needs: dict[str, int] = {}
        for job in jobs.values():
            needs = dict.fromkeys(job.needs)
            self._open_needs[job.id] = len(needs)
            for need in needs:
                self._needed_by[need].append(job.id)
        self._places = {name: place for place, name in enumerate(jobs)}
        self.ready = [name for name, count in self._open_needs.items() if not count]

    @property
    def ended(self) -> int:
        """How many jobs nothing more will happen to."""
        return len(self.done) + len(self.failed) + len(self.skipped)

    def finish(self, name: str) -> None:
        """Note that a job's folder is in place; what waited for it alone becomes ready."""
        if name in self.done:
            return
        self._leave(name)
        self.done[name] = None
        for waiting in self._needed_by[name]:
            self._open_needs[waiting] -= 1
            if not self._open_needs[waiting] and not self.has_ended(waiting):
                insort(self.ready, waiting, key=self._places.__getitem__)

    def fail(self, name: str, message: str) -> None:
        """Note that a job failed; all that need it, directly or not, are skipped."""
        self._leave(name)
        self.failed[name] = message
        stack = list(self._needed_by[name])
        while stack:
            waiting = stack.pop()
            if not self.has_ended(waiting):
                self.skipped[waiting] = name
                stack += self._needed_by[waiting]

    def lend(self, name: str) -> None:
        """Note that another driver has a ready job."""
        self.elsewhere[name] = None

    def take_back(self, name: str) -> None:
        """Note that the other driver has given the job back unfinished."""
        del self.elsewhere[name]
        insort(self.ready, name, key=self._places.__getitem__)

    def _leave(self, name: str) -> None:
        self.elsewhere.pop(name, None)

    def has_ended(self, name: str) -> bool:
        """Tell whether nothing more will happen to a job."""
        return name in self.done or name in self.failed or name in self.skipped
