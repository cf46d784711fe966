"""Who works on what: exclusive files, and the burial of drivers that died.

A driver shows itself by a file in ``drivers/`` and by the beats of that file. A claim is a second
name of that file in ``claims/``: made by one system call, by one driver only. Only the driver
itself removes its claims, or the one driver that holds the claim to bury it; so a claim is never
removed under the hands of a new owner.
"""

from __future__ import annotations

import json
import secrets
import time
from collections.abc import Hashable
from dataclasses import asdict
from threading import Event, Thread

from muscletransfer.errors import StudyError
from muscletransfer.study.running.owners import Owner, is_dead, this_process
from muscletransfer.study.running.store import FINISHED, Store

__all__ = ["UNREADABLE", "Claims"]

UNREADABLE = "unreadable"
"""Stands for the driver of a claim that cannot be read."""

_TRIES = 10
_OPEN: set[str] = set()  # drivers of this process that have not left


class Claims:
    """The claims of one driver.

    Args:
        store: The study folder.
        beat_every: Seconds between two beats.
        stale_after: A driver on another machine is taken for dead when it has shown no beat for so
            many seconds; on the same machine its process is looked at, and no time passes.
    """

    def __init__(self, store: Store, beat_every: float = 10.0, stale_after: float = 120.0) -> None:
        self.store = store
        self.beat_every = beat_every
        self.stale_after = stale_after
        owner = this_process()
        host = "".join(c if c.isalnum() else "-" for c in owner.host)
        self.token = f"{host}.{owner.pid}.{secrets.token_hex(4)}"
        self._file = f"drivers/{self.token}"
        self._owner = owner
        self._seen: dict[str, tuple[Hashable, float]] = {}
        self._stop = Event()
        self._thread = Thread(target=self._beats, name="study-heartbeat", daemon=True)
        self._buried = False

    def open(self) -> None:
        """Show this driver to the others, and clear up after those that died."""
        values = {"driver": self.token, **asdict(self._owner), "since": time.time()}
        _OPEN.add(self.token)
        self.store.write(self._file, json.dumps(values, indent=1).encode())
        self._thread.start()
        self.store.sweep()
        self.bury_dead()

    def close(self) -> None:
        """Give back all that is claimed, remove what was in progress, and leave."""
        try:
            self._stop.set()
            if self._thread.ident is not None:  # it was started
                self._thread.join()
            self._clear(self.token)
        finally:
            self.forget()

    def forget(self) -> None:
        """Count as dead from now on: a second Ctrl-C may have come before the end of `close`.

        The next driver clears up then, one of this process too.
        """
        self._stop.set()
        _OPEN.discard(self.token)

    def take(self, name: str) -> bool:
        """Claim a job; False when another driver has it."""
        self.check()
        return self.store.take(f"claims/{name}", self._file)

    def release(self, name: str) -> None:
        """Give a claimed job back."""
        self.store.remove(f"claims/{name}")

    def is_taken(self, name: str) -> bool:
        """Tell whether some driver has a job."""
        return self.store.exists(f"claims/{name}")

    def check(self) -> None:
        """Make sure that this driver still counts as alive.

        Raises:
            StudyError: Another one has taken over its jobs, because it stood still for too long.
        """
        if self._buried or not self.store.exists(self._file):
            raise StudyError(
                f"this driver ({self.token}) stood still for more than {self.stale_after:.0f} s, "
                "and another one has taken over its jobs. Start the study again to help it on."
            )

    def bury_dead(self) -> None:
        """Finish what dead drivers had finished, and free what they had claimed."""
        # What a driver leaves behind is listed before the drivers: one that comes meanwhile counts.
        claimed = {token for _, token in self._claimed()}
        left = self.store.names("working")
        drivers = self.store.names("drivers")
        dead = [token for token in drivers if token != self.token and self._is_dead(token)]
        for token in [*dead, *(t for t in claimed - set(drivers) if self._is_gone(t))]:
            self._bury(token)
        for working in left:
            if _token_in(working) not in drivers:  # a worker's last words, after the burial
                self.store.remove(f"working/{working}")

    def _bury(self, token: str) -> None:
        claim = f"bury.{token}"
        for _ in range(_TRIES):
            if self.store.take(f"claims/{claim}", self._file):
                self._clear(token)
                self.release(claim)
                return
            holder = self._token_of(f"claims/{claim}")
            if holder is None:
                continue  # given back meanwhile
            if holder == self.token or not self._is_dead(holder):
                return  # someone is at it
            self._bury(holder)

    def _clear(self, token: str) -> None:
        """Put whole folders of a driver in place, then remove all that bears its name."""
        held = {name for name, holder in self._claimed() if holder == token}
        for working in self.store.names("working"):
            if _token_in(working) != token:
                continue
            name = f"working/{working}"
            if working.partition(".")[0] in held and self.store.exists(f"{name}/{FINISHED}"):
                final = json.loads(self.store.read(f"{name}/{FINISHED}"))["folder"]
                self.store.install(name, final)
            self.store.remove(name)
        # Without its file even a driver that had only stood still can claim nothing more.
        self.store.remove(f"drivers/{token}")
        for name, holder in self._claimed():
            if holder == token:
                self.store.remove(f"claims/{name}")

    def _claimed(self) -> list[tuple[str, str]]:
        pairs = [(name, self._token_of(f"claims/{name}")) for name in self.store.names("claims")]
        return [(name, token) for name, token in pairs if token is not None]

    def _token_of(self, name: str) -> str | None:
        try:
            return str(json.loads(self.store.read(name))["driver"])
        except FileNotFoundError:
            return None
        except (ValueError, LookupError, TypeError, IsADirectoryError):
            return UNREADABLE  # cut short where the file system has no links: see LocalStore.take

    def _is_gone(self, token: str) -> bool:
        return token != UNREADABLE or self._has_no_beat(token, beat=0)

    def _is_dead(self, token: str) -> bool:
        beat: Hashable = None
        try:
            beat = self.store.last_beat(f"drivers/{token}")
            values = json.loads(self.store.read(f"drivers/{token}"))
            owner = Owner(*(values[k] for k in ("host", "machine", "pid", "started")))
            dead = is_dead(owner)
        except FileNotFoundError:
            return False  # it has just left, or someone has just buried it
        except (ValueError, LookupError, TypeError, IsADirectoryError):
            return self._has_no_beat(token, beat)  # cut short, or a stray file
        if owner == self._owner:  # of this very process, which lives longer than its drivers
            return token not in _OPEN
        return self._has_no_beat(token, beat) if dead is None else dead

    def _has_no_beat(self, token: str, beat: Hashable) -> bool:
        """Clocks of other machines are not compared: it is this one's clock that must pass."""
        now = time.monotonic()
        seen, since = self._seen.get(token, (None, now))
        if seen != beat:
            self._seen[token] = (beat, now)
            return False
        return now - since > self.stale_after

    def _beats(self) -> None:
        while not self._stop.wait(self.beat_every):
            try:
                self.store.beat(self._file)
            except FileNotFoundError:
                self._buried = True
                return
            except Exception:  # of a server that is away, whatever its package raises then
                continue  # the next beat may arrive


def _token_in(working: str) -> str:
    """Return the driver's token in ``<id>.<host>.<pid>.<random>.<attempt>``."""
    return ".".join(working.split(".")[1:4])
