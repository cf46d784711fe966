"""The cache with several processes: one build for all, kills, locks and what is left behind."""

from __future__ import annotations

import errno
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from socket import gethostname

import pytest
from cached_slices import SPEC, folders, make_root, manifest_of

from muscletransfer.data import (
    PreprocessingSpec,
    SliceCache,
    files,
)
from muscletransfer.data.cache.folder import building
from muscletransfer.data.cache.lock import lock_of, one_at_a_time, sweep_locks
from muscletransfer.data.files import Flusher


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return make_root(tmp_path)


BUILD = """
import sys
from pathlib import Path
from muscletransfer.data import Manifest, PreprocessingSpec, SliceCache
from muscletransfer.data.cache import work as cache_work
root = Path(sys.argv[1])
real = cache_work.read_group
def counted(*args, **options):
    with (root / "reads").open("a") as file:
        file.write("x")
    return real(*args, **options)
cache_work.read_group = counted
(root / f"ready{sys.argv[2]}").touch()
while not (root / "go").exists():
    pass
cache = SliceCache.open_or_build(
    Manifest.read(root / "m.csv"), PreprocessingSpec(size=32), root / "cache"
)
print(cache.directory, int(cache.images.astype(int).sum()), int(cache.masks.sum()))
"""


def start(root: Path, number: int) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-W", "error", "-c", BUILD, str(root), str(number)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def wait_for(condition: object) -> None:
    deadline = time.monotonic() + 60
    while not condition():  # type: ignore[operator]
        assert time.monotonic() < deadline
        os.sched_yield()


@pytest.mark.parametrize("damaged", [False, True])
def test_four_processes_at_once_make_one_cache(root: Path, damaged: bool) -> None:
    if damaged:
        cache = SliceCache.open_or_build(manifest_of(root), SPEC, root / "cache")
        os.truncate(cache.directory / "part0.bin", 100)
    processes = [start(root, k) for k in range(4)]
    wait_for(lambda: len(list(root.glob("ready*"))) == 4)
    (root / "go").touch()
    results = [p.communicate(timeout=120) for p in processes]
    assert [p.returncode for p in processes] == [0] * 4, results
    assert len({out for out, _ in results}) == 1
    assert all(err == "" for _, err in results)
    assert (root / "reads").read_text() == "xxxx"  # four images, each read by one process once
    assert len(folders(root)) == 1  # no lock and nothing half-built beside it
    SliceCache(root / "cache" / "slices" / folders(root)[0])


def test_killed_build_leaves_no_lock_and_is_swept_later(root: Path) -> None:
    os.mkfifo(root / "pipe")  # opening it waits for a writer: the build hangs there until killed
    code = (
        "import sys; from pathlib import Path\n"
        "from muscletransfer.data.cache import folder as cache_folder\n"
        "root = Path(sys.argv[1])\n"
        "with cache_folder.building(root / 'cache/slices/k', lambda: False) as folder:\n"
        "    (folder / 'images.npy').write_bytes(b'half')\n"
        "    open(root / 'pipe').read()\n"
    )
    process = subprocess.Popen([sys.executable, "-c", code, str(root)])
    wait_for(lambda: any((root / "cache").rglob("images.npy")))
    process.send_signal(signal.SIGKILL)
    process.wait()
    left = [name for name in folders(root) if name.startswith(".building-")]
    assert len(left) == 1
    SliceCache.open_or_build(manifest_of(root), SPEC, root / "cache")
    assert left[0] in folders(root)  # young: it might be a build of another container
    old = time.time() - 7200
    os.utime(root / "cache" / "slices" / left[0], (old, old))
    SliceCache.open_or_build(manifest_of(root), PreprocessingSpec(size=16), root / "cache")
    assert left[0] not in folders(root)


def test_a_build_removes_nothing_that_is_not_of_a_build_here(tmp_path: Path) -> None:
    """A cohort is built beside what the user has; another host's name may begin like this one's."""
    old = time.time() - 7200
    foreign = [
        ".lock-waf_linux_build",
        f".lock-{'a' * 32}",
        f".building-{gethostname()}-9-17-0a1b2c3d",
    ]
    for name in foreign:
        (tmp_path / name).touch()
        os.utime(tmp_path / name, (old, old))
    (tmp_path / ".lock-folder").mkdir()
    os.utime(tmp_path / ".lock-folder", (old, old))
    with building(tmp_path / "cohort", lambda: False) as draft:
        (draft / "manifest.csv").touch()
    assert {p.name for p in tmp_path.iterdir()} == {"cohort", ".lock-folder", *foreign}


def test_old_locks_of_the_cache_are_swept_and_no_other(root: Path) -> None:
    slices = root / "cache" / "slices"
    slices.mkdir(parents=True)
    old = time.time() - 7200
    for name in (f".lock-{'a' * 32}", f".lock-{'b' * 32}", ".lock-waf_linux_build"):
        (slices / name).touch()
        if "b" * 32 not in name:
            os.utime(slices / name, (old, old))
    (slices / f".lock-{'c' * 32}").mkdir()  # cannot be removed as a file, as one of another user
    os.utime(slices / f".lock-{'c' * 32}", (old, old))
    cache = SliceCache.open_or_build(manifest_of(root), SPEC, root / "cache")
    left = [f".lock-{'b' * 32}", f".lock-{'c' * 32}", ".lock-waf_linux_build"]
    assert folders(root) == [*left, cache.directory.name]


def test_a_lock_that_is_held_is_not_swept_however_old(tmp_path: Path) -> None:
    lock = lock_of(tmp_path / ("a" * 32))
    lock.touch()
    os.utime(lock, (0, 0))
    with one_at_a_time(lock):
        sweep_locks(tmp_path)
        assert lock.exists()
        os.utime(lock, (0, 0))  # this build has taken more than an hour
        sweep_locks(tmp_path)
        assert lock.exists()
        inside = threading.Event()

        def wait() -> None:
            with one_at_a_time(lock):
                inside.set()

        other = threading.Thread(target=wait)
        other.start()
        assert not inside.wait(0.5)
    other.join(60)
    assert inside.is_set()


def test_old_locks_are_swept_where_nothing_can_be_locked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def no_locks(*_: object) -> None:
        raise OSError(errno.ENOTSUP, "Operation not supported")

    monkeypatch.setattr("fcntl.flock", no_locks)
    lock = lock_of(tmp_path / ("a" * 32))
    lock.touch()
    os.utime(lock, (0, 0))
    sweep_locks(tmp_path)
    assert not lock.exists()


def test_a_disk_that_failed_once_while_slices_were_written_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    failures = [OSError(errno.EIO, "Input/output error")]

    def flush(folder: Path) -> None:
        if failures:
            raise failures.pop()

    monkeypatch.setattr(files, "fsync_folder", flush)

    def write() -> None:
        with Flusher(tmp_path, 1) as flusher:
            flusher.note()
            wait_for(flusher._running.done)
            flusher.note()

    with pytest.raises(OSError, match="Input/output error"):
        write()
    write()


def test_killed_holder_of_the_lock_keeps_nobody_waiting(root: Path) -> None:
    code = (
        "import sys; from pathlib import Path\n"
        "from muscletransfer.data.cache.lock import one_at_a_time\n"
        "with one_at_a_time(Path(sys.argv[1])):\n"
        "    print('held', flush=True)\n"
        "    sys.stdin.read()\n"
    )
    lock = root / ".lock"
    process = subprocess.Popen(
        [sys.executable, "-c", code, str(lock)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    assert process.stdout is not None
    assert process.stdout.readline() == b"held\n"
    process.send_signal(signal.SIGKILL)
    process.wait(60)
    assert lock.exists()
    with one_at_a_time(lock):
        pass
    assert not lock.exists()
    (root / "file").touch()
    with one_at_a_time(root / "file" / "cannot"):
        pass  # where there can be no lock, work goes on
