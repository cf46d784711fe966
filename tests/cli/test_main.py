"""The light commands: list, inspect, help; errors are one line."""

import subprocess
import sys
from pathlib import Path

import pytest

from muscletransfer.cli import main


@pytest.mark.parametrize(
    ("what", "pattern", "wanted"),
    [
        ("encoders", "timm/resnet1*", "timm/resnet18"),
        ("decoders", None, "unet"),
        ("pretexts", None, "jigsaw"),
        ("weights", None, "imagenet"),
    ],
)
def test_list(
    what: str, pattern: str | None, wanted: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["list", what, *([pattern] if pattern else [])]) == 0
    assert wanted in capsys.readouterr().out.splitlines()


def test_inspect_of_another_file_is_one_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    other = tmp_path / "notes.ckpt"
    other.write_text("not a checkpoint")
    assert main(["inspect", str(other)]) == 2
    error = capsys.readouterr().err
    assert error.startswith("error: ")
    assert str(other) in error


def test_debug_shows_the_traceback(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from muscletransfer.errors import WeightsError

    monkeypatch.setenv("MUSCLETRANSFER_DEBUG", "1")
    with pytest.raises(WeightsError):
        main(["inspect", str(tmp_path / "none.ckpt")])


def test_unknown_argument_of_a_light_command() -> None:
    with pytest.raises(SystemExit) as stop:
        main(["list", "encoders", "--colour"])
    assert stop.value.code == 2


def test_list_into_a_closed_pipe_is_quiet() -> None:
    script = "from muscletransfer.cli import main; main(['list', 'encoders'])"
    done = subprocess.run(
        f'"{sys.executable}" -c "{script}" | head -n 1', shell=True, capture_output=True, text=True
    )
    assert done.stdout.count("\n") == 1
    assert done.stderr == ""


def test_ctrl_c_is_a_line_and_the_status_of_shells(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def interrupted(*_: object) -> int:
        raise KeyboardInterrupt

    module = sys.modules["muscletransfer.cli.main"]  # the package calls the function so
    monkeypatch.setattr(module, "_run", interrupted)
    monkeypatch.setattr(module, "exit_quickly", lambda: None)
    monkeypatch.setattr(sys, "argv", ["muscletransfer", "phantom", "nowhere"])
    assert main() == 130
    assert capsys.readouterr().err == "Stopped.\n"
    with pytest.raises(KeyboardInterrupt):  # of a program that calls it
        main(["phantom", "nowhere"])
