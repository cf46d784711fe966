"""Explain why weights of another library could not be had, and what to do without a network."""

from __future__ import annotations

import pickle
from collections.abc import Iterator
from contextlib import contextmanager

import safetensors

from muscletransfer.errors import WeightsError

__all__ = ["fetching"]


@contextmanager
def fetching(what: str, address: str, cache: str) -> Iterator[None]:
    """Turn the errors of other loaders into one that says what was tried.

    Args:
        what: The weights, for the message.
        address: Repository or URL that is read when the cache has no file.
        cache: Where a file would have been found.

    Raises:
        WeightsError: For any error of network, file system, or format inside the block.

    Example:
        >>> with fetching("weights of resnet18", "https://example.org/w.pth", "/cache/w.pth"):
        ...     raise OSError("Network is unreachable")
        Traceback (most recent call last):
        muscletransfer.errors.WeightsError: Cannot get weights of resnet18. Looked in the cache
        /cache/w.pth, then at https://example.org/w.pth: OSError: Network is unreachable. ...
    """
    try:
        yield
    except WeightsError:
        raise
    except (
        OSError,  # no network, no file; the errors of huggingface_hub and urllib derive from it
        RuntimeError,  # wrong hash, wrong keys or shapes, damaged zip
        ValueError,
        EOFError,
        pickle.UnpicklingError,
        safetensors.SafetensorError,
    ) as error:
        first = (str(error).strip().splitlines() or ["no message"])[0].rstrip(".")
        raise WeightsError(
            f"Cannot get {what}. Looked in the cache {cache}, then at {address}: "
            f"{type(error).__name__}: {first}. Without a network: on a machine that has one, load "
            "them into an encoder with load_encoder, write save_encoder(encoder, "
            "'encoder.safetensors'), and pass weights='encoder.safetensors' here. A cached "
            "file that is damaged must be deleted first."
        ) from error
