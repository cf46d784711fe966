"""From the name of a study folder to its store."""

from __future__ import annotations

from pathlib import Path

from muscletransfer.study.running.local_store import LocalStore
from muscletransfer.study.running.store import Store

__all__ = ["open_store"]


def open_store(folder: str | Path) -> Store:
    """Open a study folder, local, shared or remote.

    Args:
        folder: A path, or a URL of fsspec (``s3://bucket/study``, ``gs://...``, ``sftp://...``).

    Returns:
        The store.

    Example:
        >>> type(open_store("studies/one")).__name__
        'LocalStore'
    """
    if "://" in str(folder):
        # fsspec takes time to load, and most study folders are paths
        from muscletransfer.study.running.remote import RemoteStore

        return RemoteStore(str(folder))
    return LocalStore(Path(folder))
