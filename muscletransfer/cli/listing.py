"""``muscletransfer list``: the names of one registry."""

from __future__ import annotations

__all__ = ["print_names"]


def print_names(what: str, pattern: str | None = None) -> None:
    """Print the registered names of one kind, one a line.

    Args:
        what: ``"encoders"``, ``"decoders"``, ``"pretexts"`` or ``"weights"``.
        pattern: Shell pattern that the names must match.

    Example:
        >>> print_names("weights", "imagenet")
        imagenet
    """
    import muscletransfer as mt
    from muscletransfer.decoders import list_decoders

    listed = {
        "encoders": mt.list_encoders,
        "decoders": list_decoders,
        "pretexts": mt.list_pretexts,
        "weights": mt.list_weights,
    }[what]
    for name in listed(pattern):
        print(name)
