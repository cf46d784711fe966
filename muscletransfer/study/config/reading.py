"""Read a study's file and check everything that can be checked without opening an image."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from muscletransfer.errors import MuscleTransferError, SettingError
from muscletransfer.study.config.data import DataConfig
from muscletransfer.study.config.fields import (
    anything,
    each,
    flag,
    mapping,
    read_fields,
    takes,
    text,
    whole,
)
from muscletransfer.study.config.names import check_names, pretext_names
from muscletransfer.study.config.sources import read_source, transfer_word
from muscletransfer.study.config.study import NetworkPart, StudyConfig
from muscletransfer.study.config.training import (
    ComputeConfig,
    FineTuneConfig,
    HumanLevelConfig,
    PretrainingConfig,
    SelectionConfig,
    check_validations,
)
from muscletransfer.study.config.yaml_file import read_yaml

__all__ = ["config_from_dict", "read_config"]


@dataclass(frozen=True)
class _Encoder:
    name: str = field(metadata=takes(text))
    kwargs: dict[str, Any] = field(default_factory=dict, metadata=takes(mapping))
    depth: int = field(default=5, metadata=takes(whole(1, 5)))


@dataclass(frozen=True)
class _Decoder:
    name: str = field(metadata=takes(text))
    kwargs: dict[str, Any] = field(default_factory=dict, metadata=takes(mapping))


def _part(cls: type[_Encoder] | type[_Decoder]) -> Any:
    def read(given: Any, where: str) -> NetworkPart:
        one = read_fields(cls, {"name": given} if isinstance(given, str) else given, where)
        return NetworkPart(**vars(one))

    return read


@dataclass(frozen=True)
class _File:
    """The keys of the file."""

    data: Any = field(metadata=takes(anything))
    sources: Any = field(metadata=takes(anything))
    name: str = field(default="", metadata=takes(text))
    train_patients: tuple[int, ...] = field(
        default=(5, 10, 25, 50, 75, 100, 125), metadata=takes(each(whole(1)))
    )
    repeats: int = field(default=1, metadata=takes(whole(1)))
    encoders: tuple[NetworkPart, ...] = field(
        default=(NetworkPart("timm/resnet18"),), metadata=takes(each(_part(_Encoder)))
    )
    decoders: tuple[NetworkPart, ...] = field(
        default=(NetworkPart("unet"),), metadata=takes(each(_part(_Decoder)))
    )
    transfers: tuple[str, ...] = field(default=("encoder",), metadata=takes(each(transfer_word)))
    pretraining: Any = field(default=None, metadata=takes(anything))
    finetune: Any = field(default=None, metadata=takes(anything))
    selection: Any = field(default=None, metadata=takes(anything))
    compute: Any = field(default=None, metadata=takes(anything))
    human_level: Any = field(default=None, metadata=takes(anything))
    loggers: Any = field(default=(), metadata=takes(each(anything, 0)))
    keep_weights: bool = field(default=False, metadata=takes(flag))


def read_config(path: str | Path) -> StudyConfig:
    """Read a study's file.

    .. versionadded:: 0.1

    Args:
        path: The YAML.

    Returns:
        The study; relative paths in it start from the file's folder.

    Raises:
        SettingError, UnknownNameError: What is wrong, where, and what would do.

    Example:
        >>> import tempfile
        >>> file = Path(tempfile.mkdtemp()) / "small.yaml"
        >>> _ = file.write_text('''
        ... data: {phantom: {patients: 12}, num_folds: 3}
        ... train_patients: [2, 4]
        ... sources: [random]
        ... ''')
        >>> config = read_config(file)
        >>> config.name, config.train_patients, config.sources[0].kind
        ('small', (2, 4), 'random')
    """
    path = Path(path)
    try:
        return config_from_dict(read_yaml(path), path.absolute().parent, path.stem)
    except MuscleTransferError as error:
        if str(error).startswith(str(path)):
            raise
        raise type(error)(f"{path}: {error}") from error


def config_from_dict(
    given: Any, root: Path = Path(), name: str = "study", *, check: bool = True
) -> StudyConfig:
    """Read a study from plain values.

    .. versionadded:: 0.1

    Args:
        given: What the YAML holds.
        root: Folder that relative paths start from.
        name: Its name, where the file has none.
        check: Whether it must be able to run: every name registered and installed here, and no step
            for nothing; not needed to look at results.

    Returns:
        The study.

    Raises:
        SettingError, UnknownNameError: As `read_config`.

    Example:
        >>> config = config_from_dict({
        ...     "data": {"phantom": {"patients": 12}, "num_folds": 3},
        ...     "train_patients": [2, 4], "sources": ["random"],
        ... })
        >>> config.sources[0].kind, config.data.num_folds
        ('random', 3)
    """
    if not isinstance(given, Mapping):
        raise SettingError(f"the file holds {given!r}; wanted keys such as data: and sources:.")
    file = read_fields(_File, given, "study")
    shared = read_fields(PretrainingConfig, file.pretraining, "pretraining")
    given_sources = file.sources if isinstance(file.sources, list) else [file.sources]
    known = pretext_names()
    if not given_sources:
        raise SettingError("sources is empty; wanted at least one, such as random.")
    sources = tuple(
        read_source(one, f"sources[{i}]", shared, known) for i, one in enumerate(given_sources)
    )
    config = StudyConfig(
        name=file.name or name,
        data=read_fields(DataConfig, file.data, "data"),
        train_patients=tuple(sorted(file.train_patients)),
        repeats=file.repeats,
        encoders=file.encoders,
        decoders=file.decoders,
        transfers=file.transfers,
        sources=sources,
        finetune=read_fields(FineTuneConfig, file.finetune, "finetune"),
        selection=read_fields(SelectionConfig, file.selection, "selection"),
        compute=read_fields(ComputeConfig, file.compute, "compute"),
        human_level=read_fields(HumanLevelConfig, file.human_level, "human_level"),
        loggers=dict(_logger(one, f"loggers[{i}]") for i, one in enumerate(file.loggers)),
        keep_weights=file.keep_weights,
        # a plan keeps it, and whoever reads that may work elsewhere
        root=Path(root).absolute(),
        given=dict(given),
    )
    if check:
        check_names(config)
        check_validations(config.finetune, config.selection)
    return config


def _logger(given: Any, where: str) -> tuple[str, dict[str, Any]]:
    """Read ``csv``, or ``{mlflow: {tracking_uri: ...}}``."""
    if isinstance(given, str):
        return given, {}
    one = mapping(given, where)
    if len(one) != 1:
        raise SettingError(f"{where} is {given!r}; wanted a name, or one name with arguments.")
    name, arguments = next(iter(one.items()))
    return name, mapping({} if arguments is None else arguments, f"{where}.{name}")
