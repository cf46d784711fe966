"""How far a study is, read from its folder alone, whoever works on it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from muscletransfer.study.running.claims import UNREADABLE
from muscletransfer.study.running.failures import failure_of
from muscletransfer.study.running.opening import open_store
from muscletransfer.study.running.plans import PlanRecord, read_plans
from muscletransfer.study.running.store import Store

__all__ = ["Status", "read_status"]


@dataclass(frozen=True)
class Status:
    """The jobs of one plan by how far they are.

    .. versionadded:: 0.1

    Args:
        plan_id: The plan.
        done: Finished ids.
        running: For each id under way the driver that has it (``<host>.<pid>.<random>``).
        failed: For each failed id why.
        skipped: For each id that waits for a failed one the id of that one.
        open: All others.

    Example:
        >>> Status("plan", done=("a",), open=("b",)).open
        ('b',)
    """

    plan_id: str
    done: tuple[str, ...] = ()
    running: Mapping[str, str] = field(default_factory=dict)
    failed: Mapping[str, str] = field(default_factory=dict)
    skipped: Mapping[str, str] = field(default_factory=dict)
    open: tuple[str, ...] = ()


def read_status(study_folder: str | Path, plan: PlanRecord | None = None) -> Status | None:
    """Read how far a plan is.

    A claim whose driver was killed counts as running until the next start takes it over.

    .. versionadded:: 0.1

    Args:
        study_folder: A path or a URL.
        plan: The plan; the current one by default.

    Returns:
        The status, or None when nothing was ever started there.

    Example:
        >>> import tempfile
        >>> read_status(tempfile.mkdtemp()) is None
        True
    """
    if plan is None:
        plans = read_plans(study_folder)
        if not plans:
            return None
        plan = plans[0]
    store = open_store(study_folder)
    claims = _claims(store)  # before the rest: what ends meanwhile counts as done
    broken = set(store.names("failed"))
    parents = {folder.partition("/")[0] for folder in plan.jobs.values()}
    finished = {f"{parent}/{name}" for parent in parents for name in store.finished(parent)}
    done = [name for name, folder in plan.jobs.items() if folder in finished]
    ended = set(done)
    failed = {n: failure_of(store, n) for n in plan.jobs if n in broken and n not in ended}
    running = {n: claims[n] for n in plan.jobs if n in claims and n not in ended | set(failed)}
    skipped: dict[str, str] = {}
    for name in plan.jobs:  # needs come first in a plan
        if name in ended or name in failed or name in running:
            continue
        for need in plan.needs.get(name, ()):
            cause = need if need in failed else skipped.get(need)
            if cause is not None:
                skipped[name] = cause
                break
    rest = ended | set(failed) | set(running) | set(skipped)
    return Status(
        plan.plan_id,
        tuple(done),
        running,
        failed,
        skipped,
        tuple(name for name in plan.jobs if name not in rest),
    )


def _claims(store: Store) -> dict[str, str]:
    found = {}
    for name in store.names("claims"):
        try:
            found[name] = str(json.loads(store.read(f"claims/{name}"))["driver"])
        except FileNotFoundError:
            continue  # just released
        except (ValueError, LookupError, TypeError, IsADirectoryError):
            found[name] = UNREADABLE  # cut short, or no claim at all
    return found
