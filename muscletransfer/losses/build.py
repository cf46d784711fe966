"""Losses by name, class path or module."""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable, Mapping
from typing import Any, TypeVar

import torch
from torch import nn

from muscletransfer.class_paths import find_object
from muscletransfer.errors import ContractError, MuscleTransferError
from muscletransfer.losses.base import SegmentationLoss
from muscletransfer.losses.native import CrossEntropyLoss, SoftDiceLoss, WeightedSumLoss
from muscletransfer.losses.wrapped import OneHotLoss, OverlapLoss, PixelLoss

__all__ = ["build_loss", "list_losses"]

T = TypeVar("T")


def _cross_entropy(num_classes: int, ignore_index: int) -> SegmentationLoss:
    return CrossEntropyLoss(num_classes, ignore_index)


def _dice(num_classes: int, ignore_index: int, smooth: float = 1e-5) -> SegmentationLoss:
    return SoftDiceLoss(num_classes, ignore_index, smooth)


def _cross_entropy_dice(
    num_classes: int,
    ignore_index: int,
    dice_weight: float = 1.0,
    smooth: float = 1e-5,
) -> SegmentationLoss:
    dice = SoftDiceLoss(num_classes, ignore_index, smooth)
    return WeightedSumLoss([CrossEntropyLoss(num_classes, ignore_index), dice], [1.0, dice_weight])


def _focal(
    num_classes: int, ignore_index: int, gamma: float = 2.0, alpha: float | None = None
) -> SegmentationLoss:
    from monai.losses.focal_loss import FocalLoss

    focal = FocalLoss(gamma=gamma, alpha=alpha, use_softmax=num_classes > 1, reduction="none")
    return PixelLoss(focal, num_classes, ignore_index)


def _tversky(
    num_classes: int, ignore_index: int, alpha: float = 0.5, beta: float = 0.5
) -> SegmentationLoss:
    from monai.losses.tversky import TverskyLoss

    return OverlapLoss(TverskyLoss(alpha=alpha, beta=beta), num_classes, ignore_index)


def _generalized_dice(
    num_classes: int, ignore_index: int, w_type: str = "square"
) -> SegmentationLoss:
    from monai.losses.dice import GeneralizedDiceLoss

    # Background stays, with one class too: the weights of this loss exist to balance it against
    # the rest.
    loss = GeneralizedDiceLoss(w_type=w_type)
    return OverlapLoss(loss, num_classes, ignore_index, include_background=True)


_LOSSES: dict[str, Callable[..., SegmentationLoss]] = {
    "bce": _cross_entropy,
    "bce_dice": _cross_entropy_dice,
    "ce": _cross_entropy,
    "ce_dice": _cross_entropy_dice,
    "dice": _dice,
    "focal": _focal,
    "generalized_dice": _generalized_dice,
    "tversky": _tversky,
}


def list_losses() -> list[str]:
    """Return the names that :func:`build_loss` knows.

    .. versionadded:: 0.1

    Example:
        >>> list_losses()
        ['bce', 'bce_dice', 'ce', 'ce_dice', 'dice', 'focal', 'generalized_dice', 'tversky']
    """
    return sorted(_LOSSES)


def build_loss(
    loss: str | nn.Module,
    num_classes: int = 1,
    ignore_index: int = 255,
    loss_kwargs: Mapping[str, Any] | None = None,
) -> SegmentationLoss:
    """Build a loss that takes logits (B, K, H, W) and a target (B, H, W) of class indices.

    .. versionadded:: 0.1

    Args:
        loss: One of

            - a name: ``"bce_dice"`` (cross-entropy plus soft Dice; ``"ce_dice"`` is the same),
              ``"bce"`` (or ``"ce"``), ``"dice"``, ``"focal"``, ``"tversky"``,
              ``"generalized_dice"``. With one class the activation is a sigmoid, with several a
              softmax; the name does not change that.
            - the path of a class, such as ``"monai.losses.DiceCELoss"``; its ``sigmoid``,
              ``softmax`` or ``use_softmax`` argument is set for the number of classes.
            - a module. A :class:`SegmentationLoss` is used as it is; any other is called with
              logits and a one-hot target (see :class:`~muscletransfer.losses.OneHotLoss`).
        num_classes: Number of channels of the logits.
        ignore_index: Target value of pixels that do not count.
        loss_kwargs: Arguments of a named loss or class, for example
            ``{"alpha": 0.3, "beta": 0.7}`` for ``"tversky"``. Where a class wants a tensor, such as
            the class weights of ``"torch.nn.CrossEntropyLoss"``, numbers or a list of them do.

    Returns:
        The loss, a module without parameters of its own (unless the given one has some).

    Raises:
        UnknownNameError: When no loss has the name, or the path leads nowhere.
        PluginError: When the module of a path fails to import.
        ContractError: When the path is not a module class, ``loss_kwargs`` do not fit, or a given
            loss is made for another number of classes or another ignore index.

    Example:
        >>> import torch
        >>> loss = build_loss("tversky", loss_kwargs={"alpha": 0.3, "beta": 0.7})
        >>> logits = torch.zeros(2, 1, 8, 8, requires_grad=True)
        >>> loss(logits, torch.ones(2, 8, 8, dtype=torch.long)).backward()
        >>> bool((logits.grad < 0).all())
        True
    """
    kwargs = dict(loss_kwargs or {})
    if isinstance(loss, str) and loss in _LOSSES:
        return _call(_LOSSES[loss], f"loss {loss!r}", num_classes, ignore_index, **kwargs)
    if isinstance(loss, str):
        target = _loss_class(loss)
        kwargs = {name: _as_wanted(target, name, value) for name, value in kwargs.items()}
        if issubclass(target, SegmentationLoss):
            return _call(target, f"loss {loss!r}", num_classes, ignore_index, **kwargs)
        activation = {"sigmoid": num_classes == 1, "softmax": num_classes > 1}
        activation["use_softmax"] = num_classes > 1
        takes = inspect.signature(target).parameters
        preset: dict[str, Any] = {key: on for key, on in activation.items() if key in takes}
        module = _call(target, f"loss {loss!r}", **{**preset, **kwargs})
        return OneHotLoss(module, num_classes, ignore_index)
    if kwargs:
        raise ContractError(
            f"loss_kwargs={kwargs} were given with a ready module {type(loss).__name__}; "
            "pass them to its constructor instead."
        )
    if not isinstance(loss, nn.Module):
        raise ContractError(
            f"loss is a {type(loss).__name__}; wanted a name ({', '.join(list_losses())}), the "
            "path of a class, or an nn.Module."
        )
    if not isinstance(loss, SegmentationLoss):
        return OneHotLoss(loss, num_classes, ignore_index)
    if loss.num_classes != num_classes:
        raise ContractError(
            f"the loss {type(loss).__name__} is for num_classes={loss.num_classes} and the model "
            f"has num_classes={num_classes}; build the loss with the model's number."
        )
    if loss.ignore_index != ignore_index:
        raise ContractError(
            f"the loss {type(loss).__name__} ignores the value {loss.ignore_index}, and pixels "
            f"without a label are {ignore_index}, which it would count as the last class; build "
            f"it with ignore_index={ignore_index}."
        )
    return loss


def _loss_class(path: str) -> type[nn.Module]:
    """Import ``package.module.Class``."""
    hint = f"Known: {', '.join(list_losses())}; or the path of a class "
    hint += "('monai.losses.DiceCELoss'), or a module."
    found = find_object(path, "loss", known=list_losses(), hint=hint)
    if not (isinstance(found, type) and issubclass(found, nn.Module)):
        raise ContractError(f"loss {path!r} is not the class of an nn.Module, but {found!r}.")
    return found


def _as_wanted(target: type, name: str, value: Any) -> Any:
    """Make a tensor of numbers where a class takes nothing else: files hold only numbers."""
    parameter = inspect.signature(target).parameters.get(name)
    takes = set(re.findall(r"\w+", str(parameter.annotation))) if parameter else set()
    if "Tensor" not in takes or takes & {"float", "int", "Sequence", "list", "List"}:
        return value
    if not isinstance(value, list | tuple | int | float):
        return value
    try:
        return torch.tensor(value, dtype=torch.float32)
    except (TypeError, ValueError) as error:
        raise ContractError(
            f"loss_kwargs: {name!r} of {target.__name__} is {value!r}; wanted a tensor, or numbers "
            "that make one."
        ) from error


def _call(make: Callable[..., T], what: str, *args: object, **kwargs: object) -> T:
    """Call a constructor; name the arguments it takes when they do not fit."""
    signature = inspect.signature(make)
    try:
        signature.bind(*args, **kwargs)
    except TypeError as error:
        known = [
            name for name in signature.parameters if name not in ("num_classes", "ignore_index")
        ]
        raise ContractError(
            f"{what} does not take loss_kwargs={kwargs}: {error}. It takes: "
            f"{', '.join(known) or 'none'}."
        ) from error
    try:
        return make(*args, **kwargs)
    except MuscleTransferError:
        raise
    except (TypeError, ValueError) as error:
        raise ContractError(f"{what} cannot be made with loss_kwargs={kwargs}: {error}") from error
