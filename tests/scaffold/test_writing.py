"""The package is written whole or not at all, and never over something."""

import os
import tomllib
from pathlib import Path

import pytest

from muscletransfer import __version__
from muscletransfer.cli import main
from muscletransfer.errors import SettingError
from muscletransfer.scaffold import write_pretext_package

FILES = {
    ".gitignore",
    "README.md",
    "pyproject.toml",
    "src/muscletransfer_mylab_order/__init__.py",
    "src/muscletransfer_mylab_order/py.typed",
    "src/muscletransfer_mylab_order/task.py",
    "tests/test_task.py",
}


def files(folder: Path) -> set[str]:
    return {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()}


def test_what_is_written(tmp_path: Path) -> None:
    folder = write_pretext_package("mylab/order", tmp_path / "order")
    assert folder == tmp_path / "order"
    assert files(folder) == FILES
    for name in FILES:
        text = (folder / name).read_text()
        assert "$" not in text, name
        if name.endswith(".py"):
            compile(text, name, "exec")
            assert max(map(len, text.splitlines()), default=0) <= 88, name
    project = tomllib.loads((folder / "pyproject.toml").read_text())["project"]
    assert project["name"] == "muscletransfer-mylab-order"
    assert project["dependencies"] == [f"muscletransfer>={__version__}"]
    assert project["entry-points"]["muscletransfer.pretexts"] == {
        "mylab/order": "muscletransfer_mylab_order.task:OrderPretext"
    }
    assert [path.name for path in tmp_path.iterdir()] == ["order"]


def test_the_command_writes_into_the_current_folder_and_says_what_next(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(["new", "pretext", "mylab/order"]) == 0
    assert files(tmp_path / "muscletransfer-mylab-order") == FILES
    told = capsys.readouterr().out
    assert f"wrote {tmp_path / 'muscletransfer-mylab-order'}" in told
    assert "pytest" in told


@pytest.mark.parametrize("kind", ["folder", "empty folder", "file", "dangling link"])
def test_what_exists_is_refused_and_left_alone(
    kind: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    target = tmp_path / "order"
    if kind == "file":
        target.write_text("mine")
    elif kind == "dangling link":
        target.symlink_to(tmp_path / "nowhere")
    else:
        target.mkdir()
        if kind == "folder":
            (target / "thesis.tex").write_text("mine")
    before = {path: path.is_file() and path.read_text() for path in tmp_path.rglob("*")}
    assert main(["new", "pretext", "order", "--output", str(target)]) == 2
    told = capsys.readouterr().err
    assert told.startswith(f"error: {target} exists already")
    assert "--output" in told
    assert {path: path.is_file() and path.read_text() for path in tmp_path.rglob("*")} == before


def test_no_place_to_write(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "file").write_text("")
    for place in (tmp_path / "file" / "order", tmp_path / "missing" / "order"):
        assert main(["new", "pretext", "order", "-o", str(place)]) == 2
        assert f"{place} cannot be written" in capsys.readouterr().err
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


def test_a_failure_half_way_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real = Path.write_text
    written = []

    def full_disk(self: Path, *args: object, **kwargs: object) -> int:
        if len(written) == 3:
            raise OSError(28, os.strerror(28))
        written.append(self)
        return real(self, *args, **kwargs)  # type: ignore[arg-type]

    monkeypatch.setattr(Path, "write_text", full_disk)
    with pytest.raises(SettingError, match="No space left on device"):
        write_pretext_package("order", tmp_path / "order")
    assert len(written) == 3
    assert list(tmp_path.iterdir()) == []


def test_a_bad_name_is_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["new", "pretext", "../up", "-o", str(tmp_path / "x")]) == 2
    assert capsys.readouterr().err.startswith("error: '../up' cannot name")
    assert list(tmp_path.iterdir()) == []
