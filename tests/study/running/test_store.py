"""The study folder: local, and behind a URL where no folder can be renamed in one step."""

import errno
import os
import subprocess
import sys
from pathlib import Path

import pytest

from muscletransfer.errors import StudyError
from muscletransfer.study.running import fetch_folders
from muscletransfer.study.running.local_store import LocalStore
from muscletransfer.study.running.opening import open_store
from muscletransfer.study.running.owners import process_mark
from muscletransfer.study.running.remote import RemoteStore
from muscletransfer.study.running.store import Store


@pytest.fixture(params=["folder", "url"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Store:
    prefix = "" if request.param == "folder" else "file://"
    return open_store(f"{prefix}{tmp_path}/study")


def fill(store: Store, working: str, text: bytes, whole: bool = True) -> None:
    store.make_folder(working)
    with store.workspace(working, ()) as (folder, _):
        (folder / "parts").mkdir()
        (folder / "parts" / "a.txt").write_bytes(text)
        if whole:
            (folder / "job.json").write_text("{}")
        store.publish(folder, working)


def test_a_working_folder_is_put_in_place(store: Store) -> None:
    fill(store, "working/a.1", b"first")
    assert not store.is_finished("runs/a")
    store.install("working/a.1", "runs/a")
    assert store.is_finished("runs/a")
    assert store.finished("runs") == {"a"}
    assert store.names("working") == []
    store.make_folder("working/b.1")
    with store.workspace("working/b.1", ["runs/a"]) as (_, found):
        assert (found["runs/a"] / "parts" / "a.txt").read_bytes() == b"first"


def test_the_first_stays(store: Store) -> None:
    for number, text in enumerate((b"first", b"second")):
        fill(store, f"working/a.{number}", text)
        store.install(f"working/a.{number}", "runs/a")
    assert store.read("runs/a/parts/a.txt") == b"first"
    assert store.names("working") == []


def test_a_copy_cut_short_does_not_count(tmp_path: Path) -> None:
    store = open_store(f"file://{tmp_path}/study")
    store.write("runs/a/parts/a.txt", b"half")
    store.write("runs/a/parts/b.txt", b"half")
    assert not store.is_finished("runs/a")
    assert store.finished("runs") == set()
    fill(store, "working/a.1", b"whole")
    store.install("working/a.1", "runs/a")
    assert store.read("runs/a/parts/a.txt") == b"whole"
    assert store.names("runs/a/parts") == ["a.txt"]


def test_without_hard_links(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise OSError(errno.EPERM, "no links here")

    monkeypatch.setattr(os, "link", refuse)
    store = LocalStore(tmp_path)
    store.write("drivers/d", b"mine")
    assert store.take("claims/a", "drivers/d")
    assert not store.take("claims/a", "drivers/d")
    assert store.read("claims/a") == b"mine"


def test_nothing_is_half_written(store: Store, tmp_path: Path) -> None:
    store.write("plans/a.json", b"old")
    store.write("plans/a.json", b"new")
    assert store.read("plans/a.json") == b"new"
    assert os.listdir(tmp_path / "study" / "plans") == ["a.json"]
    with pytest.raises(FileNotFoundError):
        store.read("plans/b.json")
    store.remove("plans/b.json")
    assert store.names("nowhere") == []


def test_what_a_killed_writer_left_is_swept(tmp_path: Path) -> None:
    store = LocalStore(tmp_path)
    store.write("plans/a.json", b"")
    dead = subprocess.Popen([sys.executable, "-c", ""])
    dead.wait(timeout=60)
    mine = process_mark()
    marks = {"mine": mine, "dead": mine.replace(str(os.getpid()), str(dead.pid)), "other": "1-x"}
    for name, mark in marks.items():
        (tmp_path / "plans" / f".{name}.0011.{mark}").touch()
    old = tmp_path / "plans" / ".old.0011.1-x"
    old.touch()
    os.utime(old, (0, 0))
    store.sweep()
    left = sorted(path.name.split(".")[1] for path in (tmp_path / "plans").glob(".*"))
    assert left == ["mine", "other"]
    assert store.names("plans") == ["a.json"]


def test_hidden_files_of_others_are_left_alone(tmp_path: Path) -> None:
    store = LocalStore(tmp_path)
    store.write("plans/a.json", b"")
    (tmp_path / "plans" / ".checkpoints").mkdir()
    (tmp_path / "plans" / ".a.0011.1-x").mkdir()  # even so named
    (tmp_path / "plans" / ".gitattributes").touch()
    kept = sorted((tmp_path / "plans").glob(".*"))
    for path in kept:
        os.utime(path, (0, 0))
    store.sweep()
    assert sorted((tmp_path / "plans").glob(".*")) == kept


def test_errors_of_a_remote_store_are_of_the_system_and_name_its_url(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    class AwayError(Exception):
        """As of a package whose errors are no `OSError`."""

    store = RemoteStore("memory://away")
    store.write("claims/a", b"{}")

    def away(*_: object, **__: object) -> None:
        raise AwayError("no route")

    for name in ("cat_file", "pipe_file", "exists", "ls", "glob", "find", "rm"):
        monkeypatch.setattr(store.fs, name, away)
    for do in (
        lambda: store.read("claims/a"),
        lambda: store.write("claims/a", b""),
        lambda: store.exists("claims/a"),
        lambda: store.names("claims"),
        lambda: store.finished("runs"),
        lambda: store.take("claims/b", "claims/a"),
        lambda: store.beat("claims/a"),
        lambda: store.last_beat("claims/a"),
        lambda: store.install("working/a", "runs/a"),
        lambda: store.remove("claims/a"),
    ):
        with pytest.raises(OSError, match=r"memory://away: .*\(AwayError: no route\)") as caught:
            do()
        assert str(caught.value).count("memory://away") == 1
    monkeypatch.undo()
    with pytest.raises(FileNotFoundError):  # what callers tell apart stays what it is
        store.read("claims/c")


def test_a_node_that_does_not_share_the_folder(tmp_path: Path) -> None:
    with (
        pytest.raises(StudyError, match="under the same path, or the URL of a remote one"),
        LocalStore(tmp_path).workspace("working/a.1", ()),
    ):
        pass


def test_a_protocol_nobody_knows() -> None:
    with pytest.raises(StudyError, match="Install the fsspec package of its protocol"):
        open_store("bucketeer://a/b")


def test_finished_folders_come_home(tmp_path: Path) -> None:
    url = f"file://{tmp_path}/study"
    store = open_store(url)
    for name in ("a", "b"):
        fill(store, f"working/{name}.1", name.encode())
        store.install(f"working/{name}.1", f"runs/{name}")
    store.write("runs/half/a.txt", b"half")
    assert fetch_folders(url, tmp_path / "here") == 2
    assert fetch_folders(url, tmp_path / "here") == 0
    assert sorted(os.listdir(tmp_path / "here" / "runs")) == ["a", "b"]
    assert (tmp_path / "here" / "runs" / "b" / "parts" / "a.txt").read_text() == "b"
