"""What the study engine itself costs: a job, a second worker, and Ray instead of processes.

Run from a checkout on an otherwise idle machine::

    python examples/benchmarks/study_engine.py [--only ray]

Bodies compute nothing of use: they return at once, burn the processor for a fixed amount of work,
or wait for a fixed time. A run of 60 s is stood in for by a shorter wait: what an executor adds to
a job does not depend on how long its body takes. The start is the time from the call to the end of
a study of one job, less the body's.
"""

from __future__ import annotations

import argparse
import hashlib
import statistics
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from muscletransfer.study.running import Job, run_jobs

if TYPE_CHECKING:  # a worker that looks for a body here must start as light as it can
    from record import Record

ROUNDS = 3
PARTS = ("overhead", "workers", "ray")


def nothing(payload: dict[str, Any], folder: Path) -> None:
    """Write one file."""
    (folder / "result.txt").write_text(str(payload["seed"]))


def burn(payload: dict[str, Any], folder: Path) -> None:
    """Do a fixed amount of work on one core."""
    digest = b""
    for _ in range(payload["rounds"]):
        digest = hashlib.sha256(digest).digest()
    (folder / "result.txt").write_text(digest.hex())


def wait(payload: dict[str, Any], folder: Path) -> None:
    """Take a fixed time."""
    time.sleep(payload["seconds"])


def study(count: int, body: str, executor: str = "local", **options: Any) -> float:
    """Seconds of a study of so many jobs."""
    payload = options.pop("payload", {})
    jobs = [
        Job(f"job{i}", "run", (), f"study_engine:{body}", {"seed": i, **payload})
        for i in range(count)
    ]
    with tempfile.TemporaryDirectory() as folder:
        begin = time.perf_counter()
        outcome = run_jobs(jobs, folder, executor, progress=False, **options)
        taken = time.perf_counter() - begin
    if not outcome.complete:
        raise SystemExit(f"{outcome.failed}")
    return taken


def overhead(record: Record, counts: list[int]) -> None:
    """Show seconds a job for studies of very different sizes."""
    from machine import spread, timed

    middle = {}

    print("\nWhat one job costs, beyond its body (one worker, a body that writes one file):")
    for count in counts:
        walls, processors = [], []
        for _ in range(ROUNDS if count < 1000 else 1):
            first = timed(lambda: study(1, "nothing"))
            many = timed(lambda count=count: study(count, "nothing"))
            walls.append((many[0] - first[0]) / (count - 1))
            processors.append((many[1] - first[1]) / (count - 1))
        note = f"of the processor {spread(processors).strip()}"
        record.add(f"a job of {count}", 1e3 * statistics.median(walls), "ms", note=note)
        middle[count] = statistics.median(walls)
    limit = 1.1 if counts[-1] >= 1000 else None
    what = f"a job of {counts[-1]} / a job of {counts[0]}"
    record.add(what, middle[counts[-1]] / middle[counts[0]], at_most=limit)


def two_at_a_time(record: Record, rounds: int) -> None:
    """Show what a second worker brings."""
    ratios = []
    for _ in range(ROUNDS):
        payload = {"rounds": rounds}
        one = study(8, "burn", workers=1, payload=payload)
        two = study(8, "burn", workers=2, payload=payload)
        ratios.append(one / two)
    note = f"{one:.1f} s and {two:.1f} s in the last round"
    what = "eight jobs bound by the processor: one at a time / two at a time"
    record.add(what, statistics.median(ratios), at_least=1.6, note=note)


def ray_beside_local(record: Record, seconds: float, count: int) -> None:
    """Show what Ray adds to a job and to a start."""
    from ray.cluster_utils import Cluster

    payload = {"seconds": seconds}
    cluster = Cluster(
        initialize_head=True, head_node_args={"num_cpus": 2, "include_dashboard": False}
    )
    options: dict[str, Any] = {"ray": {"address": cluster.address}, "local": {}}
    jobs: dict[str, list[float]] = {"local": [], "ray": []}
    starts: dict[str, list[float]] = {"local": [], "ray": []}
    for _ in range(ROUNDS):
        for name in jobs:
            settings = {"payload": payload, "workers": 1, **options[name]}
            first = study(1, "wait", name, **settings)
            many = study(count, "wait", name, **settings)
            starts[name].append(first - seconds)
            jobs[name].append((many - first) / (count - 1) - seconds)
    middle = {
        name: (statistics.median(starts[name]), statistics.median(jobs[name])) for name in jobs
    }
    for name, (start, job) in middle.items():
        record.add(f"{name}: start, cluster is up", start, "s")
        record.add(f"{name}: added to each job", 1e3 * job, "ms")
    added = (middle["ray"][0] - middle["local"][0], middle["ray"][1] - middle["local"][1])
    record.add("what Ray adds to a start", added[0], "s", at_most=2)
    note = f"measured with bodies of {seconds:g} s"
    record.add("what Ray adds to a run of 60 s", 100 * added[1] / 60, "%", at_most=3, note=note)
    cluster.shutdown()
    fresh = [study(1, "wait", "ray", payload=payload, workers=1) - seconds for _ in range(ROUNDS)]
    record.add("start of a study that has to start Ray itself", statistics.median(fresh), "s")


def main() -> None:
    """Run the three comparisons, or one."""
    from machine import describe
    from record import Record, add_json_argument

    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--only", choices=PARTS, help="one part of it")
    parser.add_argument("--seconds", type=float, default=2.0, help="of a body, for Ray")
    parser.add_argument("--jobs", type=int, default=6, help="of a study, for Ray")
    parser.add_argument("--counts", type=int, nargs="+", default=[10, 100, 1000], help="of jobs")
    parser.add_argument("--burn", type=int, default=1_000_000, help="rounds of work of a job")
    add_json_argument(parser)
    args = parser.parse_args()
    print(describe())
    record = Record("The engine of a study")
    if args.only in (None, "overhead"):
        overhead(record, sorted(args.counts))
    if args.only in (None, "workers"):
        two_at_a_time(record, args.burn)
    if args.only in (None, "ray"):
        ray_beside_local(record, args.seconds, args.jobs)
    record.write(args.json)


if __name__ == "__main__":
    main()
