"""What an executor is: the place where jobs are carried out, behind four methods."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, Literal

from muscletransfer.registry import Registry
from muscletransfer.study.running.jobs import Job

__all__ = ["EXECUTORS", "Executor", "Report", "Task", "create_executor", "list_executors"]


@dataclass(frozen=True)
class Task:
    """One attempt at a job, in plain values that travel to another process or machine.

    .. versionadded:: 0.1

    Args:
        store: The study folder (path or URL).
        job: The job.
        working: The working folder of this attempt, relative to the study folder; its name is the
            attempt's key.
        needs: The finished folder of each needed job, relative to the study folder.

    Example:
        >>> job = Job("a1", "run", (), "operator:is_")
        >>> task = Task("study", job, "working/a1.host.1.00.1")
        >>> Task.from_plain(task.plain()) == task
        True
    """

    store: str
    job: Job
    working: str
    needs: Mapping[str, str] = field(default_factory=dict)

    def plain(self) -> dict[str, Any]:
        """Return the task as a dict that JSON can hold."""
        return asdict(self)

    @classmethod
    def from_plain(cls, values: Mapping[str, Any]) -> Task:
        """Build the task from what `plain` returned."""
        return cls(**{**values, "job": Job(**values["job"])})


@dataclass(frozen=True)
class Report:
    """How one attempt ended.

    .. versionadded:: 0.1

    Args:
        working: The attempt's key, `Task.working`.
        status: ``"done"``: the working folder is whole and waits to be put in place.
            ``"failed"``: the body raised; the working folder holds traceback and log.
            ``"full"``: the disk was full. ``"lost"``: the worker died, or the study folder could
            not be reached for a while. ``"unfit"``: no job can run where this one was to.
        message: What went wrong, in a line.
        seconds: What the body took.

    Example:
        >>> Report("working/a1.host.1.00.1", "failed", "ValueError: no").message
        'ValueError: no'
    """

    working: str
    status: Literal["done", "failed", "full", "lost", "unfit"]
    message: str = ""
    seconds: float = 0.0


class Executor(ABC):
    """Carries out tasks with `muscletransfer.study.running.perform`, several at a time.

    One driver uses it from one thread: `start`, then `submit` and `wait` in turn, then `stop`.
    Register another one under an entry point of the group ``muscletransfer.executors``.

    .. versionadded:: 0.1

    Example:
        >>> import tempfile
        >>> from muscletransfer.study.running import perform, run_jobs
        >>> class Here(Executor):
        ...     def start(self):
        ...         self.ended = []
        ...     def room(self, job):
        ...         return not self.ended
        ...     def submit(self, task):
        ...         self.ended.append(perform(task))  # in this process
        ...     def wait(self, timeout):
        ...         ended, self.ended = self.ended, []
        ...         return ended
        ...     def stop(self):
        ...         pass
        >>> jobs = [Job("a1", "run", (), "operator:is_"), Job("a2", "run", ("a1",), "operator:is_")]
        >>> run_jobs(jobs, tempfile.mkdtemp(), Here(), progress=False).done
        ('a1', 'a2')
    """

    @abstractmethod
    def start(self) -> None:
        """Get ready; called once, before anything else."""

    @abstractmethod
    def room(self, job: Job) -> bool:
        """Tell whether the job would begin at once. With nothing running, it is True."""

    @abstractmethod
    def submit(self, task: Task) -> None:
        """Begin a task for which there was room."""

    @abstractmethod
    def wait(self, timeout: float) -> list[Report]:
        """Return what has ended; nothing when nothing ended within so many seconds."""

    @abstractmethod
    def stop(self) -> None:
        """End all workers, those at work too. May be called twice, and without `start`."""


EXECUTORS: Registry[type[Executor]] = Registry(
    "executor",
    "muscletransfer.executors",
    "Known are 'local' and 'ray'; add one with an entry point of the group "
    "'muscletransfer.executors'.",
    builtins={
        "local": "muscletransfer.study.running.executors.local:LocalExecutor",
        "ray": "muscletransfer.study.running.executors.ray:RayExecutor",
    },
)


def create_executor(name: str, **options: Any) -> Executor:
    """Build an executor by name.

    .. versionadded:: 0.1

    Args:
        name: ``"local"``, ``"ray"`` or what a package registered.
        options: What its class takes.

    Returns:
        The executor, not started yet.

    Raises:
        UnknownNameError: No executor has the name; close matches are named.
        MissingDependencyError: It needs an extra that is not installed.

    Example:
        >>> create_executor("local", workers=2).workers
        2
        >>> create_executor("lokal")
        Traceback (most recent call last):
        muscletransfer.errors.UnknownNameError: Unknown executor 'lokal'. Did you mean 'local'? ...
    """
    return EXECUTORS.get(name)(**options)


def list_executors() -> list[str]:
    """List the names of all executors.

    .. versionadded:: 0.1

    Example:
        >>> {"local", "ray"} <= set(list_executors())
        True
    """
    return EXECUTORS.names()
