"""Names of timm and smp come from a file of the user's cache folder, which may be in any state."""

from __future__ import annotations

import json
import multiprocessing
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from muscletransfer.encoders.name_cache import cached_names

NAMES = ["net_a", "net_b"]


class Library:
    """A module on disk that is never imported, with the metadata of a distribution."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.asked = 0
        folder.mkdir()
        (folder / "mt_models.py").write_text("raise RuntimeError('imported')\n")
        self.install("1.0")

    def install(self, version: str) -> None:
        for old in self.folder.glob("*.dist-info/METADATA"):
            old.unlink()
            old.parent.rmdir()
        info = self.folder / f"mt_models-{version}.dist-info"
        info.mkdir()
        (info / "METADATA").write_text(
            f"Metadata-Version: 2.1\nName: mt-models\nVersion: {version}\n"
        )
        # The finder remembers a folder by its time, which two writes may share.
        os.utime(self.folder, (0, hash(version) % 10**6))

    def names(self) -> list[str]:
        def ask() -> list[str]:
            self.asked += 1
            return list(NAMES)

        return cached_names("mt_models", "mt-models", ask)


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("MUSCLETRANSFER_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache" / "names" / "mt_models.json"


@pytest.fixture
def library(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Library:
    monkeypatch.syspath_prepend(str(tmp_path / "site"))
    return Library(tmp_path / "site")


def test_asked_once_then_read(cache: Path, library: Library) -> None:
    assert library.names() == NAMES
    assert library.names() == NAMES
    assert library.asked == 1
    assert json.loads(cache.read_text())["version"] == "1.0"
    assert [path.name for path in cache.parent.iterdir()] == ["mt_models.json"]


def test_another_version_is_asked(cache: Path, library: Library) -> None:
    library.names()
    library.install("1.1")
    assert library.names() == NAMES
    assert library.asked == 2
    assert json.loads(cache.read_text())["version"] == "1.1"


def test_another_place_is_asked(
    cache: Path, library: Library, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    library.names()
    monkeypatch.syspath_prepend(str(tmp_path / "other"))
    other = Library(tmp_path / "other")
    assert other.names() == NAMES
    assert other.asked == 1


def test_an_imported_library_is_asked_itself_and_its_answer_not_kept(
    cache: Path, library: Library, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "mt_models", pytest)
    assert library.names() == NAMES
    assert library.names() == NAMES
    assert library.asked == 2
    assert not cache.exists()


def _set(**changes: object) -> Callable[[Path], None]:
    def spoil(path: Path) -> None:
        path.write_text(json.dumps({**json.loads(path.read_text()), **changes}))

    return spoil


@pytest.mark.parametrize(
    "spoil",
    [
        lambda path: path.write_text(""),
        lambda path: path.write_text(path.read_text()[:-7]),
        lambda path: path.write_bytes(b"\xff\xfe\x00"),
        lambda path: path.write_text("[]"),
        lambda path: path.write_text("null"),
        lambda path: (path.unlink(), path.mkdir()),
        _set(names=None),
        _set(names=[]),
        _set(names=[1, 2]),
        _set(names="net_a"),
        _set(format=0),
    ],
)
def test_a_spoilt_file_is_not_believed(
    cache: Path, library: Library, spoil: Callable[[Path], object]
) -> None:
    library.names()
    spoil(cache)
    assert library.names() == NAMES
    assert library.asked == 2
    if not cache.is_dir():  # and has been mended
        assert library.names() == NAMES
        assert library.asked == 2


def test_a_folder_that_cannot_be_made_costs_time_only(
    tmp_path: Path, library: Library, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("MUSCLETRANSFER_CACHE", str(tmp_path / "file" / "cache"))
    assert library.names() == NAMES
    assert library.names() == NAMES
    assert library.asked == 2


def test_a_library_without_a_version_is_asked_each_time(cache: Path, library: Library) -> None:
    (info,) = library.folder.glob("*.dist-info")
    (info / "METADATA").unlink()
    info.rmdir()
    os.utime(library.folder, (0, 0))
    assert library.names() == NAMES
    assert library.names() == NAMES
    assert library.asked == 2
    assert not cache.exists()


def test_a_failing_library_leaves_no_file(cache: Path, library: Library) -> None:
    def fail() -> list[str]:
        raise RuntimeError("no models today")

    with pytest.raises(RuntimeError, match="no models today"):
        cached_names("mt_models", "mt-models", fail)
    assert not cache.exists()


def _write_and_read(site: str, cache: str, rounds: int) -> set[tuple[str, ...]]:
    os.environ["MUSCLETRANSFER_CACHE"] = cache
    sys.path.insert(0, site)
    path = Path(cache) / "names" / "mt_models.json"
    found = set()
    for _ in range(rounds):
        path.unlink(missing_ok=True)
        found.add(tuple(cached_names("mt_models", "mt-models", lambda: ["net_a", "net_b"])))
    return found


def test_many_processes_at_once(cache: Path, library: Library, tmp_path: Path) -> None:
    arguments = (str(tmp_path / "site"), str(tmp_path / "cache"), 50)
    with multiprocessing.get_context("spawn").Pool(3) as pool:
        running = [pool.apply_async(_write_and_read, arguments) for _ in range(3)]
        for one in running:
            assert one.get(timeout=120) == {tuple(NAMES)}
    assert not list(cache.parent.glob(".*"))


def test_the_real_libraries_are_not_imported_the_second_time(tmp_path: Path) -> None:
    script = (
        "import sys, muscletransfer as mt\n"
        "names = mt.list_encoders()\n"
        "loaded = [m for m in ('torch', 'timm') if m in sys.modules]\n"
        "print(len(names), names[0], names[-1], *loaded)"
    )
    told = []
    for _ in range(2):
        done = subprocess.run(
            [sys.executable, "-c", script],
            env={**os.environ, "MUSCLETRANSFER_CACHE": str(tmp_path)},
            capture_output=True,
            text=True,
            check=True,
            timeout=120,
        )
        told.append(done.stdout.split())
    assert told[0][3:] == ["torch", "timm"]
    assert told[1] == told[0][:3]
