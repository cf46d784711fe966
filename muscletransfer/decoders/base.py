"""The decoder contract: a protocol for the module, a specification to build it again."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

from muscletransfer.encoders.base import check_keys
from muscletransfer.errors import ContractError
from muscletransfer.plain import PlainValue, freeze_mapping, hashable, thaw, unboxed

if TYPE_CHECKING:
    from torch import Tensor

__all__ = ["Decoder", "DecoderSpec"]


@dataclass(frozen=True)
class DecoderSpec:
    """All that is needed to build a decoder on an encoder again: plain values, never weights.

    .. versionadded:: 0.1

    Args:
        name: A name that :func:`~muscletransfer.decoders.create_decoder` knows.
        kwargs: Further arguments of the decoder, plain values only. Lists are kept as tuples; the
            mapping is read-only.

    Raises:
        ContractError: When the name is no text, or a kwarg is not plain.

    Example:
        >>> spec = DecoderSpec("unet", {"attention_type": "scse"})
        >>> DecoderSpec.from_dict(spec.to_dict()) == spec
        True
    """

    name: str
    kwargs: Mapping[str, PlainValue] = field(default_factory=dict)

    def __post_init__(self) -> None:
        object.__setattr__(self, "name", unboxed(self.name))
        if not isinstance(self.name, str) or not self.name:
            raise ContractError(
                f"The name of a decoder must be text such as 'unet', found {self.name!r}."
            )
        where = f"the kwargs of decoder {self.name!r}"
        object.__setattr__(self, "kwargs", freeze_mapping(self.kwargs, where))

    def __hash__(self) -> int:
        return hash((self.name, hashable(self.kwargs)))

    def __reduce__(self) -> tuple[Any, ...]:
        # A read-only mapping cannot be pickled, and spawned workers pickle the modules.
        return (DecoderSpec.from_dict, (self.to_dict(),))

    def to_dict(self) -> dict[str, Any]:
        """Return plain dicts and lists, ready for JSON or a checkpoint."""
        return {"name": self.name, "kwargs": thaw(self.kwargs)}

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> DecoderSpec:
        """Read what :meth:`to_dict` wrote.

        Args:
            values: A mapping with ``name`` and perhaps ``kwargs``.

        Returns:
            The specification.

        Raises:
            ContractError: When a key is missing or unknown, or a value is not usable.
        """
        check_keys("a decoder specification", values, {"name"}, {"kwargs"})
        return cls(**values)


@runtime_checkable
class Decoder(Protocol):
    """What every decoder is: an ``nn.Module`` that turns a pyramid into one feature map.

    .. versionadded:: 0.1

    Attributes:
        out_channels: Channels D of the feature map.
        stride: Its stride in pixels of the image; a head brings it back to the image's size.
        spec: How to build the decoder again.

    Example:
        >>> import torch
        >>> from muscletransfer.decoders import create_decoder
        >>> from muscletransfer.encoders import create_encoder
        >>> encoder = create_encoder("timm/resnet18", in_channels=1)
        >>> decoder = create_decoder("fpn", encoder)
        >>> isinstance(decoder, Decoder), decoder.out_channels, decoder.stride
        (True, 128, 4)
        >>> tuple(decoder(encoder(torch.zeros(1, 1, 64, 64))).shape)
        (1, 128, 16, 16)
    """

    @property
    def out_channels(self) -> int:
        """Channels of the feature map."""

    @property
    def stride(self) -> int:
        """Stride of the feature map in pixels of the image."""

    @property
    def spec(self) -> DecoderSpec:
        """How to build the decoder again."""

    def forward(self, features: Sequence[Tensor]) -> Tensor:
        """Turn the encoder's features into a map (B, D, H/stride, W/stride)."""

    def __call__(self, features: Sequence[Tensor]) -> Tensor:
        """Run :meth:`forward` with the module's hooks."""
