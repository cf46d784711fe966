"""Ids that say what is in a result: equal exactly when everything that can change it is equal."""

from __future__ import annotations

import hashlib
import json
from typing import Any

__all__ = ["RESULT_VERSION", "content_id", "content_key", "run_seed"]

RESULT_VERSION = 3
"""Raised when a change of the library changes the results of the same settings."""


def content_key(value: Any) -> str:
    """Return the SHA-256 of plain values, whatever the order of keys.

    Args:
        value: None, bool, numbers, text, lists and text-keyed dicts of these.

    Returns:
        64 hexadecimal digits.

    Example:
        >>> content_key({"a": 1, "b": [2.5]}) == content_key({"b": [2.5], "a": 1})
        True
    """
    canonical = json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    try:
        encoded = canonical.encode()
    except UnicodeEncodeError:  # a path that is no UTF-8: its odd bytes as escapes
        encoded = json.dumps(value, sort_keys=True, separators=(",", ":")).encode()
    return hashlib.sha256(encoded).hexdigest()


def content_id(value: Any) -> str:
    """Return the first 16 digits of `content_key` of the values and the result version.

    Example:
        >>> len(content_id({"n": 5})), content_id({"n": 5}) == content_id({"n": 10})
        (16, False)
    """
    return content_key([RESULT_VERSION, value])[:16]


def run_seed(seed: int, *keys: object) -> int:
    """Return a seed of its own for a part of the study, the same on every machine.

    Args:
        seed: The study's.
        keys: What the part is called.

    Returns:
        A whole number under 2**31.

    Example:
        >>> run_seed(0, "run", 1, 0) == run_seed(0, "run", 1, 0) != run_seed(0, "run", 0, 1)
        True
    """
    digest = hashlib.sha256("|".join(map(str, (seed, *keys))).encode()).digest()
    return int.from_bytes(digest[:4], "big") >> 1
