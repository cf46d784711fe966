"""Jobs shared out over processes or threads: order, errors, scripts without a guard, kills."""

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from muscletransfer.data.parallel import map_in_processes, map_in_threads, map_shared
from muscletransfer.errors import DataError, SettingError


def process_of(_: int) -> int:
    return os.getpid()


def root_of(number: int) -> float:
    if number < 0:
        raise DataError(f"{number} is negative")
    return number**0.5


def die(_: int) -> None:
    os.kill(os.getpid(), signal.SIGKILL)


@pytest.fixture(autouse=True)
def importable(monkeypatch: pytest.MonkeyPatch) -> None:
    paths = [str(Path(__file__).parent), *filter(None, sys.path)]
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(paths))


def test_results_come_in_order_from_other_processes() -> None:
    assert list(map_in_processes(root_of, [9, 4, 1, 0], workers=2)) == [3, 2, 1, 0]
    assert os.getpid() not in set(map_in_processes(process_of, [0, 1, 2], workers=2))


@pytest.mark.parametrize("workers", [0, 2])
def test_an_error_of_a_job_is_raised_here(workers: int) -> None:
    with pytest.raises(DataError, match="-4 is negative"):
        list(map_in_processes(root_of, [1, -4, 9], workers=workers))


def test_one_job_or_no_workers_stay_in_this_process() -> None:
    assert list(map_in_processes(process_of, [0], workers=8)) == [os.getpid()]
    assert set(map_in_processes(process_of, [0, 1], workers=0)) == {os.getpid()}


def test_a_killed_process_is_an_error_and_no_hang() -> None:
    with pytest.raises(DataError, match="fewer workers"):
        list(map_in_processes(die, [0, 1], workers=2))


def test_a_script_without_a_guard_runs_once(tmp_path: Path) -> None:
    script = tmp_path / "script.py"
    script.write_text(
        "from muscletransfer.data.synthetic import make_cohort\n"
        "print('started')\n"
        "make_cohort('cohort', patients=4, size=32, workers=2)\n"
        "print('ended')\n"
    )
    done = subprocess.run(
        [sys.executable, str(script)], cwd=tmp_path, capture_output=True, text=True, timeout=120
    )
    assert done.returncode == 0, done.stderr[-2000:]
    assert done.stdout.split() == ["started", "ended"]
    assert len(list((tmp_path / "cohort" / "images").iterdir())) == 4


@pytest.mark.parametrize("workers", [0, 2])
def test_few_jobs_are_given_out_ahead(workers: int) -> None:
    """Results that nobody has taken yet must not pile up, however many jobs there are."""
    given: list[int] = []

    class Jobs(list[int]):
        def __iter__(self) -> Iterator[int]:
            for job in super().__iter__():
                given.append(job)
                yield job

    results = map_in_processes(root_of, Jobs(range(1000)), workers)
    for taken in range(1, 30):
        next(results)
        assert len(given) <= taken + 4 * workers
    assert list(results)[-1] == 999**0.5


def test_threads_work_at_the_same_time_and_give_results_in_order() -> None:
    together = threading.Barrier(2)

    def work(number: int) -> int:
        if number < 2:
            together.wait(30)  # breaks unless another thread comes
        return number * number

    assert list(map_in_threads(work, range(6), workers=2)) == [0, 1, 4, 9, 16, 25]
    assert list(map_in_threads(work, [5], workers=8)) == [25]


def test_after_an_error_in_a_thread_no_other_job_is_begun() -> None:
    done: list[int] = []

    def work(number: int) -> float:
        done.append(number)
        return root_of(number)

    with pytest.raises(DataError, match="-1 is negative"):
        list(map_in_threads(work, [-1, *range(100)], workers=1))
    assert len(done) <= 4


def test_a_function_of_the_script_is_refused_with_the_way_out():
    def mine(number: int) -> int:
        return number

    mine.__module__ = "__main__"
    with pytest.raises(SettingError, match="mine is defined in the script"):
        list(map_in_processes(mine, [1, 2], workers=2))


def meet(job: tuple[int, int, Path]) -> bool:
    """The first job, given to another process, goes on when this one has come to its own first."""
    number, parent, pipe = job
    if number in (0, 2):
        pipe.open("w" if number == 0 else "r").close()
    return os.getpid() == parent


def die_when_met(job: tuple[int, int, Path]) -> None:
    number, _, pipe = job
    if number == 0:
        with pipe.open("w"):
            die(0)
    elif number == 2:
        pipe.read_bytes()  # ends when the other process does


def jobs_with_a_pipe(folder: Path, count: int) -> list[tuple[int, int, Path]]:
    os.mkfifo(folder / "pipe")
    return [(number, os.getpid(), folder / "pipe") for number in range(count)]


def test_shared_jobs_are_done_once_each_here_and_elsewhere(tmp_path: Path) -> None:
    found = list(map_shared(meet, jobs_with_a_pipe(tmp_path, 9), workers=2))
    assert len(found) == 9
    assert set(found) == {True, False}
    assert sorted(map_shared(root_of, [n * n for n in range(40)], workers=3)) == list(range(40))


def test_shared_jobs_without_others_stay_in_this_process() -> None:
    assert set(map_shared(process_of, [0, 1], workers=1)) == {os.getpid()}
    assert list(map_shared(process_of, [0], workers=8)) == [os.getpid()]


def test_an_error_of_a_shared_job_is_raised_here(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="-4 is negative"):
        list(map_shared(root_of, [1, -4, 9, 16], workers=2))
    with pytest.raises(DataError, match="fewer workers"):
        list(map_shared(die_when_met, jobs_with_a_pipe(tmp_path, 9), workers=2))
