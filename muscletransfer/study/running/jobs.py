"""What the engine runs: jobs with needs, and what came of them. It knows nothing of images."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from muscletransfer.errors import SettingError, close_matches

__all__ = ["Job", "Outcome", "check_jobs"]

_ID = re.compile(r"[A-Za-z0-9_-]{1,100}")
_BODY = re.compile(r"[A-Za-z_][\w.]*:[A-Za-z_]\w*")


@dataclass(frozen=True)
class Job:
    """One piece of work: a function, its settings, and the jobs that must be finished before.

    .. versionadded:: 0.1

    Args:
        id: Name of its folder; the same work must have the same id in every start, other work
            another (letters, digits, ``-`` and ``_``).
        kind: Which of the folders it goes to: ``"run"`` to ``runs/<id>``, ``"pretext"`` to
            ``pretexts/<id>``.
        needs: Ids of jobs whose folders the body reads.
        body: ``"package.module:function"``. It is called in a worker process as
            ``function(payload, folder)``, where ``payload["needs"]`` maps each needed id to its
            folder, and writes its files into ``folder``. The names ``job.json`` and ``log.txt``
            there belong to the engine.
        payload: Settings of the body, plain values that JSON can hold. Of a job that failed they
            are kept, or only ``spec`` where they have that.
        device_share: Part of a device that it takes; several jobs share one as long as the sum
            fits (see ``runs_per_device`` of the executors).
        label: Words for progress and messages; the id by default.

    Raises:
        SettingError: When a field cannot be used.

    Example:
        >>> job = Job("a1", "run", (), "package.module:function", {"seed": 0})
        >>> job.folder, job.label
        ('runs/a1', 'a1')
    """

    id: str
    kind: str
    needs: tuple[str, ...] = ()
    body: str = ""
    payload: Mapping[str, Any] = field(default_factory=dict)
    device_share: float = 1.0
    label: str = ""

    def __post_init__(self) -> None:
        object.__setattr__(self, "needs", tuple(self.needs))
        object.__setattr__(self, "label", self.label or self.id)
        for name, value in (("id", self.id), ("kind", self.kind)):
            if not isinstance(value, str) or not _ID.fullmatch(value):
                raise SettingError(
                    f"a job has the {name} {value!r}; wanted 1 to 100 letters, digits, '-' or '_', "
                    "for it names a folder."
                )
        if not _BODY.fullmatch(self.body):
            raise SettingError(
                f"job {self.id}: body={self.body!r}; wanted 'package.module:function', a function "
                "that a worker can import."
            )
        if not 0 < self.device_share <= 1:
            raise SettingError(
                f"job {self.id}: device_share={self.device_share!r}; wanted more than 0 and at "
                "most 1."
            )
        try:
            json.dumps(dict(self.payload))
        except (TypeError, ValueError) as error:
            raise SettingError(
                f"job {self.id}: its payload cannot be written as JSON ({error}); wanted plain "
                "values: None, bool, numbers, text, and lists and dicts of these."
            ) from error

    @property
    def folder(self) -> str:
        """Where its finished folder goes, relative to the study folder."""
        return f"{self.kind}s/{self.id}"


@dataclass(frozen=True)
class Outcome:
    """How the jobs of one start ended.

    .. versionadded:: 0.1

    Args:
        done: Ids that are finished, those of earlier starts and of other drivers included.
        failed: For each failed id the last line of its traceback.
        skipped: For each id that could not start, the failed id it waits for.
        ran: Ids that this driver ran itself, in the order they finished.

    Example:
        >>> Outcome(done=("a",), failed={"b": "ValueError: no"}, skipped={"c": "b"}).complete
        False
    """

    done: tuple[str, ...] = ()
    failed: Mapping[str, str] = field(default_factory=dict)
    skipped: Mapping[str, str] = field(default_factory=dict)
    ran: tuple[str, ...] = ()

    @property
    def complete(self) -> bool:
        """Whether every job is finished."""
        return not self.failed and not self.skipped


def check_jobs(jobs: Sequence[Job]) -> dict[str, Job]:
    """Return the jobs by id, each after all that it needs.

    Args:
        jobs: In the order wished for.

    Returns:
        The jobs in an order that can be run; the given one wherever needs allow.

    Raises:
        SettingError: An id stands twice, a need is no job of the list, or needs go in a circle.

    Example:
        >>> last = Job("b", "run", ("a",), "package.module:function")
        >>> list(check_jobs([last, Job("a", "pretext", (), "package.module:function")]))
        ['a', 'b']
    """
    known: dict[str, Job] = {}
    for job in jobs:
        if known.setdefault(job.id, job) != job:
            raise SettingError(
                f"two different jobs have the id {job.id}; wanted an id that depends on all that "
                "can change a result."
            )
    for job in known.values():
        for need in job.needs:
            if need not in known:
                near = close_matches(need, known)
                hint = f" Did you mean {near[0]!r}?" if near else ""
                raise SettingError(
                    f"job {job.id} needs {need!r}, which is no job of this study.{hint} Add it to "
                    "the jobs; a finished one is not run again."
                )
    return _sorted(known)


def _sorted(known: dict[str, Job]) -> dict[str, Job]:
    """Depth first without recursion: chains may be long."""
    found: dict[str, Job] = {}
    open_: dict[str, None] = {}  # on the way down, in order
    for start in known:
        stack = [start]
        while stack:
            name = stack[-1]
            missing = [n for n in known[name].needs if n not in found]
            if name in found or not missing:
                found.setdefault(name, known[name])
                open_.pop(name, None)
                stack.pop()
                continue
            open_[name] = None
            circle = next((n for n in missing if n in open_), None)
            if circle is not None:
                raise SettingError(
                    f"jobs need each other in a circle: {name} needs {circle}, which waits for "
                    f"{name}. Remove one of the needs."
                )
            stack.extend(reversed(missing))
    return found
