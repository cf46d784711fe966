"""Which class a checkpoint was written by, so that none is silently read as another."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypeVar

import torch
from lightning.pytorch.utilities import rank_zero_warn
from torch import Tensor, nn

from muscletransfer.errors import ContractError
from muscletransfer.transfer import CHECKPOINT_KEY

__all__ = ["check_class", "class_in_memory", "class_of", "class_path"]

C = TypeVar("C")


def class_path(module: nn.Module) -> str:
    """Return what a checkpoint says of the class of its task.

    Example:
        >>> class_path(nn.Linear(1, 1))
        'torch.nn.modules.linear.Linear'
    """
    return f"{type(module).__module__}.{type(module).__qualname__}"


def check_class(task: nn.Module, written: str, state: Mapping[str, Tensor]) -> None:
    """Warn where a checkpoint of another class is read, and refuse one that does not fit.

    Classes are told by their names, since a module may have moved.

    Args:
        task: What is to be filled.
        written: What `class_path` said when the checkpoint was written; empty in foreign files.
        state: The tensors, as ``task.load_state_dict`` will get them.

    Raises:
        ContractError: The other class has other parts.
    """
    name, own = written.rpartition(".")[2], type(task).__name__
    if not written or name in {one.__name__ for one in type(task).__mro__}:
        return
    shapes = {key: value.shape for key, value in task.state_dict().items()}
    if shapes != {key: value.shape for key, value in state.items()}:
        raise ContractError(
            f"The checkpoint holds a {name} ({written}), not a {own}, and has other parts. Load it "
            f"with {name}.load_from_checkpoint(path); to start from its weights only, pass "
            f"{own}(weights=path)."
        )
    rank_zero_warn(
        f"the checkpoint was written by {written} and is read as a {own}: what {name} changes, its "
        f"forward for example, is lost, and the outputs may be others. Wanted the same class: "
        f"{name}.load_from_checkpoint(path), and the model in place of the path."
    )


def class_of(path: str | Path, base: type[C]) -> type[C]:
    """Return the class that a checkpoint was written by, if the program has it already.

    Nothing is imported: the name in a file must not decide which code runs.

    Args:
        path: The checkpoint.
        base: What the class has to derive from; returned where it is not at hand, and for files
            that cannot be read, so that loading them says why.

    Example:
        >>> class_of("nowhere.ckpt", nn.Module).__name__
        'Module'
    """
    try:
        content: Any = torch.load(path, map_location="cpu", mmap=True, weights_only=True)
        written = content[CHECKPOINT_KEY]["class_path"]
    except Exception:  # whatever is wrong with it, loading it has the words
        return base
    return class_in_memory(str(written), base) or base


def class_in_memory(path: str, base: type[C]) -> type[C] | None:
    """Find a class by its path in the modules that are imported.

    Args:
        path: See `class_path`.
        base: What it has to derive from.

    Example:
        >>> class_in_memory("torch.nn.modules.linear.Linear", nn.Module).__name__
        'Linear'
        >>> class_in_memory("antigravity.Linear", nn.Module) is None
        True
    """
    words = path.split(".")
    for count in range(len(words) - 1, 0, -1):
        found: Any = sys.modules.get(".".join(words[:count]))
        if found is None:
            continue
        for word in words[count:]:
            found = vars(found).get(word) if hasattr(found, "__dict__") else None
        return found if isinstance(found, type) and issubclass(found, base) else None
    return None
