"""Train a task on two real processes and compare what they end with."""

from __future__ import annotations

import contextlib
import importlib
import json
import os
import signal
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from muscletransfer.errors import ContractError
from muscletransfer.quick_exit import exit_quickly

__all__ = ["check_two_processes"]

_SECONDS = 180


def check_two_processes(task: type, settings: dict[str, Any], num_classes: int, size: int) -> None:
    """Train a task for three steps under DDP, in processes of their own.

    Args:
        task: The task's class, at the top level of a module that can be imported.
        settings: Its arguments, plain values.
        num_classes: Classes of the labels and masks.
        size: Side of the images in pixels.

    Raises:
        ContractError: When it cannot be imported, fails, hangs, or the processes end with
            different weights.
    """
    if "<locals>" in task.__qualname__:
        raise ContractError(
            f"{task.__qualname__} is made inside a function, where no other process finds it. "
            "Define it at the top level of a module."
        )
    path = f"{task.__module__}:{task.__qualname__}"
    with tempfile.TemporaryDirectory() as folder:
        given = json.dumps([path, settings, num_classes, size, folder])
        code, told = _run([sys.executable, "-W", "ignore", "-m", __name__, given])
        found = [Path(folder) / f"{rank}.json" for rank in (0, 1)]
        if code or not all(file.is_file() for file in found):
            raise ContractError(f"training on two processes failed:\n{told[-1500:]}")
        first, second = (json.loads(file.read_text()) for file in found)
    if first != second:
        raise ContractError(
            "after three steps two processes hold different weights. Each must take part in every "
            "step: no parameter may be changed but by its gradient, and none made after __init__."
        )


def _run(command: list[str]) -> tuple[int, str]:
    """Run a command, and end it with its children when it takes too long."""
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("PYTEST", "LOCAL_", "NODE_"))}
    kept["PYTHONPATH"] = os.pathsep.join(filter(None, sys.path))
    process = subprocess.Popen(
        command,
        env=kept,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=os.name == "posix",
    )
    try:
        told, _ = process.communicate(timeout=_SECONDS)
    except subprocess.TimeoutExpired:
        told = f"nothing happened for {_SECONDS} s: one process waits for the other"
        process.returncode = 1
    finally:
        if os.name == "posix":
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)  # the second process, should it be left
        process.wait()
    return process.returncode, told


def main(path: str, settings: dict[str, Any], num_classes: int, size: int, folder: str) -> None:
    """Train, in one of the processes, and write the hash of the weights."""
    import torch

    from muscletransfer.testing.batches import loader, quiet_trainer, sample_batch
    from muscletransfer.testing.tiny import TINY_ENCODER  # noqa: F401 - registers it here too
    from muscletransfer.transfer import state_sha256

    torch.set_num_threads(1)
    torch.manual_seed(0)
    module, _, name = path.partition(":")
    task = getattr(importlib.import_module(module), name)(**settings)
    batch = sample_batch(12, settings.get("in_channels", 1), (size, size), num_classes)
    run = quiet_trainer(devices=2, strategy="ddp", max_steps=3)
    run.fit(task, loader(batch, 2))
    learned = {name: p.detach() for name, p in task.named_parameters()}
    Path(folder, f"{run.global_rank}.json").write_text(json.dumps(state_sha256(learned)))


if __name__ == "__main__":
    exit_quickly()
    main(*json.loads(sys.argv[1]))
