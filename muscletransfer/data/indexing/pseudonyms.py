"""Names that say nothing: running numbers, or a keyed hash that is the same in every run."""

from __future__ import annotations

import csv
import hashlib
import hmac
import io
import os
import secrets
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from muscletransfer.data.files import atomic_path
from muscletransfer.errors import DataError, SettingError

__all__ = ["hashed", "numbered", "read_or_make_key", "write_private"]

_KEY_BYTES = 32
_LEAST_KEY = 16
_DIGITS = 12


def numbered(keys: Iterable[str], contents: Iterable[str] = ()) -> dict[str, str]:
    """Number patients, after four digits that stand for who they are.

    The same patients get the same names in every run, wherever their files lie and in whatever
    order they are met; among other patients nobody is called alike. So a split of one index never
    names somebody else in another. The order of the numbers says nothing about that of the ids.

    Args:
        keys: What tells patients apart.
        contents: What files hold whose keys other people of another tree may have too: a place,
            or a subject such as ``sub-01``.

    Example:
        >>> numbered(["b", "a", "b"])
        {'b': 'PD26D-0001', 'a': 'PD26D-0002'}
        >>> numbered(["a", "b", "c"])["a"]
        'P8B7B-0003'
    """
    found = sorted(set(keys))
    told = [found, *([held] if (held := sorted(contents)) else [])]
    tag = hashlib.sha256(",".join(map(repr, told)).encode()).hexdigest()[:4].upper()
    found.sort(key=lambda key: hashlib.sha256(f"{tag}|{key}".encode()).digest())
    return {key: f"P{tag}-{number:04d}" for number, key in enumerate(found, 1)}


def hashed(keys: Iterable[str], secret: bytes) -> dict[str, str]:
    """Give each patient the first digits of an HMAC-SHA-256 (RFC 2104) of who it is.

    Without the secret, ids cannot be tried one by one until a pseudonym fits.

    Args:
        keys: What tells patients apart.
        secret: The key.

    Raises:
        DataError: Two patients get one pseudonym (less likely than 1 in 500 million for 1,000).
    """
    found: dict[str, str] = {}
    for key in dict.fromkeys(keys):
        code = hmac.new(secret, key.encode(), hashlib.sha256).hexdigest()
        found[key] = f"P{code[:_DIGITS].upper()}"
    if len(set(found.values())) < len(found):
        raise DataError("two patients get one pseudonym under this key; wanted two. Use another.")
    return found


def read_or_make_key(path: Path) -> bytes:
    """Read the secret of a file, or write a new one there that its owner alone can read.

    Raises:
        SettingError: The file holds too little to be a secret.
        DataError: It cannot be read or written.
    """
    try:
        if path.exists():
            secret = path.read_bytes().strip()
            if len(secret) < _LEAST_KEY:
                raise SettingError(
                    f"{path}: holds {len(secret)} bytes; wanted a secret of at least {_LEAST_KEY}. "
                    "Name a file that is not there, and one is made."
                )
            return secret
        secret = secrets.token_hex(_KEY_BYTES).encode()
        write_private(path, secret.decode() + "\n")
    except OSError as error:
        raise DataError(
            f"{path}: the key cannot be read or written ({error.strerror}); wanted a file of your "
            "own."
        ) from error
    return secret


def write_private(path: Path, text: str) -> None:
    """Write a file that only its owner may read (mode 0600), whole or not at all."""
    with atomic_path(path) as temporary:
        handle = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(handle, "w", encoding="utf-8", newline="") as file:
            file.write(text)


def link_table(rows: Sequence[Mapping[str, str]]) -> str:
    """Return the CSV that leads from pseudonyms back to patients."""
    text = io.StringIO(newline="")
    writer = csv.DictWriter(
        text,
        ["patient_id", "original_patient_id", "name", "birth_date", "sex"],
        lineterminator="\n",
    )
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue()
