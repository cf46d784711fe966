"""What a second process costs a training: two under DDP (gloo), beside one alone and two apart.

Run from a checkout on an otherwise idle machine of two cores or more::

    python examples/benchmarks/two_processes.py

Every process has one thread and its own batch, on CPUs also where there is a GPU. "Alone" has the
machine to itself; of "two apart" both train at once without knowing of each other, so that what
they take from each other (memory, the clock of the processor) is seen; "two under DDP" exchange
gradients after each step. Also measured: the exchange of as many bytes by itself, that of one
number, the gathering of a table of test cases, and the making of a batch by the loader. These are
the figures that scaling.py goes on from.
"""

from __future__ import annotations

import argparse
import json
import os
import socket
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from machine import describe, quartiles
from record import Record, add_json_argument

from muscletransfer.data.synthetic import make_cohort

WORKER = Path(__file__).parent / "two_processes_parts" / "worker.py"
SIDES = {"alone": (1, False), "two apart": (2, False), "two under DDP": (2, True)}
LONGEST = 600  # seconds until a process that says nothing is given up


def free_port() -> str:
    """A port that nobody listens on."""
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return str(one.getsockname()[1])


def together(count: int, ddp: bool, settings: dict[str, Any]) -> list[dict[str, Any]]:
    """Start so many processes, let them begin at once, and return what each measured."""
    shared = {**os.environ, "OMP_NUM_THREADS": "1"}
    if ddp:
        shared |= {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": free_port()}
        shared |= {"WORLD_SIZE": str(count), "NODE_RANK": "0"}
    command = [sys.executable, WORKER, json.dumps({**settings, "ddp": ddp})]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
    # LOCAL_RANK tells Lightning that the processes were started for it.
    own = [{"RANK": str(k), "LOCAL_RANK": str(k)} if ddp else {} for k in range(count)]
    started = [subprocess.Popen(command, env={**shared, **more}, **pipes) for more in own]
    try:
        for process in started:
            if process.stdout.readline().strip() != "ready":
                raise SystemExit("a training process has failed before it trained")
        for process in started:
            process.stdin.write("\n")
            process.stdin.flush()
        told = [process.communicate(timeout=LONGEST)[0] for process in started]
    finally:
        for process in started:
            process.kill()
            process.wait()
    if any(process.returncode for process in started):
        raise SystemExit("a training process has failed")
    return [json.loads(text.splitlines()[-1]) for text in told]


def main() -> None:
    """Let the three take turns, print medians and ratios."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--encoder", default="resnet18", help="a timm name")
    parser.add_argument("--size", type=int, default=128)
    parser.add_argument("--batch", type=int, default=8, help="of each process")
    parser.add_argument("--steps", type=int, default=8)
    parser.add_argument("--cases", type=int, default=1000, help="of the gathered table, a process")
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--sides", nargs="+", choices=SIDES, default=list(SIDES))
    add_json_argument(parser)
    args = parser.parse_args()
    print(describe())
    shape = f"U-Net / {args.encoder}, {args.size} x {args.size}, batch {args.batch}"
    record = Record(f"Two processes under DDP on CPUs, one thread each: {shape}")
    names = ("encoder", "size", "batch", "steps", "cases")
    settings = {name: getattr(args, name) for name in names}
    found: dict[str, list[dict[str, Any]]] = {}
    with tempfile.TemporaryDirectory() as name:
        cohort = make_cohort(Path(name) / "c", patients=24, size=args.size, workers=1)
        settings |= {"manifest": str(cohort.manifest), "cache": str(Path(name) / "cache")}
        for _ in range(args.rounds):
            for side in args.sides:
                count, ddp = SIDES[side]
                found.setdefault(side, []).extend(together(count, ddp, settings))
    report(record, found, args.cases)
    record.write(args.json)


def report(record: Record, found: dict[str, list[dict[str, Any]]], cases: int) -> None:
    """Medians and ratios."""
    middle = {}
    for side, runs in found.items():
        steps = [one for run in runs for one in run["steps"]]
        middle[side] = statistics.median(steps)
        record.add(f"step, {side}", 1e3 * middle[side], "ms", note=quartiles(steps))
    for side in [one for one in middle if one != "alone" and "alone" in middle]:
        record.add(f"images a second: {side} / alone", 2 * middle["alone"] / middle[side])
    if {"two apart", "two under DDP"} <= set(middle):
        record.add("step: under DDP / apart", middle["two under DDP"] / middle["two apart"])
    connected = found.get("two under DDP")
    if connected is None:
        return
    size = connected[0]["gradient_bytes"]
    exchange = statistics.median(run["all_reduce"] for run in connected)
    one = statistics.median(run["all_reduce_of_one"] for run in connected)
    gather = statistics.median(run["gather"] for run in connected)
    batch = statistics.median(run["batch"] for runs in found.values() for run in runs)
    record.add("gradients", size / 1e6, "MB a step")
    record.add("exchange of as many bytes by itself", 1e3 * exchange, "ms")
    record.add("exchange of one number", 1e3 * one, "ms")
    record.add("gradients a second through the exchange", size / exchange / 1e9, "GB/s")
    record.add("a table of test cases", connected[0]["gather_bytes_a_case"], "bytes a case")
    record.add(f"gathering {cases} cases of each process", 1e3 * gather, "ms")
    record.add("a batch from the loader", 1e3 * batch, "ms")


if __name__ == "__main__":
    main()
