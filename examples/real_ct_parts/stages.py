"""Stages: pieces of work whose result is one JSON file, done once and kept."""

from __future__ import annotations

import hashlib
import json
import os
import re
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from real_ct_parts.machine import describe_machine
from real_ct_parts.settings import Settings

Result = dict[str, Any]


class Stages:
    """Runs pieces of work and keeps their results, so that an interrupted run goes on.

    Args:
        folder: Where the JSON files go.
        settings: What the stages depend on; a result made under other settings is made anew.
        total: How many stages the run has, for the progress lines.
    """

    def __init__(self, folder: Path, settings: Settings, total: int) -> None:
        self.folder = folder
        self.total = total
        self.done = 0
        self.kept = 0
        self.settings = settings

    def run(self, name: str, work: Callable[[], Result]) -> Result:
        """Return the result of a stage, from its file where it was finished before.

        Args:
            name: Name of the stage; its first word is the part of the run.
            work: Does it and returns plain types.

        Returns:
            What ``work`` returned, with ``seconds`` and ``machine`` added.
        """
        self.done += 1
        text = json.dumps(self.settings.deciding(name.split()[0]), sort_keys=True)
        key = hashlib.sha256(text.encode()).hexdigest()
        path = self.folder / f"{re.sub(r'[^a-z0-9]+', '_', name.lower())}.json"
        head = f"[{self.done}/{self.total}] {name}"
        if path.is_file():
            kept: Result = json.loads(path.read_text())
            if kept["key"] == key:
                self.kept += 1
                print(f"{head}: kept", flush=True)
                return kept
        print(f"{head} ...", flush=True)
        started = time.monotonic()
        result = work()
        result |= {"key": key, "seconds": time.monotonic() - started}
        result["machine"] = describe_machine()
        self.folder.mkdir(parents=True, exist_ok=True)
        # Whole or not at all: a killed run must not leave half a result that is then kept.
        partial = path.with_suffix(f".{os.getpid()}.tmp")
        partial.write_text(json.dumps(result, indent=1))
        partial.replace(path)
        print(f"{head}: {result['seconds']:.0f} s{_told(result)}", flush=True)
        return result


def _told(result: Result) -> str:
    scores = result.get("scores", {})
    return "".join(f", {name} {value:.3f}" for name, value in scores.items())
