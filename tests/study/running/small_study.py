"""A study of light jobs, its driver as a process of its own, and what must hold of its folder."""

from __future__ import annotations

import json
import os
import select
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

from muscletransfer.study.running import Job, run_jobs

HERE = Path(__file__).parent
TIMEOUT = 150  # of what takes a second or two on a machine with nothing else to do


def job(study: Path, name: str, kind: str = "run", body: str = "compute", **more: Any) -> Job:
    needs = more.pop("needs", ())
    share = more.pop("device_share", 1.0)
    label = more.pop("label", "")
    payload = {
        "id": name,
        "seed": name,
        "ledger": str(study.parent / f"{study.name}.ledger"),
        "final": str(study / f"{kind}s" / name),
        **more,
    }
    return Job(name, kind, needs, f"bodies:{body}", payload, share, label)


def small_jobs(study: Path, pretexts: int = 2, runs: int = 8) -> list[Job]:
    """Pretext jobs, runs that need one of them, and one run that needs nothing."""
    first = [job(study, f"pretext{i}", "pretext") for i in range(pretexts)]
    rest = [job(study, f"run{i}", needs=(f"pretext{i % pretexts}",)) for i in range(runs)]
    return [*rest, job(study, "alone"), *first]


def gated_job(study: Path) -> Job:
    """A job that says when it has begun and goes on when told: see `wait_begun`, `open_gate`."""
    pipes = {name: str(study.parent / name) for name in ("begun", "gate")}
    for pipe in pipes.values():
        if not os.path.exists(pipe):
            os.mkfifo(pipe)
    return job(study, "gated", body="gated", **pipes)


def wait_begun(study: Path) -> None:
    handle = os.open(study.parent / "begun", os.O_RDONLY | os.O_NONBLOCK)
    try:
        ready, _, _ = select.select([handle], [], [], TIMEOUT)
        assert ready, "the gated job has not begun"
        os.read(handle, 100)
    finally:
        os.close(handle)


def open_gate(study: Path) -> None:
    os.close(os.open(study.parent / "gate", os.O_WRONLY))  # waits for the body to come to it


def ledger(study: Path) -> list[dict[str, Any]]:
    path = study.parent / f"{study.name}.ledger"
    return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []


def results(study: Path) -> dict[str, bytes]:
    """All files of finished jobs but those of the engine, which hold times and hosts."""
    return {
        path.relative_to(study).as_posix(): path.read_bytes()
        for parent in ("pretexts", "runs")
        for path in sorted((study / parent).rglob("*"))
        if path.is_file() and path.name not in ("job.json", "log.txt")
    }


def leftovers(study: Path) -> list[str]:
    """Everything that must be gone when no driver is there."""
    parents = ("working", "claims", "drivers")
    found = [p for parent in parents for p in (study / parent).glob("*")]
    found += study.rglob(".*")
    return [p.relative_to(study).as_posix() for p in found]


def whole(study: Path) -> set[str]:
    """Ids whose work is done: in place, or marked as whole and not yet in place."""
    marks = [*study.glob("runs/*/job.json"), *study.glob("pretexts/*/job.json")]
    marks += study.glob("working/*/job.json")
    return {path.parent.name.partition(".")[0] for path in marks}


def start_driver(study: Path, *arguments: str) -> subprocess.Popen[str]:
    """Run `small_jobs` by a driver of its own.

    ``gated`` puts the gated job before them, ``url`` takes the folder for a remote one,
    ``ray=ADDRESS`` runs them on that cluster.
    """
    if "gated" in arguments:
        gated_job(study)  # its pipes
    path = os.pathsep.join([str(HERE), os.environ.get("PYTHONPATH", "")])
    environment = {**os.environ, "PYTHONPATH": path, "OMP_NUM_THREADS": "1"}
    return subprocess.Popen(
        [sys.executable, __file__, str(study), *arguments],
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def workers_of(driver: int) -> list[int]:
    """The process numbers of a driver's children; none when it has just ended."""
    try:
        tasks = Path(f"/proc/{driver}/task")
        return [int(n) for t in tasks.iterdir() for n in (t / "children").read_text().split()]
    except (FileNotFoundError, ProcessLookupError):
        return []


if __name__ == "__main__":
    # Tests that a shell starts in the background ignore Ctrl-C, and so would their children.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    folder = Path(sys.argv[1])
    jobs = small_jobs(folder)
    if "gated" in sys.argv:
        jobs.insert(0, gated_job(folder))
    place = f"file://{folder}" if "url" in sys.argv else folder
    address = next((a.removeprefix("ray=") for a in sys.argv if a.startswith("ray=")), None)
    where = {"executor": "ray", "address": address} if address else {"workers": 2}
    outcome = run_jobs(jobs, place, progress=False, **where)
    print(json.dumps(list(outcome.ran)))
    sys.exit(not outcome.complete)
