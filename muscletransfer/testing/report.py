"""Collect what a contract check found: all of it, and not the first alone."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np
import torch

from muscletransfer.errors import ContractError

__all__ = ["Checks", "ContractReport", "same_draws", "untouched_random_state"]


@dataclass(frozen=True)
class ContractReport:
    """What held.

    .. versionadded:: 0.1

    Args:
        subject: What was checked.
        passed: The checks, in words.

    Example:
        >>> ContractReport("mylab/plain", ("is built by its name",)).passed
        ('is built by its name',)
    """

    subject: str
    passed: tuple[str, ...]


class Checks:
    """Run checks one after the other and raise once, with everything that failed.

    Args:
        subject: What is checked, for the messages.
        owner: Where it comes from, see :func:`~muscletransfer.registry.owner_of`.

    Example:
        >>> checks = Checks("tiny", "module 'tiny'")
        >>> with checks("it is small"):
        ...     raise ContractError("It is large. Make it smaller.")
        >>> checks.finish()
        Traceback (most recent call last):
        muscletransfer.errors.ContractError: tiny, of module 'tiny', does not keep its contract:
        - it is small: It is large. Make it smaller.
    """

    def __init__(self, subject: str, owner: str) -> None:
        self.subject = subject
        self.owner = owner
        self.passed: list[str] = []
        self.failed: list[str] = []
        self._cause: Exception | None = None

    @contextmanager
    def __call__(self, what: str) -> Iterator[None]:
        """Count what happens inside as one check; an error of any kind is a failure of it."""
        try:
            yield
        except Exception as error:
            mine = isinstance(error, ContractError)
            told = str(error) if mine else f"{type(error).__name__}: {error}"
            self.failed.append(f"- {what}: {told}")
            self._cause = error
        else:
            self.passed.append(what)

    def finish(self) -> ContractReport:
        """Return the report.

        Raises:
            ContractError: When a check failed; the message lists each.
        """
        if self.failed:
            raise ContractError(
                "\n".join(
                    [f"{self.subject}, of {self.owner}, does not keep its contract:", *self.failed]
                )
            ) from self._cause
        return ContractReport(self.subject, tuple(self.passed))


@contextmanager
def untouched_random_state(who: str, way_out: str) -> Iterator[None]:
    """Refuse draws from the global generators of torch, NumPy and Python.

    Args:
        who: What runs inside, for the message.
        way_out: What to do instead.

    Raises:
        ContractError: When a global state moved inside.

    Example:
        >>> with untouched_random_state("make_targets", "Use self.generator."):
        ...     torch.rand(1)
        Traceback (most recent call last):
        muscletransfer.errors.ContractError: make_targets drew from torch's global generator. ...
    """
    states = _states()
    yield
    for (name, before), (_, after) in zip(states, _states(), strict=True):
        if before != after:
            raise ContractError(f"{who} drew from {name}'s global generator. {way_out}")


def same_draws(make: Callable[[], object]) -> object:
    """Call with the global generators in a fixed state, and put them back."""
    python, numpy = random.getstate(), np.random.get_state()
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        random.seed(0)
        np.random.seed(0)
        try:
            return make()
        finally:
            random.setstate(python)
            np.random.set_state(numpy)


def _states() -> list[tuple[str, object]]:
    numpy = np.random.get_state(legacy=False)
    return [
        ("torch", torch.get_rng_state().numpy().tobytes()),
        ("NumPy", repr((numpy["state"]["key"].tobytes(), numpy["state"]["pos"]))),
        ("Python", random.getstate()),
    ]
