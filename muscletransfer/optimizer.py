"""AdamW as all training of this library uses it by default."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.optim import AdamW

__all__ = ["ChannelsLastAdamW"]


class ChannelsLastAdamW(AdamW):
    """torch's AdamW, whose fused CPU kernel does not copy kernels that lie channels last.

    Loshchilov & Hutter, ICLR 2019 (arXiv 1711.05101). The fused kernel of the CPU first makes every
    tensor contiguous and copies the parameter back (torch 2.6 to 2.14): four copies of all weights
    a step, an eighth of the step of a small U-Net. The update is elementwise, so it may as well see
    the same memory as a contiguous view. Results, arguments, state and checkpoints are torch's own.

    That kernel (torch 2.14) also takes for granted that the moments lie as their parameter does,
    and pairs wrong elements where they do not, as after a resume in another memory layout. So
    moments that are loaded are laid out anew.

    Example:
        >>> conv = torch.nn.Conv2d(2, 4, 3).to(memory_format=torch.channels_last)
        >>> optimizer = ChannelsLastAdamW(conv.parameters(), lr=1e-3, fused=True)
        >>> conv(torch.ones(1, 2, 4, 4)).sum().backward()
        >>> optimizer.step()
        >>> conv.weight.is_contiguous(memory_format=torch.channels_last)
        True
    """

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Load a state, with the moments in the memory layout of the parameters.

        Args:
            state_dict: What `state_dict` of this or torch's AdamW returned, in any layout.
        """
        super().load_state_dict(state_dict)
        for param, state in self.state.items():
            for name, value in state.items():
                same = isinstance(value, Tensor) and value.shape == param.shape
                if same and value.stride() != param.stride():
                    state[name] = torch.empty_like(param, dtype=value.dtype).copy_(value)

    def _init_group(
        self, group: dict[str, Any], params: list[Tensor], grads: list[Tensor], *state: Any
    ) -> bool:
        has_complex = bool(super()._init_group(group, params, grads, *state))  # type: ignore[no-untyped-call]
        if group["fused"]:
            # The maxima that only AMSGrad has are an empty list otherwise.
            lists = [found for found in state if isinstance(found, list) and found]
            for index, param in enumerate(params):
                if param.device.type != "cpu" or not _lies_channels_last(param):
                    continue
                for tensors in (params, grads, *lists):
                    if tensors[index].ndim == 4:  # not the steps, which are scalars
                        tensors[index] = tensors[index].permute(0, 2, 3, 1)
        return has_complex


def _lies_channels_last(tensor: Tensor) -> bool:
    return (
        tensor.ndim == 4
        and not tensor.is_contiguous()
        and tensor.is_contiguous(memory_format=torch.channels_last)
    )
