"""How far a study is: one line that moves on a terminal, plain lines elsewhere."""

from __future__ import annotations

import sys
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Never, TextIO

from tqdm import tqdm

from muscletransfer.study.running.agenda import Agenda
from muscletransfer.study.running.jobs import Job

__all__ = ["LineProgress", "Progress", "TerminalProgress", "create_progress", "time_left"]

_SECONDS_BETWEEN_LINES = 10.0
_SECONDS_BETWEEN_MOVES = 0.2


class Progress:
    """Keeps count and shows nothing; the base of what shows.

    Example:
        >>> progress = Progress()
        >>> progress.begin(Agenda({}))
        >>> progress.timed(Job("a", "run", (), "package.module:function"), 2.0)
        >>> progress.words(Agenda({}), running=0)
        '0 of 0 done'
    """

    def __init__(self) -> None:
        self._seconds: Counter[str] = Counter()  # by kind
        self._count: Counter[str] = Counter()
        self._most_running = 1
        self._is_shown = True

    def begin(self, agenda: Agenda) -> None:
        """Note what there is to do, and what was done before."""

    def timed(self, job: Job, seconds: float) -> None:
        """Note how long a job took, for the time left."""
        self._seconds[job.kind] += seconds  # type: ignore[assignment]
        self._count[job.kind] += 1

    def failed(self, job: Job, message: str) -> None:
        """Say that a job failed."""

    def show(self, agenda: Agenda, running: int) -> None:
        """Show how far it is."""
        self._most_running = max(self._most_running, running)

    def close(self) -> None:
        """Show nothing more."""

    def words(self, agenda: Agenda, running: int) -> str:
        """Return how far it is, in words."""
        parts = [f"{len(agenda.done)} of {len(agenda.jobs)} done"]
        counts = (
            ("running", running),
            ("with other drivers", len(agenda.elsewhere)),
            ("failed", len(agenda.failed)),
            ("waiting for failed ones", len(agenda.skipped)),
        )
        parts += [f"{count} {name}" for name, count in counts if count]
        left = self.seconds_left(agenda)
        if left is not None:
            parts.append(f"{time_left(left)} left")
        return ", ".join(parts)

    def seconds_left(self, agenda: Agenda) -> float | None:
        """Estimate the seconds left from what jobs of each kind took; None before the first."""
        total = sum(self._count.values())
        open_ = Counter(j.kind for n, j in agenda.jobs.items() if not agenda.has_ended(n))
        if not total or not open_:
            return None
        overall = sum(self._seconds.values()) / total
        work = sum(
            count * (self._seconds[kind] / self._count[kind] if self._count[kind] else overall)
            for kind, count in open_.items()
        )
        return work / self._most_running

    @contextmanager
    def _showing(self) -> Iterator[None]:
        """Show nothing more once nobody reads: a closed pipe or terminal ends no study."""
        try:
            yield
        except (OSError, ValueError):  # ValueError: the stream was closed on this side
            self._is_shown = False


class LineProgress(Progress):
    """Plain lines, for logs: at most one in ten seconds, and one for each failure.

    Args:
        stream: Where to; standard error by default.
    """

    def __init__(self, stream: TextIO | None = None) -> None:
        super().__init__()
        self._stream = stream or sys.stderr
        self._last = float("-inf")
        self._said = ""

    def begin(self, agenda: Agenda) -> None:  # noqa: D102 - documented in Progress
        self._say(self.words(agenda, 0))

    def failed(self, job: Job, message: str) -> None:  # noqa: D102
        self._say(f"failed: {job.label} ({job.id}): {message}")

    def show(self, agenda: Agenda, running: int) -> None:  # noqa: D102
        super().show(agenda, running)
        ended = agenda.ended == len(agenda.jobs)
        if ended or time.monotonic() - self._last >= _SECONDS_BETWEEN_LINES:
            words = self.words(agenda, running)
            if words != self._said:
                self._say(words)
                self._said, self._last = words, time.monotonic()

    def _say(self, words: str) -> None:
        if self._is_shown:
            with self._showing():
                print(f"study: {words}", file=self._stream, flush=True)


class TerminalProgress(Progress):
    """A bar that moves.

    Args:
        stream: Where to; standard error by default.
    """

    def __init__(self, stream: TextIO | None = None) -> None:
        super().__init__()
        self._stream = stream or sys.stderr
        self._bar: tqdm[Never] | None = None
        self._last = float("-inf")

    def begin(self, agenda: Agenda) -> None:  # noqa: D102
        with self._showing():
            self._bar = tqdm(
                total=len(agenda.jobs),
                initial=agenda.ended,
                file=self._stream,
                bar_format="study: |{bar:20}| {desc}",
            )

    def failed(self, job: Job, message: str) -> None:  # noqa: D102
        if self._is_shown:
            with self._showing():
                tqdm.write(f"failed: {job.label} ({job.id}): {message}", file=self._stream)

    def show(self, agenda: Agenda, running: int) -> None:  # noqa: D102
        super().show(agenda, running)
        now = time.monotonic()
        ended = agenda.ended == len(agenda.jobs)
        if self._bar is None or not self._is_shown:
            return
        if ended or now - self._last >= _SECONDS_BETWEEN_MOVES:
            self._last = now
            self._bar.n = agenda.ended
            with self._showing():
                self._bar.set_description_str(self.words(agenda, running))

    def close(self) -> None:  # noqa: D102
        if self._bar is None:
            return
        if self._is_shown:
            with self._showing():
                self._bar.close()
        self._bar.disable = True  # or its end would write once more


def create_progress(wanted: bool, stream: TextIO | None = None) -> Progress:
    """Choose how to show progress: a bar on a terminal, lines elsewhere, or nothing.

    Example:
        >>> type(create_progress(False)).__name__
        'Progress'
    """
    if not wanted:
        return Progress()
    stream = stream or sys.stderr
    return TerminalProgress(stream) if stream.isatty() else LineProgress(stream)


def time_left(seconds: float) -> str:
    """Return seconds as people say them.

    Example:
        >>> time_left(42), time_left(600), time_left(90_000)
        ('42 s', '10 min', '25 h')
    """
    if seconds < 90:
        return f"{seconds:.0f} s"
    if seconds < 5400:
        return f"{seconds / 60:.0f} min"
    return f"{seconds / 3600:.0f} h"
