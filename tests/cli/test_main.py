"""The light commands: list, inspect, help; errors are one line."""

import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from lightning.pytorch import Callback, Trainer
from lightning.pytorch.demos.boring_classes import BoringModel

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


def _interrupted(*_: object) -> int:
    raise KeyboardInterrupt


def _interrupted_in_a_trainer(*_: object) -> int:
    class Stop(Callback):
        def on_train_start(self, *_: object) -> None:
            raise KeyboardInterrupt

    off = {"logger": False, "enable_checkpointing": False, "enable_progress_bar": False}
    run = Trainer(accelerator="cpu", enable_model_summary=False, callbacks=[Stop()], **off)
    run.fit(BoringModel())
    return 0


@pytest.mark.parametrize("interrupted", [_interrupted, _interrupted_in_a_trainer])
def test_ctrl_c_is_a_line_and_the_status_of_shells(
    interrupted: Callable[..., int],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    module = sys.modules["muscletransfer.cli.main"]  # the package calls the function so
    monkeypatch.setattr(module, "_run", interrupted)
    monkeypatch.setattr(module, "exit_quickly", lambda: None)
    monkeypatch.setattr(sys, "argv", ["muscletransfer", "phantom", "nowhere"])
    handler = signal.getsignal(signal.SIGINT)
    try:
        assert main() == 130
        assert capsys.readouterr().err.splitlines()[-1] == "Stopped."
        with pytest.raises((KeyboardInterrupt, SystemExit)):  # of a program that calls it
            main(["phantom", "nowhere"])
    finally:
        signal.signal(signal.SIGINT, handler)  # which Lightning takes away for good


def test_an_exit_of_its_own_is_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    module = sys.modules["muscletransfer.cli.main"]
    monkeypatch.setattr(module, "_run", lambda *_: sys.exit(3))
    monkeypatch.setattr(module, "exit_quickly", lambda: None)
    monkeypatch.setattr(sys, "argv", ["muscletransfer", "phantom", "nowhere"])
    with pytest.raises(SystemExit, match="3"):
        main()
