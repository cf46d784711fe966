"""What this machine computes fast, so that the defaults can be the fast ones."""

from __future__ import annotations

from functools import lru_cache
from typing import Literal, TypeVar

import torch
from torch import nn

from muscletransfer.errors import UnknownNameError, close_matches

__all__ = ["recommended_precision", "supports_bf16_cpu", "use_channels_last"]

M = TypeVar("M", bound=nn.Module)

_ACCELERATORS = ("auto", "cpu", "cuda", "gpu", "hpu", "mps", "tpu", "xla")


@lru_cache(maxsize=1)
def supports_bf16_cpu() -> bool:
    """Tell whether this processor multiplies bfloat16 in hardware.

    That is AVX512-BF16 or AMX on x86, SVE-BF16 on ARM. bf16 autocast works without it too, but is
    then emulated and slower than float32.

    Returns:
        Whether it does.

    Example:
        >>> supports_bf16_cpu() in (True, False)
        True
    """
    capabilities = getattr(torch.cpu, "get_capabilities", None)
    if capabilities is not None:
        found = capabilities()
        return any(bool(found.get(name)) for name in ("avx512_bf16", "amx_bf16", "sve_bf16"))
    # Older torch has a function for each of these facts.
    checks = ("_is_avx512_bf16_supported", "_is_amx_tile_supported")
    return any(bool(getattr(torch.cpu, name, bool)()) for name in checks)


def recommended_precision(accelerator: str = "auto") -> Literal["bf16-mixed", "32-true"]:
    """Choose the ``precision`` of a ``lightning.Trainer`` by looking at the machine.

    Args:
        accelerator: The Trainer's ``accelerator``; ``"auto"`` takes a GPU when there is one.

    Returns:
        ``"bf16-mixed"`` where bfloat16 is multiplied in hardware (NVIDIA from Ampere on, ROCm, TPU,
        HPU, processors of :func:`supports_bf16_cpu`), else ``"32-true"``.

    Raises:
        UnknownNameError: When ``accelerator`` is none of Lightning's.

    Example:
        >>> recommended_precision("mps")
        '32-true'
        >>> recommended_precision("cpu") == ("bf16-mixed" if supports_bf16_cpu() else "32-true")
        True
    """
    if accelerator not in _ACCELERATORS:
        matches = close_matches(str(accelerator), _ACCELERATORS)
        hint = f" Did you mean {matches[0]!r}?" if matches else ""
        raise UnknownNameError(
            f"Unknown accelerator {accelerator!r}.{hint} Known: {', '.join(_ACCELERATORS)}."
        )
    if accelerator in ("auto", "gpu"):
        if torch.cuda.is_available():
            accelerator = "cuda"
        elif torch.backends.mps.is_available():
            accelerator = "mps"
        elif accelerator == "auto":
            accelerator = "cpu"
    fast = (
        accelerator in ("hpu", "tpu", "xla")
        or (accelerator == "cpu" and supports_bf16_cpu())
        or (
            accelerator == "cuda"
            and torch.cuda.is_available()
            and torch.cuda.is_bf16_supported(including_emulation=False)
        )
    )
    return "bf16-mixed" if fast else "32-true"


def use_channels_last(module: M) -> M:
    """Store the convolutions' weights channels last, which is the faster order on CPU and GPU.

    The values stay the same; the outputs follow the order by themselves.

    Args:
        module: Any module; changed in place.

    Returns:
        The module.

    Example:
        >>> conv = use_channels_last(nn.Conv2d(4, 8, 3))
        >>> conv.weight.is_contiguous(memory_format=torch.channels_last)
        True
    """
    module.to(memory_format=torch.channels_last)
    return module
