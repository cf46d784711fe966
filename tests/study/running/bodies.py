"""Bodies of the tests: real work in miniature, with a ledger of what was done when."""

from __future__ import annotations

import gc
import hashlib
import json
import os
import resource
import signal
import sys
from pathlib import Path
from typing import Any

ROUNDS = 8000  # about 5 ms on one core


def note(payload: dict[str, Any], word: str, **more: object) -> None:
    """Append one line in one call, so that processes never mix theirs."""
    line = json.dumps({"word": word, "id": payload["id"], "pid": os.getpid(), **more}) + "\n"
    handle = os.open(payload["ledger"], os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)
    os.write(handle, line.encode())
    os.close(handle)


def compute(payload: dict[str, Any], folder: Path) -> None:
    """Hash the seed and all that the job needs, many times over; write two files."""
    note(payload, "start", in_place=Path(payload["final"], "job.json").exists())
    digest = str(payload["seed"]).encode()
    for _, place in sorted(payload["needs"].items()):
        digest += (Path(place) / "result.txt").read_bytes()
    for _ in range(ROUNDS):
        digest = hashlib.sha256(digest).digest()
    (folder / "result.txt").write_text(digest.hex())
    (folder / "parts").mkdir()
    (folder / "parts" / "table.csv").write_text("\n".join(str(b) for b in digest))
    note(payload, "end")


def stubborn(payload: dict[str, Any], folder: Path) -> None:
    """Fail as long as the file ``trouble`` is there, having printed and written something."""
    if Path(payload["trouble"]).exists():
        print("a word before the end", flush=True)
        os.write(2, b"what C code would write\n")
        (folder / "half.txt").write_text("half")
        raise ValueError("there is trouble")
    compute(payload, folder)


def gated(payload: dict[str, Any], folder: Path) -> None:
    """Say through one pipe that it has begun, and go on when another opens."""
    compute(payload, folder)
    with open(payload["begun"], "w") as begun:
        begun.write("begun")
    with open(payload["gate"]) as gate:
        gate.read()


def settings(payload: dict[str, Any], folder: Path) -> None:
    """Write down what process it is and what it may use, then wait like `gated`."""
    names = ("CUDA_VISIBLE_DEVICES", "OMP_NUM_THREADS")
    facts: dict[str, Any] = {name: os.environ.get(name) for name in names}
    facts |= {"pid": os.getpid(), "passed_over": gc.get_freeze_count()}
    (folder / "facts.json").write_text(json.dumps(facts))
    if "gate" in payload:
        with open(payload["gate"]) as gate:
            gate.read()


def dies(payload: dict[str, Any], folder: Path) -> None:
    """Kill the own process as the system does when memory runs out, the first few times."""
    tries = Path(payload["tries"])
    with tries.open("a") as file:
        file.write("x")
    (folder / "half.txt").write_text("half")
    if len(tries.read_text()) <= payload["deaths"]:
        os.kill(os.getpid(), signal.SIGKILL)
    (folder / "half.txt").unlink()
    compute(payload, folder)


def fill(payload: dict[str, Any], folder: Path) -> None:
    """Write many bytes; the first jobs fit on a small disk."""
    note(payload, "start", in_place=Path(payload["final"], "job.json").exists())
    block = hashlib.sha256(str(payload["seed"]).encode()).digest() * 32
    with (folder / "bytes.bin").open("wb") as file:
        for _ in range(payload["kilobytes"]):
            file.write(block)
    note(payload, "end")


def full_device(payload: dict[str, Any], folder: Path) -> None:
    """Write to the device that answers like a full disk, through an error that hides the number."""
    (folder / "half.txt").write_text("half")
    try:
        with open("/dev/full", "wb", buffering=0) as file:
            file.write(b"x")
    except OSError as error:
        raise RuntimeError("the weights could not be written") from error


def too_large(payload: dict[str, Any], folder: Path) -> None:
    """Hit the limit on the size of one file: an error like any other, the disk is not full."""
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1024, resource.RLIM_INFINITY))
    try:
        (folder / "big.bin").write_bytes(bytes(4096))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY,) * 2)


def modules(payload: dict[str, Any], folder: Path) -> None:
    """Write down what this process has imported."""
    (folder / "modules.json").write_text(json.dumps(sorted(sys.modules)))


class SpeechlessError(Exception):
    """An error that cannot be put in words."""

    def __str__(self) -> str:
        raise RuntimeError("no words")


def complains(payload: dict[str, Any], folder: Path) -> None:
    """Fail with a message that no encoding has, one of many letters, or none at all."""
    with open(payload["tries"], "a") as file:
        file.write("x")
    if payload["of"] == "bytes":
        raise ValueError("cannot read " + os.fsdecode(b"caf\xe9.png"))
    if payload["of"] == "letters":
        raise ValueError("cannot read Größe.png")
    raise SpeechlessError


def ranks(payload: dict[str, Any], folder: Path) -> None:
    """Write down what Lightning would take this process for."""
    from lightning.fabric.utilities.rank_zero import rank_zero_only

    names = [n for n in os.environ if "RANK" in n or n.startswith(("SLURM", "JSM", "WORLD"))]
    facts = {"names": sorted(names), "rank": rank_zero_only.rank}
    (folder / "facts.json").write_text(json.dumps(facts))
