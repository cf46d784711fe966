"""The contract of a pretext task, checked."""

from __future__ import annotations

import inspect
import json
import re
import tempfile
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from muscletransfer.encoders import create_encoder
from muscletransfer.errors import ContractError, MuscleTransferError
from muscletransfer.pretext.base import PretextTask
from muscletransfer.pretext.checks import PretextBatch
from muscletransfer.pretext.registry import pretext_class
from muscletransfer.pretext.unused import unused_error, unused_parameters
from muscletransfer.registry import owner_of
from muscletransfer.testing.batches import loader, quiet_trainer, sample_batch
from muscletransfer.testing.report import (
    Checks,
    ContractReport,
    same_draws,
    untouched_random_state,
)
from muscletransfer.testing.tiny import TINY_ENCODER
from muscletransfer.testing.two_processes import check_two_processes
from muscletransfer.transfer import load_encoder, save_encoder

__all__ = ["check_pretext_task"]

_WAY_OUT = "Pass generator=self.generator (and device=image.device) to every draw."


def check_pretext_task(
    task: str | type[PretextTask],
    *,
    channels: Sequence[int] = (1, 3, 4),
    size: int = 64,
    processes: int = 1,
    **settings: Any,
) -> ContractReport:
    """Check that a pretext task keeps its contract.

    With each number of channels: it trains and validates with finite losses and metrics; its
    puzzle is drawn from ``self.generator`` alone and leaves the batch as it was; gradients reach
    every parameter; images that are not square and of odd size work or are refused in words. Once:
    arguments are documented and plain, and a checkpoint and an exported encoder come back with the
    same features.

    .. versionadded:: 0.1

    Args:
        task: A registered name, or the class.
        channels: Numbers of image channels to try.
        size: Side of the images in pixels.
        processes: 2 also trains on two real processes, which takes about ten seconds and needs a
            class that can be imported.
        **settings: Arguments of the task, such as ``num_classes``; ``encoder`` is a tiny one unless
            given.

    Returns:
        What held.

    Raises:
        ContractError: When something does not hold; the message lists each, with what to change.
        UnknownNameError: When the name is not registered.

    Example:
        >>> check_pretext_task("classification", num_classes=3, channels=[1]).subject
        'classification'
    """
    cls = pretext_class(task) if isinstance(task, str) else task
    checks = Checks(task if isinstance(task, str) else task.__name__, owner_of(cls))
    settings = {"encoder": TINY_ENCODER, **settings}
    classes = int(settings.get("num_classes", 2))
    with checks("arguments are documented"):
        _check_documented(cls)
    for count in channels:
        built: list[PretextTask] = []
        with checks(f"builds for {count} channel(s)"):
            built.append(_build(cls, count, settings))
        if built:
            _check(checks, built[0], sample_batch(4, count, (size, size), classes), count)
            with checks(f"other sizes for {count} channel(s)"):
                for other in ((size, size + 32), (size + 1, size + 7)):
                    _check_size(built[0], sample_batch(3, count, other, classes))
    with checks("checkpoint and export come back"):
        _check_saving(_build(cls, channels[0], settings), channels[0], size, classes)
    if processes == 2:
        with checks("two processes"):
            given = {**settings, "in_channels": channels[0]}
            check_two_processes(cls, given, classes, size)
    return checks.finish()


def _build(cls: type[PretextTask], count: int, settings: dict[str, Any]) -> Any:
    parameters = inspect.signature(cls.__init__).parameters
    takes_all = any(p.kind is p.VAR_KEYWORD for p in parameters.values())
    for name in ("encoder", "in_channels"):
        if name not in parameters and not takes_all:
            raise ContractError(
                f"{cls.__name__}.__init__ has no argument {name}. Add it and hand it to "
                "super().__init__(encoder, in_channels, ...)."
            )
    return same_draws(lambda: cls(**{**settings, "in_channels": count}))


def _check_documented(cls: type[PretextTask]) -> None:
    docs = "\n".join(inspect.getdoc(c) or "" for c in cls.__mro__ if issubclass(c, PretextTask))
    if not cls.__doc__:
        raise ContractError(f"{cls.__name__} has no docstring. Say what it learns, and its Args.")
    names = [
        p.name
        for p in list(inspect.signature(cls.__init__).parameters.values())[1:]
        if p.kind not in (p.VAR_KEYWORD, p.VAR_POSITIONAL)
    ]
    missing = [n for n in names if not re.search(rf"^\s*{n}(\s*\([^)]*\))?:", docs, re.MULTILINE)]
    if missing:
        raise ContractError(
            f"{', '.join(missing)} of {cls.__name__}.__init__ is not documented. Add a line "
            f"'{missing[0]}: ...' under Args: of the class's docstring."
        )


def _check(checks: Checks, task: PretextTask, batch: dict[str, Tensor], count: int) -> None:
    with checks(f"puzzle of {count} channel(s) is drawn from self.generator"):
        _check_targets(task, batch)
    with checks(f"trains and validates with {count} channel(s)"):
        run = quiet_trainer()
        run.fit(task, loader(batch, len(batch["image"])))
        scores: dict[str, Any] = dict(run.callback_metrics)  # of training
        scores |= run.validate(task, loader(batch, 2), verbose=False)[0]
        wrong = [name for name, value in scores.items() if not torch.as_tensor(value).isfinite()]
        if wrong:
            raise ContractError(f"{', '.join(wrong)} is not finite: mend add_metrics.")
    with checks("gradients reach every parameter"):
        _check_gradients(task, batch)


def _check_targets(task: PretextTask, batch: dict[str, Tensor]) -> None:
    before = {name: tensor.clone() for name, tensor in batch.items()}
    found = []
    with untouched_random_state(f"{type(task).__name__}.make_targets", _WAY_OUT):
        for _ in range(2):
            task.generator.manual_seed(0)
            found.append(task.make_targets(PretextBatch(batch, task.task_name)))
    changed = [name for name, tensor in batch.items() if not torch.equal(tensor, before[name])]
    if changed:
        raise ContractError(
            f"make_targets changed batch[{changed[0]!r}] in place. Clone it first, or use "
            "operations without a trailing underscore."
        )
    if not _same(*found):
        raise ContractError(
            "make_targets made two puzzles from one state of self.generator, so a run cannot be "
            f"repeated. {_WAY_OUT}"
        )


def _same(one: Any, other: Any) -> bool:
    if isinstance(one, Tensor):
        return torch.equal(one, other)
    if isinstance(one, list | tuple):
        return all(_same(a, b) for a, b in zip(one, other, strict=True))
    if isinstance(one, dict):
        return all(_same(one[key], other[key]) for key in one)
    return bool(one == other)


def _loss(task: PretextTask, batch: dict[str, Tensor]) -> Tensor:
    task.generator.manual_seed(0)
    task.stage = "train"
    inputs, targets = task.make_targets(PretextBatch(batch, task.task_name))
    outputs = task(inputs)
    way_out = "Draw in make_targets, from self.generator."
    with untouched_random_state(f"{type(task).__name__}.compute_loss", way_out):
        return task.compute_loss(outputs, targets)


def _check_gradients(task: PretextTask, batch: dict[str, Tensor]) -> None:
    task.train()
    task.zero_grad()
    torch.autograd.backward(_loss(task, batch))
    unused = unused_parameters(task)
    task.zero_grad()
    if unused:
        raise unused_error(task, unused)


def _check_size(task: PretextTask, batch: dict[str, Tensor]) -> None:
    size = " x ".join(map(str, batch["image"].shape[-2:]))
    try:
        loss = _loss(task, batch)
    except MuscleTransferError:
        return  # refused in words
    except Exception as error:
        raise ContractError(
            f"an image of {size} pixels fails with {type(error).__name__}: {error}. Make it work, "
            "or raise ImageSizeError (muscletransfer.errors) that says which sizes do."
        ) from error
    if not bool(loss.isfinite()):
        raise ContractError(f"the loss of images of {size} pixels is {loss.item()}.")


def _check_saving(task: PretextTask, count: int, size: int, classes: int) -> None:
    if task._left_out:
        raise ContractError(
            f"the arguments {', '.join(task._left_out)} are objects, which a checkpoint cannot "
            "hold. Take a name or plain values, and build the object in __init__."
        )
    json.dumps(dict(task.hparams))
    batch = sample_batch(4, count, (size, size), classes)
    run = quiet_trainer()
    run.fit(task, loader(batch, 2))
    with tempfile.TemporaryDirectory() as folder:
        run.save_checkpoint(f"{folder}/task.ckpt")
        again = type(task).load_from_checkpoint(f"{folder}/task.ckpt")
        if dict(again.hparams) != dict(task.hparams):
            raise ContractError("the arguments of a reloaded task differ from those it had.")
        spec = task.encoder.spec
        fresh: Any = create_encoder(spec.name, spec.in_channels, spec.depth, **dict(spec.kwargs))
        load_encoder(fresh, save_encoder(task, f"{folder}/encoder.safetensors"))
    task.eval()
    for other, what in ((again.encoder, "checkpoint"), (fresh, "exported encoder")):
        with torch.no_grad():
            pairs = zip(task.encoder(batch["image"]), other.eval()(batch["image"]), strict=True)
            if not all(torch.allclose(a, b, rtol=1e-3, atol=1e-4) for a, b in pairs):
                raise ContractError(
                    f"the {what} gives other features. What changes features must be a parameter "
                    "or a buffer of self.encoder."
                )
