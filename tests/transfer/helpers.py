"""What several tests of this folder need."""

import torch
from torch import nn


def randomise(module: nn.Module, seed: int = 0) -> nn.Module:
    """Give every tensor of a module a value of its own, norm statistics included."""
    generator = torch.Generator().manual_seed(seed)
    for name, tensor in module.state_dict().items():
        if tensor.is_floating_point():
            drawn = torch.rand(tensor.shape, generator=generator)
            if name.endswith("running_var") or (tensor.ndim == 1 and name.endswith("weight")):
                tensor.copy_(0.5 + drawn)
            else:
                tensor.copy_((drawn - 0.5) / max(1, tensor[0].numel()) ** 0.5)
        else:
            tensor.fill_(17)
    return module
