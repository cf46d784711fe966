"""Seconds a step, without what happens once at the start."""

from __future__ import annotations

import time
from typing import Any

from lightning.pytorch import Callback

__all__ = ["StepClock"]


class StepClock(Callback):
    """Notes when the first training step ended, so that the time of the others can be told."""

    def __init__(self) -> None:
        self._first: float | None = None

    def on_train_batch_end(self, *_: Any, **__: Any) -> None:
        """Note the end of the first step."""
        if self._first is None:
            self._first = time.monotonic()

    def seconds_per_step(self, ended: float, steps: int) -> float | None:
        """Return the mean of all steps but the first; ``None`` with one step.

        Args:
            ended: `time.monotonic` after training, when the device has finished.
            steps: Steps taken.
        """
        if self._first is None or steps < 2:
            return None
        return round((ended - self._first) / (steps - 1), 6)
