"""A file that only grows, handed to the disk in blocks.

Slices as their files have them are most of a cache, and few are read again soon. Through the
system's page cache each costs a copy, fresh pages and a later write that the end of the build waits
for. Blocks that go to the disk directly cost none of these, and one is written while the next is
filled.
"""

from __future__ import annotations

import errno
import mmap
import os
from collections import deque
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from types import TracebackType

__all__ = ["ALIGNED", "BlockFile"]

ALIGNED = 8  # all that is appended starts at a multiple, so that any type can be viewed in place
_BLOCK = 1 << 20
_PAGE = 4096  # direct writes start, end and lie in memory at multiples of the disk's blocks
_DIRECT: int = getattr(os, "O_DIRECT", 0)
_FLAGS: int = os.O_WRONLY | os.O_CREAT | getattr(os, "O_BINARY", 0)

_spare: deque[mmap.mmap] = deque()  # buffers of files that were written: new memory costs more


class BlockFile:
    r"""Appends to a file; what was appended is there once the ``with`` block has ended.

    Where a file system takes no direct writes, it writes as any other file.

    Args:
        path: The file; made, or written on from its end.

    Raises:
        OSError: The file cannot be opened or written.

    Example:
        >>> import tempfile
        >>> path = Path(tempfile.mkdtemp()) / "file"
        >>> with BlockFile(path) as file:
        ...     [file.append(memoryview(part)) for part in (b"one", b"two")]
        [0, 8]
        >>> path.read_bytes()[:11], path.stat().st_size
        (b'one\x00\x00\x00\x00\x00two', 4096)
    """

    def __init__(self, path: Path) -> None:
        self._handle, self._direct = _opened(path)
        size = os.fstat(self._handle).st_size
        self._start, self._filled = -(-size // _PAGE) * _PAGE, 0
        self._buffer, self._other = _take(), _take()
        self._writer = ThreadPoolExecutor(1)  # starts no thread before there is a second block
        self._writing: Future[None] | None = None

    def append(self, data: memoryview) -> int:
        """Append bytes and return where in the file they start."""
        data = data.cast("B")
        gap = -self._filled % ALIGNED  # stays inside the block, whose size is a multiple
        self._buffer[self._filled : self._filled + gap] = bytes(gap)
        self._filled += gap
        offset = self._start + self._filled
        while len(data):
            part = data[: _BLOCK - self._filled]
            self._buffer[self._filled : self._filled + len(part)] = part
            self._filled += len(part)
            data = data[len(part) :]
            if self._filled == _BLOCK:
                self._wait()
                self._writing = self._writer.submit(self._write, self._buffer, _BLOCK, self._start)
                self._buffer, self._other = self._other, self._buffer
                self._start, self._filled = self._start + _BLOCK, 0
        return offset

    def __enter__(self) -> BlockFile:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: object, trace: TracebackType | None
    ) -> None:
        try:
            self._wait()
            if kind is None:
                whole = -(-self._filled // _PAGE) * _PAGE
                self._buffer[self._filled : whole] = bytes(whole - self._filled)
                self._write(self._buffer, whole, self._start)
        finally:
            self._writer.shutdown()
            os.close(self._handle)
        _spare.extend((self._buffer, self._other))

    def _wait(self) -> None:
        """Wait for the block before; raises what went wrong with it."""
        if self._writing is not None:
            self._writing.result()

    def _write(self, buffer: mmap.mmap, size: int, start: int) -> None:
        with memoryview(buffer) as whole:
            done = 0
            while done < size:
                os.lseek(self._handle, start + done, os.SEEK_SET)
                with whole[done:size] as rest:
                    try:
                        done += os.write(self._handle, rest)
                    except OSError as error:
                        if error.errno != errno.EINVAL or not self._direct:
                            raise
                        self._write_indirectly()

    def _write_indirectly(self) -> None:
        import fcntl  # where there are direct writes, there is this

        flags = fcntl.fcntl(self._handle, fcntl.F_GETFL)
        fcntl.fcntl(self._handle, fcntl.F_SETFL, flags & ~_DIRECT)
        self._direct = False


def _take() -> mmap.mmap:
    try:
        return _spare.pop()
    except IndexError:
        return mmap.mmap(-1, _BLOCK)  # starts at a page, as direct writes want


def _opened(path: Path) -> tuple[int, bool]:
    if _DIRECT:
        try:
            return os.open(path, _FLAGS | _DIRECT, 0o644), True
        except OSError as error:
            if error.errno != errno.EINVAL:  # which says that this file system has none
                raise
    return os.open(path, _FLAGS, 0o644), False
