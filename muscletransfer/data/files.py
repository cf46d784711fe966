"""Files written whole or not at all, and fingerprints of their contents."""

from __future__ import annotations

import contextlib
import hashlib
import os
import secrets
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

__all__ = [
    "Flusher",
    "atomic_path",
    "digest",
    "digest_files",
    "fsync_folder",
    "write_text_atomic",
]

_RACY_NS = 2_000_000_000  # a file this young may change again without its time stamp changing


@contextmanager
def atomic_path(path: str | Path) -> Iterator[Path]:
    """Give a temporary name beside ``path`` and rename it there when the block succeeds.

    The temporary name ends like ``path``, because writers choose the format by the ending. When
    the block fails, the temporary file is removed and ``path`` stays as it was.

    Example:
        >>> import tempfile
        >>> target = Path(tempfile.mkdtemp()) / "a.txt"
        >>> with atomic_path(target) as temporary:
        ...     _ = temporary.write_text("whole")
        >>> target.read_text(), [p.name for p in target.parent.iterdir()]
        ('whole', ['a.txt'])
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    suffix = "".join(path.suffixes[-2:])
    temporary = path.parent / f".writing-{secrets.token_hex(8)}{suffix}"
    try:
        yield temporary
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


def write_text_atomic(path: str | Path, text: str) -> Path:
    """Write UTF-8 text whole or not at all, and return the path."""
    with atomic_path(path) as temporary:
        temporary.write_text(text, encoding="utf-8", newline="")
    return Path(path)


def digest(path: Path, memo_dir: Path | None = None) -> str:
    """Return the SHA-256 of a file's bytes, or of all files of a folder whatever their names.

    Args:
        path: A file, or a folder such as a DICOM series: its files only, not its subfolders, and
            neither hidden files nor a DICOMDIR, which readers pass over too.
        memo_dir: Where to remember digests by path, size and time of change, so that many volumes
            are hashed once and not at each start. A folder that cannot be read or written is not
            used.

    Returns:
        64 hexadecimal digits.

    Raises:
        OSError: The path cannot be read.
    """
    if path.is_dir():
        files = [p for p in path.iterdir() if p.is_file() and not _passed_over(p.name)]
        return digest_files(sorted(files), memo_dir, ordered=False)
    return _remembered([path], memo_dir, lambda: _sha256(path))


def digest_files(
    paths: Sequence[Path], memo_dir: Path | None = None, *, ordered: bool = True
) -> str:
    """Return one SHA-256 of the bytes of many files, whatever their names.

    Args:
        paths: The files.
        memo_dir: As in `digest`; one entry stands for all of them, so that a series of a thousand
            files costs a thousand looks at their time stamps and no more.
        ordered: Whether the order of the files counts.

    Returns:
        64 hexadecimal digits.

    Raises:
        OSError: A file cannot be read.
    """

    def compute() -> str:
        parts = [_sha256(path) for path in paths]
        text = "".join(parts if ordered else sorted(parts))
        return hashlib.sha256(text.encode()).hexdigest()

    return _remembered(paths, memo_dir, compute, "ordered" if ordered else "any order")


def _remembered(
    paths: Sequence[Path], memo_dir: Path | None, compute: Callable[[], str], kind: str = ""
) -> str:
    if memo_dir is None:
        return compute()
    seen = hashlib.sha256(kind.encode())
    newest = 0
    for path in paths:
        stat = path.stat()
        newest = max(newest, stat.st_mtime_ns)
        key = f"{os.path.abspath(path)}|{stat.st_size}|{stat.st_mtime_ns}|{stat.st_ino}\n"
        seen.update(os.fsencode(key))
    if time.time_ns() - newest <= _RACY_NS:
        return compute()
    memo = memo_dir / seen.hexdigest()
    with contextlib.suppress(OSError, ValueError):
        known = memo.read_text()
        if len(known) == 64:
            return known
    value = compute()
    with contextlib.suppress(OSError):  # of somebody else, full, or no folder at all
        write_text_atomic(memo, value)
    return value


def _passed_over(name: str) -> bool:
    return name.startswith(".") or name.upper() == "DICOMDIR"


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def fsync_folder(folder: Path) -> None:
    """Bring the files of a folder to the disk before it is renamed, so that a crash leaves none."""
    for path in folder.iterdir():
        with path.open("rb") as file:
            os.fsync(file.fileno())


class Flusher:
    """Brings a growing folder to the disk from a thread of its own, while it is being written.

    The last `fsync_folder` then has little left to wait for.

    Args:
        folder: The folder.
        every: How many notes make it worth while.
    """

    def __init__(self, folder: Path, every: int) -> None:
        self._folder, self._every, self._notes = folder, every, 0
        self._pool = ThreadPoolExecutor(1)
        self._running: Future[None] | None = None

    def note(self) -> None:
        """Say that something was written."""
        self._notes += 1
        if self._notes >= self._every and (self._running is None or self._running.done()):
            if self._running is not None:
                self._running.result()  # raises what went wrong
            self._notes, self._running = 0, self._pool.submit(fsync_folder, self._folder)

    def __enter__(self) -> Flusher:
        return self

    def __exit__(self, kind: object, *_: object) -> None:
        self._pool.shutdown()
        if kind is None and self._running is not None:
            self._running.result()  # raises what went wrong
