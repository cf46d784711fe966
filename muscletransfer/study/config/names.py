"""Check every name of a study's file against what is registered and installed, before it starts."""

from __future__ import annotations

import importlib.util
from collections import Counter
from collections.abc import Iterable
from typing import TYPE_CHECKING

from muscletransfer.decoders.registry import list_decoders
from muscletransfer.encoders.registry import list_encoders
from muscletransfer.errors import MissingDependencyError, SettingError, UnknownNameError
from muscletransfer.losses import list_losses
from muscletransfer.pretext.registry import list_pretexts
from muscletransfer.study.config.fields import did_you_mean
from muscletransfer.transfer.weights import list_weights

if TYPE_CHECKING:
    from muscletransfer.study.config.sources import SourceConfig
    from muscletransfer.study.config.study import StudyConfig

__all__ = ["LOGGERS", "check_names", "check_weights_file", "is_weights_file", "pretext_names"]

LOGGERS = {
    "csv": (),
    "tensorboard": ("tensorboard", "tensorboardX"),
    "mlflow": ("mlflow",),
    "wandb": ("wandb",),
}
_HUB = "hf-hub:"


def pretext_names() -> set[str]:
    """Return the names of all pretext tasks, plug-ins included; none is imported."""
    return set(list_pretexts())


def check_names(config: StudyConfig) -> None:
    """Raise for the first name that nothing has.

    Args:
        config: The study.

    Raises:
        UnknownNameError: With close matches.
        SettingError: Names that repeat, or do not go together; a weight file that is not there.
        MissingDependencyError: A logger whose package is not installed.
    """
    for i, encoder in enumerate(config.encoders):
        # A tag of timm (resnet18.a1_in1k) says which weights, not another encoder.
        bare = encoder.name.partition(".")[0] if encoder.name.startswith("timm/") else encoder.name
        if bare not in list_encoders(bare):
            raise _unknown(f"encoders[{i}]", encoder.name, list_encoders(), "list encoders")
    for i, decoder in enumerate(config.decoders):
        if decoder.name not in list_decoders():
            raise _unknown(f"decoders[{i}]", decoder.name, list_decoders(), "list decoders")
    if "." not in config.finetune.loss and config.finetune.loss not in list_losses():
        raise _unknown("finetune.loss", config.finetune.loss, list_losses())
    for what, names in (
        ("encoders", [part.name for part in config.encoders]),
        ("decoders", [part.name for part in config.decoders]),
        ("sources", [source.name for source in config.sources]),
    ):
        twice = [name for name, count in Counter(names).items() if count > 1]
        if twice:
            raise SettingError(
                f"{what} has {twice[0]!r} twice; wanted different names, by which the tables tell "
                "them apart." + (" A source gets its own by 'name:'." if what == "sources" else "")
            )
    for i, source in enumerate(config.sources):
        _check_source(config, source, f"sources[{i}] ({source.name})")
    _check_loggers(config.loggers)
    if config.human_level.metric != "dice":  # scores bring pandas, which most files need not
        from muscletransfer.observers.scores import score_of

        score_of(config.human_level.metric)


def is_weights_file(weights: str) -> bool:
    """Whether ``weights`` means a file: neither a registered source nor a repository."""
    return not weights.startswith(_HUB) and weights not in list_weights()


def check_weights_file(config: StudyConfig, weights: str, where: str) -> None:
    """Raise unless a weight file is there.

    Args:
        config: The study.
        weights: The file, as the study's file has it.
        where: What it is an argument of, for the message.

    Raises:
        SettingError: With close matches among the weight sources, which it may have meant.
    """
    path = config.path(weights)
    if not path.is_file():
        raise SettingError(
            f"{where}.weights is {weights!r}, which is no file ({path}) and no weight "
            f"source.{did_you_mean(weights, list_weights())} Sources: "
            f"{', '.join(list_weights())}."
        )


def _check_source(config: StudyConfig, source: SourceConfig, where: str) -> None:
    for what in ("encoders", "decoders"):
        known = [part.name for part in getattr(config, what)]
        for name in getattr(source, what) or ():
            if name not in known:
                raise _unknown(f"{where}.{what}", name, known)
    if source.pretext is not None:
        task = source.pretext.task
        if task not in pretext_names() and ("." not in task or "/" in task):
            raise _unknown(f"{where}.pretext", task, pretext_names(), "list pretexts")
    if source.weights is not None:
        _check_weights(config, source, source.weights, where)


def _check_weights(config: StudyConfig, source: SourceConfig, weights: str, where: str) -> None:
    if is_weights_file(weights):
        check_weights_file(config, weights, where)
    elif not weights.startswith(_HUB):
        transfers = config.transfers if source.transfers is None else source.transfers
        if "encoder+decoder" in (source.transfers or ()) or transfers == ("encoder+decoder",):
            raise SettingError(
                f"{where}: {weights!r} holds no decoder; wanted transfers: [encoder]."
            )


def _check_loggers(loggers: Iterable[str]) -> None:
    for name in loggers:
        if name not in LOGGERS:
            raise _unknown("loggers", name, LOGGERS)
        packages = LOGGERS[name]
        if packages and not any(importlib.util.find_spec(package) for package in packages):
            raise MissingDependencyError(
                f"loggers: {name!r} needs the package {packages[0]!r}, which is not installed. "
                f"Run `pip install {packages[0]}` where the study runs, or remove the logger."
            )


def _unknown(where: str, name: str, known: Iterable[str], command: str = "") -> UnknownNameError:
    names = list(known)
    listed = f"`muscletransfer {command}` shows all" if command else f"Known: {', '.join(names)}"
    return UnknownNameError(f"{where}: unknown name {name!r}.{did_you_mean(name, names)} {listed}.")
