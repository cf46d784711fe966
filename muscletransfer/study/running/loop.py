"""The driver's loop: claim, hand out, put in place, and look after what others have."""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from threading import Event

from muscletransfer.errors import StudyError
from muscletransfer.study.running.agenda import Agenda
from muscletransfer.study.running.claims import Claims
from muscletransfer.study.running.disk import disk_full_error
from muscletransfer.study.running.executors.base import Executor, Report, Task
from muscletransfer.study.running.failures import failure_of, keep_failure
from muscletransfer.study.running.jobs import Job, Outcome
from muscletransfer.study.running.progress import Progress
from muscletransfer.study.running.store import Store

__all__ = ["Loop"]

_TICK = 1.0  # seconds without news after which progress is shown anew


class Loop:
    """One driver's way through the jobs.

    Args:
        jobs: By id, each after its needs.
        store: The study folder.
        claims: This driver's claims, opened.
        executor: Not started yet; it is started when there is something to do.
        progress: Where to show how far it is.
        lost_retries: How often a job begins anew when its worker dies.
    """

    def __init__(
        self,
        jobs: Mapping[str, Job],
        store: Store,
        claims: Claims,
        executor: Executor,
        progress: Progress,
        lost_retries: int,
    ) -> None:
        self.agenda = Agenda(jobs)
        self.store, self.claims, self.executor, self.progress = store, claims, executor, progress
        self.lost_retries = lost_retries
        self._running: dict[str, Job] = {}  # by working folder
        self._again: deque[Job] = deque()  # claimed, and their workers died
        self._lost: dict[str, int] = {}
        self._ran: list[str] = []
        self._attempts = 0
        self._started = False

    def run(self) -> Outcome:
        """Go on until every job is done, has failed or waits for a failed one."""
        agenda = self.agenda
        self._note_earlier()
        self.progress.begin(agenda)
        while agenda.ended < len(agenda.jobs):
            self._fill()
            if self._running:
                wait = min(_TICK, self.store.poll) if agenda.elsewhere else _TICK
                for report in self.executor.wait(wait):
                    self._take_in(report)
            elif agenda.elsewhere:
                Event().wait(self.store.poll)
            elif agenda.ready:
                raise StudyError(
                    f"the executor ({type(self.executor).__name__}) has no room for job "
                    f"{agenda.ready[0]} although nothing runs; wanted room for one at least."
                )
            self._look_elsewhere()
            self.progress.show(agenda, len(self._running))
        return Outcome(
            tuple(agenda.done), dict(agenda.failed), dict(agenda.skipped), tuple(self._ran)
        )

    def _note_earlier(self) -> None:
        jobs = self.agenda.jobs.values()
        parents = {job.folder.partition("/")[0] for job in jobs}
        finished = {f"{p}/{name}" for p in parents for name in self.store.finished(p)}
        failed = set(self.store.names("failed"))
        for job in jobs:
            if job.folder in finished:
                self.agenda.finish(job.id)
        for job in jobs:
            if job.id in failed and not self.agenda.has_ended(job.id):
                self.agenda.fail(job.id, failure_of(self.store, job.id))

    def _fill(self) -> None:
        """Give out jobs while there is room, in their order."""
        agenda = self.agenda
        while self._again and self.executor.room(self._again[0]):
            self._submit(self._again.popleft())
        while not self._again and agenda.ready:
            job = agenda.jobs[agenda.ready[0]]
            if agenda.has_ended(job.id):
                agenda.ready.pop(0)
                continue
            if not self._started:
                self.executor.start()
                self._started = True
            if not self.executor.room(job):
                return
            agenda.ready.pop(0)
            if not self.claims.take(job.id):
                agenda.lend(job.id)
            elif self._has_ended_elsewhere(job):  # after the last look and before the claim
                self.claims.release(job.id)
            else:
                self._submit(job)

    def _submit(self, job: Job) -> None:
        self._attempts += 1
        working = f"working/{job.id}.{self.claims.token}.{self._attempts}"
        self.store.make_folder(working)
        needs = {need: self.agenda.jobs[need].folder for need in job.needs}
        self._running[working] = job
        self.executor.submit(Task(self.store.url, job, working, needs))

    def _take_in(self, report: Report) -> None:
        job = self._running.pop(report.working)
        if report.status == "full":
            raise disk_full_error(self.store.url, f"job {job.label}: {report.message}")
        if report.status == "unfit":
            raise StudyError(f"job {job.label} cannot run: {report.message}")
        self.claims.check()
        if report.status == "lost":
            self._lost[job.id] = self._lost.get(job.id, 0) + 1
            if self._lost[job.id] <= self.lost_retries:
                self.store.remove(report.working)
                self._again.append(job)
                return
        if report.status == "done":
            self.store.install(report.working, job.folder)
            self.store.remove(f"failed/{job.id}")
            self._ran.append(job.id)
            self.agenda.finish(job.id)
            self.progress.timed(job, report.seconds)
        else:
            keep_failure(self.store, job, report, self._lost.get(job.id, 0))
            self.agenda.fail(job.id, failure_of(self.store, job.id))
            self.progress.failed(job, self.agenda.failed[job.id])
        self.claims.release(job.id)

    def _look_elsewhere(self) -> None:
        """See what became of jobs that other drivers had, and bury drivers that died."""
        if not self.agenda.elsewhere:
            return
        self.claims.bury_dead()
        for name in list(self.agenda.elsewhere):
            # In this order: once the claim is gone, what came of the job is in place.
            if not self.claims.is_taken(name) and not self._has_ended_elsewhere(
                self.agenda.jobs[name]
            ):
                self.agenda.take_back(name)

    def _has_ended_elsewhere(self, job: Job) -> bool:
        if self.store.is_finished(job.folder):
            self.agenda.finish(job.id)
        elif self.store.exists(f"failed/{job.id}"):
            self.agenda.fail(job.id, failure_of(self.store, job.id))
        else:
            return False
        return True
