"""Section ``sources``: where the weights of fine-tuning start."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from muscletransfer.errors import SettingError
from muscletransfer.study.config.fields import (
    anything,
    choice,
    each,
    flag,
    mapping,
    read_fields,
    takes,
    text,
    whole,
)
from muscletransfer.study.config.images import ImagesConfig
from muscletransfer.study.config.training import PretrainingConfig
from muscletransfer.transfer.weights import FILE_SUFFIXES

__all__ = ["PretextConfig", "SourceConfig", "read_source"]

RANDOM = "random"
transfer_word = choice("encoder", "encoder+decoder")


@dataclass(frozen=True)
class TaskConfig:
    """A pretext task by registered name or class path, and its arguments."""

    class_path: str = field(metadata=takes(text))
    init_args: dict[str, Any] = field(default_factory=dict, metadata=takes(mapping))


@dataclass(frozen=True)
class PretextConfig:
    """A source task that the study trains.

    .. versionadded:: 0.1

    Args:
        task: Registered name or class path.
        init_args: Its arguments; encoder, depth, channels and seed are the study's.
        images: What it learns from.
        steps: Optimisation steps.
        batch_size: Images a step.
        per_repeat: Train it anew for each repeat, so that the spread of the results holds that of
            pre-training too.

    Example:
        >>> from muscletransfer.study.config import config_from_dict
        >>> config = config_from_dict({
        ...     "data": {"phantom": {"patients": 12}, "num_folds": 3}, "train_patients": [2],
        ...     "sources": [{"pretext": "jigsaw", "steps": 100, "data": {"images": "manifest"}}],
        ... })
        >>> config.sources[0].pretext.task, config.sources[0].pretext.steps
        ('jigsaw', 100)
    """

    task: str
    init_args: dict[str, Any]
    images: ImagesConfig
    steps: int
    batch_size: int
    per_repeat: bool = False


@dataclass(frozen=True)
class SourceConfig:
    """One way to start fine-tuning; what the paper calls a source task.

    .. versionadded:: 0.1

    Args:
        name: Name in tables and figures; by default that of the task, the weights or their file.
        kind: ``random``, ``weights`` or ``pretext``.
        freeze: ``encoder`` never trains the encoder.
        weights: Of ``weights``: a registered source (``imagenet``, ``coco``), a file, or
            ``hf-hub:org/name``.
        stem: ``strict``, or ``adapt`` to fit the first convolution to the images' channels.
        pretext: Of ``pretext``.
        transfers: What is taken over; ``None`` takes the study's list.
        encoders: Only these encoders of the study; ``None`` for all.
        decoders: Only these decoders of the study; ``None`` for all.

    Example:
        >>> SourceConfig("random, frozen", "random", freeze="encoder").weights is None
        True
    """

    name: str
    kind: str
    freeze: str = "none"
    weights: str | None = None
    stem: str = "strict"
    pretext: PretextConfig | None = None
    transfers: tuple[str, ...] | None = None
    encoders: tuple[str, ...] | None = None
    decoders: tuple[str, ...] | None = None


@dataclass(frozen=True)
class _Given:
    """A source as the file has it."""

    name: str = field(metadata=takes(text))
    weights: str | None = field(default=None, metadata=takes(text))
    stem: str = field(default="strict", metadata=takes(choice("strict", "adapt")))
    freeze: str = field(default="none", metadata=takes(choice("none", "encoder")))
    transfers: tuple[str, ...] | None = field(default=None, metadata=takes(each(transfer_word)))
    encoders: tuple[str, ...] | None = field(default=None, metadata=takes(each(text)))
    decoders: tuple[str, ...] | None = field(default=None, metadata=takes(each(text)))
    pretext: Any = field(default=None, metadata=takes(anything))
    data: dict[str, Any] = field(default_factory=dict, metadata=takes(mapping))
    steps: int | None = field(default=None, metadata=takes(whole(1)))
    batch_size: int | None = field(default=None, metadata=takes(whole(1)))
    per_repeat: bool = field(default=False, metadata=takes(flag))


def read_source(
    given: Any, where: str, shared: PretrainingConfig, pretexts: set[str]
) -> SourceConfig:
    """Read one source.

    Args:
        given: ``random``, the name of a weight source or a pretext task, or a mapping.
        where: Its place in the file.
        shared: Section ``pretraining``.
        pretexts: Names of registered pretext tasks, for a source that is only a name.

    Returns:
        The source.

    Raises:
        SettingError: Keys that do not go together.
        UnknownNameError: An unknown key or word.
    """
    if isinstance(given, str):
        short: dict[str, Any] = {}
        if given in pretexts:
            short["pretext"] = given
        elif given != RANDOM:
            short["weights"] = given
        given = short or {"name": RANDOM}
    one = read_fields(_Given, _named(given), where)
    if one.weights is not None and one.pretext is not None:
        raise SettingError(f"{where} ({one.name}) has both 'weights' and 'pretext'; wanted one.")
    common: dict[str, Any] = {
        "name": one.name,
        "freeze": one.freeze,
        "encoders": one.encoders,
        "decoders": one.decoders,
        "stem": one.stem,
        "transfers": one.transfers,
    }
    if one.pretext is not None:
        return SourceConfig(kind="pretext", pretext=_pretext(one, where, shared), **common)
    for key in ("data", "steps", "batch_size", "per_repeat"):
        if getattr(one, key):
            raise SettingError(
                f"{where} ({one.name}) has {key!r} and no 'pretext'; wanted a source task that "
                "learns from it, as pretext: jigsaw."
            )
    if one.weights is not None:
        return SourceConfig(kind="weights", weights=one.weights, **common)
    if one.transfers is not None:
        raise SettingError(
            f"{where} ({one.name}) starts from random weights, so nothing is transferred; remove "
            "'transfers', or give 'weights' or 'pretext'."
        )
    return SourceConfig(kind=RANDOM, **common)


def _named(given: Any) -> Any:
    """A source without a name is called after its task or weights; a file without its folders."""
    if isinstance(given, Mapping) and "name" not in given:
        task = given.get("pretext")
        task = task.get("class_path") if isinstance(task, Mapping) else task
        name = task or given.get("weights")
        if isinstance(name, str):
            path = Path(name)
            # so a file is known even where a plug-in is missing
            file = path.suffix in FILE_SUFFIXES or path.is_absolute() or name.startswith("~")
            file = file and task is None and not name.startswith("hf-hub:")
            return {"name": path.name if file else name, **given}
    return given


def _pretext(one: _Given, where: str, shared: PretrainingConfig) -> PretextConfig:
    task = {"class_path": one.pretext} if isinstance(one.pretext, str) else one.pretext
    wanted = read_fields(TaskConfig, task, f"{where}.pretext")
    for key in ("encoder", "depth", "in_channels", "seed"):
        if key in wanted.init_args:
            raise SettingError(
                f"{where}.pretext.init_args.{key}: the study sets it, the same for all sources; "
                "remove it. Encoders are listed under 'encoders', channels under "
                "data.preprocessing."
            )
    images = {**shared.data, **one.data}
    if "images" not in images:
        raise SettingError(
            f"{where} ({one.name}) has no images to learn from; wanted data: {{images: ...}} with "
            "'manifest' (the study's own, test patients left out), a path, or several, there or "
            "under pretraining.data."
        )
    return PretextConfig(
        task=wanted.class_path,
        init_args=wanted.init_args,
        images=read_fields(ImagesConfig, images, f"{where}.data"),
        steps=one.steps or shared.steps,
        batch_size=one.batch_size or shared.batch_size,
        per_repeat=one.per_repeat,
    )


def with_images(source: SourceConfig, images: ImagesConfig) -> SourceConfig:
    """Return the source with other images."""
    assert source.pretext is not None
    return dataclasses.replace(source, pretext=dataclasses.replace(source.pretext, images=images))
