"""What a worker does with one task, wherever it runs."""

from __future__ import annotations

import gc
import importlib
import json
import os
import shutil
import socket
import sys
import time
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from muscletransfer.errors import StudyError
from muscletransfer.study.running.disk import is_disk_full
from muscletransfer.study.running.executors.base import Report, Task
from muscletransfer.study.running.jobs import Job
from muscletransfer.study.running.opening import open_store
from muscletransfer.study.running.store import FINISHED
from muscletransfer.study.running.syncing import sync_folder, sync_tree

__all__ = ["LOG", "TRACEBACK", "last_line", "pass_over_imports", "perform", "settings_of"]

LOG = "log.txt"
TRACEBACK = "traceback.txt"


def perform(task: Task) -> Report:
    """Carry out one attempt at a job and leave its working folder whole, or with what went wrong.

    Executors call it where the job is to run.

    .. versionadded:: 0.1

    Args:
        task: The attempt.

    Returns:
        How it ended; only a dying process raises.

    Example:
        >>> import tempfile
        >>> from muscletransfer.study.running import Job
        >>> study = Path(tempfile.mkdtemp())
        >>> (study / "working").mkdir()
        >>> job = Job("a1", "run", (), "operator:is_")  # called with (payload, folder)
        >>> perform(Task(str(study), job, "working")).status
        'done'
        >>> sorted(path.name for path in (study / "working").iterdir())
        ['job.json', 'log.txt']
    """
    folder: Path | None = None
    begin = time.monotonic()
    try:
        store = open_store(task.store)
        with store.workspace(task.working, task.needs.values()) as (folder, found):
            needs = {id_: str(found[place]) for id_, place in task.needs.items()}
            try:
                with _logged(folder / LOG):
                    body = find_body(task.job.body)
                    body({**task.job.payload, "needs": needs}, folder)
                _finish(task, folder, time.monotonic() - begin)
            except Exception as error:
                if is_disk_full(error, folder):
                    return Report(task.working, "full", last_line(error))
                _keep_failure(task, folder, traceback.format_exc())
                store.publish(folder, task.working)
                return Report(task.working, "failed", last_line(error))
            store.publish(folder, task.working)
    except Exception as error:
        # Not the body's: the study folder could not be reached from here.
        if is_disk_full(error, folder):
            return Report(task.working, "full", last_line(error))
        if isinstance(error, StudyError):
            return Report(task.working, "unfit", str(error))
        return Report(task.working, "lost", last_line(error))
    finally:
        _free_memory()
    return Report(task.working, "done", seconds=time.monotonic() - begin)


def find_body(name: str) -> Callable[[dict[str, Any], Path], None]:
    """Import the function behind ``"package.module:function"``.

    Raises:
        StudyError: The module has no such function.
    """
    module, _, function = name.partition(":")
    found = getattr(importlib.import_module(module), function, None)
    if not callable(found):
        raise StudyError(
            f"{module} has no function {function!r}; wanted one that takes (payload, folder)."
        )
    return found  # type: ignore[no-any-return]


def last_line(error: BaseException) -> str:
    """Return an error as the last line of its traceback.

    Example:
        >>> last_line(ValueError("no such fold"))
        'ValueError: no such fold'
    """
    line = "".join(traceback.format_exception_only(error)).strip().splitlines()[0]
    return line.encode("utf-8", "backslashreplace").decode()  # a path that is no UTF-8


def settings_of(job: Job) -> str:
    """Return what is kept of the settings of a job that failed, as JSON.

    Of a payload that has a ``spec`` the rest says where things lie and who is left out: paths of
    this machine and patients, which no ``spec.json`` names.

    Example:
        >>> settings_of(Job("a", "run", (), "operator:is_", {"spec": 5, "where": "/home/me"}))
        '5'
    """
    return json.dumps(job.payload.get("spec", dict(job.payload)), indent=1)


def _finish(task: Task, folder: Path, seconds: float) -> None:
    record = {
        "id": task.job.id,
        "folder": task.job.folder,
        "label": task.job.label,
        "body": task.job.body,
        "needs": sorted(task.job.needs),
        "seconds": round(seconds, 3),
        "finished": datetime.now(UTC).isoformat(timespec="seconds"),
        "host": socket.gethostname(),
        "device": os.environ.get("CUDA_VISIBLE_DEVICES", ""),
        "threads": os.environ.get("OMP_NUM_THREADS", ""),
    }
    unfinished = folder / f".{FINISHED}"
    unfinished.write_text(json.dumps(record, indent=1), encoding="utf-8")
    sync_tree(folder)
    unfinished.replace(folder / FINISHED)  # the mark that all before it is whole
    sync_folder(folder)


def _keep_failure(task: Task, folder: Path, text: str) -> None:
    """Leave log, traceback and settings only: half of a result helps nobody."""
    for path in folder.iterdir():
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        elif path.name != LOG:
            path.unlink()
    # A message may hold what no encoding has: a path that is no UTF-8.
    (folder / TRACEBACK).write_text(text, encoding="utf-8", errors="backslashreplace")
    (folder / "spec.json").write_text(settings_of(task.job), encoding="utf-8")


def pass_over_imports() -> None:
    """Let the search for cycles after each job pass over what the first one has loaded.

    torch and Lightning bring a million objects that stay; to look through them takes 0.3 s a job. A
    worker calls this after a job, when what that held is gone; only the first call does anything.

    Example:
        >>> pass_over_imports()
        >>> gc.get_freeze_count() > 0
        True
    """
    if gc.get_freeze_count() == 0:
        gc.freeze()


def _free_memory() -> None:
    """Give back what the job held, for the process stays and shares its device with others."""
    gc.collect()
    torch = sys.modules.get("torch")  # never imported by the engine itself
    if torch is not None and torch.cuda.is_initialized():
        torch.cuda.empty_cache()


@contextmanager
def _logged(path: Path) -> Iterator[None]:
    """Send all output of this process to a file: prints, warnings, and what C code writes."""
    sys.stdout.flush()
    sys.stderr.flush()
    with path.open("ab", buffering=0) as log:
        kept = os.dup(1), os.dup(2)
        os.dup2(log.fileno(), 1)
        os.dup2(log.fileno(), 2)
        try:
            yield
        finally:
            try:
                sys.stdout.flush()
                sys.stderr.flush()
            finally:
                for number, saved in enumerate(kept, start=1):
                    os.dup2(saved, number)
                    os.close(saved)
