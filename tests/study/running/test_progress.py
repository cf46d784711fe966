"""What is shown while jobs run: lines in a log, a bar on a terminal."""

import io
import os
import re
import sys
from pathlib import Path

import pytest
from small_study import job

from muscletransfer.study.running import Job, run_jobs
from muscletransfer.study.running.agenda import Agenda
from muscletransfer.study.running.progress import (
    LineProgress,
    Progress,
    TerminalProgress,
    create_progress,
)


def jobs_of(study: Path) -> list[Job]:
    return [
        job(study, "bad", body="stubborn", trouble=str(study.parent), label="the bad one"),
        job(study, "after", needs=("bad",)),
        *(job(study, f"good{i}") for i in range(3)),
    ]


def test_lines_in_a_log(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("muscletransfer.study.running.progress._SECONDS_BETWEEN_LINES", 1e6)
    study = tmp_path / "study"
    run_jobs(jobs_of(study), study, "local", workers=1)
    lines = capsys.readouterr().err.splitlines()
    assert lines[0] == "study: 0 of 5 done"
    assert "study: failed: the bad one (bad): ValueError: there is trouble" in lines
    assert lines[-1] == "study: 3 of 5 done, 1 failed, 1 waiting for failed ones"
    assert len(lines) == 4  # the first of the moving kind comes at once, and none for each job


@pytest.mark.skipif(sys.platform == "win32", reason="needs a pseudo-terminal")
def test_a_bar_on_a_terminal(tmp_path: Path) -> None:
    study = tmp_path / "study"
    mine, theirs = os.openpty()
    with os.fdopen(theirs, "w") as terminal, os.fdopen(mine, "rb", buffering=0) as screen:
        progress = create_progress(True, terminal)
        assert isinstance(progress, TerminalProgress)
        run_jobs(jobs_of(study), study, "local", workers=1, progress=progress)
        shown = screen.read(100_000).decode()
    assert "failed: the bad one (bad): ValueError: there is trouble" in shown
    assert re.search(r"study: \|.+\| 3 of 5 done, 1 failed, 1 waiting for failed ones", shown)


def test_none() -> None:
    assert type(create_progress(False)) is Progress
    assert isinstance(create_progress(True, io.StringIO()), LineProgress)


def test_time_left() -> None:
    """Of each kind by its own mean, over as many as run at once."""
    body = "package.module:function"
    pretexts = [Job(f"p{i}", "pretext", (), body) for i in range(2)]
    runs = [Job(f"r{i}", "run", (), body) for i in range(5)]
    agenda = Agenda({j.id: j for j in [*pretexts, *runs]})
    progress = Progress()
    assert progress.seconds_left(agenda) is None
    agenda.finish("p0")
    progress.timed(pretexts[0], 100.0)
    assert progress.seconds_left(agenda) == pytest.approx(600.0)  # no run has ended: all alike
    for run, seconds in zip(runs[:2], (10.0, 20.0), strict=True):
        agenda.finish(run.id)
        progress.timed(run, seconds)
    assert progress.seconds_left(agenda) == pytest.approx(100.0 + 3 * 15.0)
    progress.show(agenda, 2)
    assert progress.seconds_left(agenda) == pytest.approx((100.0 + 3 * 15.0) / 2)
    assert progress.words(agenda, 2) == "3 of 7 done, 2 running, 72 s left"
    for one in [*pretexts, *runs]:
        agenda.finish(one.id)
    assert progress.seconds_left(agenda) is None
