"""The encoder contract: a protocol for the module, a specification to build it again."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

from muscletransfer.errors import ContractError, SettingError
from muscletransfer.plain import PlainValue, freeze_mapping, hashable, thaw, unboxed

if TYPE_CHECKING:
    from torch import Tensor

__all__ = ["Encoder", "EncoderSpec"]

MAX_DEPTH = 5


@dataclass(frozen=True)
class EncoderSpec:
    """All that is needed to build an encoder again: plain values, hashable, never weights.

    .. versionadded:: 0.1

    Args:
        name: A name that :func:`~muscletransfer.encoders.create_encoder` knows.
        in_channels: Number of image channels, at least 1.
        depth: Number of halvings of the image, from 1 to 5; the pyramid has ``depth + 1`` levels.
        kwargs: Further arguments of the builder, plain values only (``output_stride``,
            ``img_size``, ...). Lists are kept as tuples; the mapping is read-only.

    Raises:
        ContractError: When ``name`` is no text or a kwarg is not plain.
        SettingError: When ``in_channels`` or ``depth`` is out of range.

    Example:
        >>> spec = EncoderSpec("timm/resnet18", in_channels=1, kwargs={"output_stride": 16})
        >>> spec.to_dict()["kwargs"]
        {'output_stride': 16}
        >>> EncoderSpec.from_dict(spec.to_dict()) == spec
        True
    """

    name: str
    in_channels: int = 1
    depth: int = MAX_DEPTH
    kwargs: Mapping[str, PlainValue] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for name in ("name", "in_channels", "depth"):
            object.__setattr__(self, name, unboxed(getattr(self, name)))
        if not isinstance(self.name, str) or not self.name:
            raise ContractError(
                f"The name of an encoder must be text such as 'timm/resnet18', found {self.name!r}."
            )
        check_count("in_channels", self.in_channels, 1, None)
        check_count("depth", self.depth, 1, MAX_DEPTH)
        where = f"the kwargs of encoder {self.name!r}"
        object.__setattr__(self, "kwargs", freeze_mapping(self.kwargs, where))

    def __hash__(self) -> int:
        return hash((self.name, self.in_channels, self.depth, hashable(self.kwargs)))

    def __reduce__(self) -> tuple[Any, ...]:
        # A read-only mapping cannot be pickled, and spawned workers pickle the modules.
        return (EncoderSpec.from_dict, (self.to_dict(),))

    def to_dict(self) -> dict[str, Any]:
        """Return plain dicts and lists, ready for JSON or a checkpoint."""
        return {
            "name": self.name,
            "in_channels": self.in_channels,
            "depth": self.depth,
            "kwargs": thaw(self.kwargs),
        }

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> EncoderSpec:
        """Read what :meth:`to_dict` wrote.

        Args:
            values: A mapping with ``name`` and any of ``in_channels``, ``depth``, ``kwargs``.

        Returns:
            The specification.

        Raises:
            ContractError: When a key is missing or unknown, or a value is not usable.
        """
        check_keys("an encoder specification", values, {"name"}, {"in_channels", "depth", "kwargs"})
        return cls(**values)


@runtime_checkable
class Encoder(Protocol):
    """What every encoder is: an ``nn.Module`` that turns images into a pyramid of features.

    The pyramid is the one of segmentation-models-pytorch, so each of its decoders fits:
    ``depth + 1`` tensors at strides 1, 2, 4, ... of which the first is the image itself. An
    architecture that starts at stride 4 (Swin, ConvNeXt, ViT) has a feature of **0 channels** at
    stride 2. A dilated encoder (``output_stride=16`` or ``8``) stays at that stride from there on.

    .. versionadded:: 0.1

    Attributes:
        out_channels: Channels of each level, ``depth + 1`` numbers; the first is the number of
            image channels.
        output_stride: Stride of the last level; image height and width must be multiples of it.
        spec: How to build the encoder again.

    Example:
        >>> import torch
        >>> from muscletransfer import create_encoder
        >>> encoder = create_encoder("timm/resnet18", in_channels=1)
        >>> isinstance(encoder, Encoder), encoder.out_channels, encoder.output_stride
        (True, [1, 64, 64, 128, 256, 512], 32)
        >>> [tuple(f.shape[2:]) for f in encoder(torch.zeros(1, 1, 64, 64))]
        [(64, 64), (32, 32), (16, 16), (8, 8), (4, 4), (2, 2)]
    """

    @property
    def out_channels(self) -> list[int]:
        """Channels of each level, from stride 1 on."""

    @property
    def output_stride(self) -> int:
        """Stride of the last level."""

    @property
    def spec(self) -> EncoderSpec:
        """How to build the encoder again."""

    def forward(self, x: Tensor) -> list[Tensor]:
        """Turn images (B, C, H, W) into ``depth + 1`` features at strides 1, 2, 4, ..."""

    def __call__(self, x: Tensor) -> list[Tensor]:
        """Run :meth:`forward` with the module's hooks."""


def check_count(name: str, value: object, lowest: int, highest: int | None) -> int:
    """Return a whole number in its range, or raise an error that says the range.

    Args:
        name: The argument's name, for the message.
        value: The value found.
        lowest: The lowest allowed value.
        highest: The highest allowed value, or ``None`` for no limit.

    Returns:
        The value.

    Raises:
        SettingError: When it is not a whole number or out of range.

    Example:
        >>> check_count("depth", 9, 1, 5)
        Traceback (most recent call last):
        muscletransfer.errors.SettingError: depth is 9; wanted a whole number from 1 to 5.
    """
    wanted = f"of at least {lowest}" if highest is None else f"from {lowest} to {highest}"
    whole = isinstance(value, int) and not isinstance(value, bool)
    if not whole or value < lowest or (highest is not None and value > highest):  # type: ignore[operator]
        raise SettingError(f"{name} is {value!r}; wanted a whole number {wanted}.")
    return value  # type: ignore[return-value]


def check_keys(what: str, values: object, required: set[str], optional: set[str]) -> None:
    """Check the keys of a mapping that was read back.

    Args:
        what: What the mapping describes, for the message.
        values: The mapping.
        required: Keys that must be there.
        optional: Keys that may be there.

    Raises:
        ContractError: When it is no mapping, a required key is missing or another key is there.

    Example:
        >>> check_keys("a thing", {"nam": 1}, {"name"}, set())
        Traceback (most recent call last):
        muscletransfer.errors.ContractError: a thing has ... missing 'name'; unknown 'nam'...
    """
    if not isinstance(values, Mapping):
        raise ContractError(f"{what} must be a mapping, found {values!r}.")
    found = {str(key) for key in values}
    missing = sorted(required - found)
    unknown = sorted(found - required - optional)
    parts = [f"missing {', '.join(map(repr, missing))}"] if missing else []
    parts += [f"unknown {', '.join(map(repr, unknown))}"] if unknown else []
    if parts:
        known = ", ".join(sorted(required | optional))
        raise ContractError(
            f"{what} has the wrong keys: {'; '.join(parts)}. Known keys: {known}. A file of a "
            f"newer muscletransfer may hold more: then update muscletransfer."
        )
