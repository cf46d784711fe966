"""``fit``, ``validate``, ``test`` and ``predict``: LightningCLI with this library's defaults."""

from __future__ import annotations

import contextlib
import csv
import pickle
import sys
import traceback
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import torch
from lightning.pytorch import LightningDataModule, LightningModule, Trainer
from lightning.pytorch.callbacks import Checkpoint
from lightning.pytorch.cli import LightningArgumentParser, LightningCLI
from lightning.pytorch.utilities import rank_zero_only

import muscletransfer.data
import muscletransfer.pretext
from muscletransfer.cli.choosing import add_optimizer_arguments, choose, merge, split_off
from muscletransfer.cli.model_names import PARSER_MODE, arguments_with_class_paths
from muscletransfer.errors import MuscleTransferError, SettingError, WeightsError
from muscletransfer.finetune import PredictionWriter, SegmentationFineTuner
from muscletransfer.hardware import recommended_precision
from muscletransfer.lazy import load_names
from muscletransfer.transfer import inspect_file, restoring

__all__ = ["MuscleTransferCLI", "run_lightning"]

_LIGHTNING_KEYS = {"pytorch-lightning_version", "state_dict"}
_UNREADABLE = (pickle.UnpicklingError, RuntimeError, EOFError, OSError, ValueError)


class MuscleTransferCLI(LightningCLI):
    """LightningCLI whose defaults suit the library.

    It keeps the best checkpoint by the model's own rule, seeds with 0 unless told otherwise, picks
    the fast precision of the machine, takes an optimiser and a schedule by class path, writes a row
    a case after ``test`` and masks after ``predict``. Every Trainer flag stays available.
    """

    def __init__(self, *args: Any, changes: Mapping[str, Mapping[str, Any]], **kwargs: Any) -> None:
        self._changes = changes
        super().__init__(*args, **kwargs)

    def add_core_arguments_to_parser(self, parser: LightningArgumentParser) -> None:
        """As Lightning's, but a checkpoint can say which model it is: none is required."""
        parser.add_lightning_class_args(self.trainer_class, "trainer")
        defaults = {f"trainer.{k}": v for k, v in self.trainer_defaults.items()}
        parser.set_defaults(defaults)
        for kind, name, required in (
            (self._model_class, "model", False),
            (self._datamodule_class, "data", True),
        ):
            parser.add_lightning_class_args(kind, name, subclass_mode=True, required=required)

    def add_arguments_to_parser(self, parser: LightningArgumentParser) -> None:
        """Add ``--optimizer`` and ``--lr_scheduler``."""
        add_optimizer_arguments(parser)

    def before_instantiate_classes(self) -> None:
        """Say early that a checkpoint is missing or damaged, before data is prepared."""
        merge(self.config[str(self.subcommand)], self._changes)
        path = self._checkpoint()
        trusted = self.config[str(self.subcommand)].get("weights_only") is False
        if path is not None and _is_file_here(path) and not (trusted and Path(path).is_file()):
            _content(path)

    def instantiate_classes(self) -> None:
        """Build model, data and trainer; weights that a checkpoint will replace are not loaded."""
        # "last" may find none, as in the first start of a job that resumes: then they are the start
        replaced = self._checkpoint() not in (None, "last")
        guard = restoring() if replaced else contextlib.nullcontext()
        with guard, readable():
            super().instantiate_classes()
        if self.subcommand == "fit":
            asked = [self._get(self.config_init, name) for name in ("optimizer", "lr_scheduler")]
            choose(self.model, *asked)

    def instantiate_trainer(self, **kwargs: Any) -> Trainer:
        """Add the model's own checkpoint rule unless the configuration names one."""
        config = self._get(self.config_init, "trainer", default={})
        given = config.get("callbacks") or []
        callbacks = list(given) if isinstance(given, list) else [given]
        wants_checkpoints = config.get("enable_checkpointing") is not False
        no_rule = not any(isinstance(callback, Checkpoint) for callback in callbacks)
        if self.subcommand == "fit" and wants_checkpoints and no_rule:
            defaults = getattr(self.model, "default_callbacks", None)
            callbacks += defaults() if defaults is not None else []
        if self.subcommand == "predict" and isinstance(self.model, SegmentationFineTuner):
            root = Path(config.get("default_root_dir") or ".")
            callbacks.append(PredictionWriter(root / "predictions"))
        return super().instantiate_trainer(callbacks=callbacks, **kwargs)

    def after_fit(self) -> None:
        """Say where the best checkpoint is; the last one, where none was chosen by a figure."""
        checkpoint = self.trainer.checkpoint_callback
        best = getattr(checkpoint, "best_model_path", "")
        last = getattr(checkpoint, "last_model_path", "")
        if not getattr(checkpoint, "monitor", None):  # its "best" one is the latest
            if last or best:
                _say(f"last checkpoint: {Path(last or best).resolve()}")
        elif best:
            _say(f"best checkpoint: {Path(best).resolve()}")
        elif last:
            _say(f"last checkpoint (nobody validated): {Path(last).resolve()}")

    def after_test(self) -> None:
        """Write one row a test case beside the log."""
        if not isinstance(self.model, SegmentationFineTuner):
            return
        rows = self.model.case_table()
        folder = Path(self.trainer.log_dir or self.trainer.default_root_dir)
        _write_rows(folder / "cases.csv", rows)

    def _checkpoint(self) -> str | None:
        path = self.config.get(str(self.subcommand), {}).get("ckpt_path")
        return str(path) if path else None

    def _parse_ckpt_path(self) -> None:
        """Take the model's class and settings from the checkpoint when none are given.

        A checkpoint written outside the command line has no class path among its
        hyperparameters; it is in the block of ours instead.
        """
        command = self.config.get("subcommand")
        if not command or self.config[command].get("model"):
            return
        path = self.config[command].get("ckpt_path")
        if not path or not _is_file_here(str(path)):
            raise SettingError(
                "No model was named. Give it with --model, as in --model SegmentationFineTuner, in "
                "a --config file, or by the --ckpt_path of a file on this machine."
            )
        checkpoint = _content(str(path))
        settings = dict(checkpoint.get("hyper_parameters", {}))
        settings.pop("_instantiator", None)
        block = checkpoint.get("muscletransfer", {})
        class_path = settings.pop("_class_path", None) or block.get("class_path")
        if class_path is None:
            raise WeightsError(
                f"{path} does not say which model it holds. Name it with --model, as in "
                "--model SegmentationFineTuner."
            )
        model = {"class_path": class_path, "init_args": settings}
        self.config = self.parser.parse_object({command: {"model": model}}, self.config)


def _is_file_here(path: str) -> bool:
    """Whether it is no word of Lightning's (``best``, ``registry:name``) and no URL."""
    words = {"best", "last", "hpc", "registry"}
    return path not in words and not path.startswith("registry:") and "://" not in path


def _content(path: str) -> dict[str, Any]:
    """Read a checkpoint; its tensors stay in the file."""
    if not Path(path).is_file():
        raise WeightsError(
            f"--ckpt_path {path}: there is no such file. Give the path of a checkpoint "
            "that `muscletransfer fit` wrote (it prints it at the end)."
        )
    content = _loaded(path)
    keys = [str(key) for key in content] if isinstance(content, Mapping) else []
    if not _LIGHTNING_KEYS.issubset(keys):
        found = f"the keys {', '.join(keys[:5])}{', ...' * (len(keys) > 5)}" if keys else "none"
        raise WeightsError(
            f"--ckpt_path {path} is no checkpoint of Lightning, which has the keys "
            f"{' and '.join(sorted(_LIGHTNING_KEYS))} (found {found}); wanted a file that "
            "`muscletransfer fit` or Trainer.save_checkpoint wrote. To start from the weights of "
            "an encoder instead, pass a file of save_encoder as --model.weights."
        )
    return dict(content)


def _loaded(path: str) -> Any:
    """Return what torch finds in a file; ``None`` where it is one of weights for another reader."""
    try:
        return torch.load(path, "cpu", mmap=True, weights_only=True)
    except _UNREADABLE:  # perhaps a format too old to be mapped
        with contextlib.suppress(*_UNREADABLE):
            return torch.load(path, "cpu", weights_only=True)
    inspect_file(path)  # which says in words what is wrong
    return None


@contextlib.contextmanager
def readable() -> Iterator[None]:
    """Let an error of ours through that jsonargparse wrapped into one about types.

    Raises:
        MuscleTransferError: What a constructor raised, in its own words.
    """
    try:
        yield
    except Exception as error:
        ours = _ours_in(error)
        if ours is None:
            raise
        raise ours from None


def _ours_in(error: BaseException) -> MuscleTransferError | None:
    """Find an error of ours behind another one.

    Where a value fits none of several types, jsonargparse keeps only the first type's error as the
    cause, in many versions that of None; the others are in a list that its frames still hold.
    """
    waiting, seen = [error], set()
    while waiting:
        one = waiting.pop()
        if isinstance(one, MuscleTransferError):
            return one
        if id(one) in seen:
            continue
        seen.add(id(one))
        waiting += [linked for linked in (one.__context__, one.__cause__) if linked is not None]
        for frame, _ in traceback.walk_tb(one.__traceback__):
            for value in frame.f_locals.values():
                if isinstance(value, list):
                    waiting += [held for held in value if isinstance(held, Exception)]
    return None


@rank_zero_only
def _say(text: str) -> None:
    print(text)


@rank_zero_only
def _write_rows(path: Path, rows: list[dict[str, Any]]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    columns = list(dict.fromkeys(name for row in rows for name in row))
    with path.open("w", newline="") as file:
        writer = csv.DictWriter(file, fieldnames=columns)
        writer.writeheader()
        writer.writerows(rows)
    print(f"one row a case: {path}")


def run_lightning(arguments: list[str]) -> MuscleTransferCLI:
    """Run ``fit``, ``validate``, ``test`` or ``predict``.

    Args:
        arguments: The command word and everything after it.

    Returns:
        The command-line object, with its trainer and model.

    Raises:
        SettingError: If no model is named, or ``--print_config`` could not print what was given.
    """
    # So that `--model JigsawPretext` and `--data LowDataModule` are found by their short names.
    load_names(muscletransfer.pretext)
    load_names(muscletransfer.data)
    arguments, changes = split_off(arguments_with_class_paths(arguments))
    if changes and any(one.partition("=")[0] == "--print_config" for one in arguments):
        parts = ", ".join(f"--{name}.{key}" for name, values in changes.items() for key in values)
        raise SettingError(
            f"--print_config cannot print {parts}, which are put into the configuration after it "
            "was read. Write each of the two as one, as in "
            "--optimizer='{class_path: SGD, init_args: {momentum: 0.9}}'."
        )
    sys.argv = ["muscletransfer", *arguments]  # LightningCLI warns when the two differ
    return MuscleTransferCLI(
        LightningModule,
        LightningDataModule,
        subclass_mode_model=True,
        subclass_mode_data=True,
        seed_everything_default=0,
        trainer_defaults={"precision": recommended_precision()},
        save_config_kwargs={"overwrite": True},
        parser_kwargs={
            "prog": "muscletransfer",
            "parser_mode": PARSER_MODE,
            **{command: {"parser_mode": PARSER_MODE} for command in LightningCLI.subcommands()},
        },
        auto_configure_optimizers=False,
        changes=changes,
    )
