"""Whatever is killed, whenever: the next start ends with the same results, nothing done twice."""

import json
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from small_study import (
    TIMEOUT,
    ledger,
    leftovers,
    results,
    small_jobs,
    start_driver,
    whole,
    workers_of,
)

# Seed and how the driver sees the folder: a remote one is not renamed in one step.
CASES = [*((seed, "folder") for seed in range(24)), *((seed, "url") for seed in range(24, 30))]
pytestmark = pytest.mark.skipif(
    not sys.platform.startswith("linux"), reason="finds workers to kill through /proc"
)


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> tuple[dict[str, bytes], float]:
    study = tmp_path_factory.mktemp("undisturbed") / "study"
    begin = time.monotonic()
    driver = start_driver(study)
    output, _ = driver.communicate(timeout=TIMEOUT)
    assert driver.returncode == 0, output
    return results(study), time.monotonic() - begin


def kill_after(
    driver: subprocess.Popen[str], seconds: float, victim: str, rng: random.Random
) -> None:
    """Let a driver run for so long, then kill it or one of its workers."""
    try:
        driver.wait(timeout=seconds)
    except subprocess.TimeoutExpired:
        pids = [driver.pid] if victim == "driver" else workers_of(driver.pid)
        if pids:
            os.kill(rng.choice(pids), signal.SIGKILL)


@pytest.mark.slow
@pytest.mark.parametrize(("seed", "seen_as"), CASES)
def test_a_killed_study_goes_on(
    seed: int, seen_as: str, tmp_path: Path, undisturbed: tuple[dict[str, bytes], float]
) -> None:
    wanted, length = undisturbed
    rng = random.Random(seed)
    study = tmp_path / "study"
    finished: set[str] = set()
    for _ in range(rng.randint(1, 3)):
        victim = rng.choice(["driver", "driver", "worker"])
        read = len(ledger(study))
        driver = start_driver(study, seen_as)
        kill_after(driver, rng.uniform(0.1, 1.0) * length, victim, rng)
        output, _ = driver.communicate(timeout=TIMEOUT)
        assert driver.returncode in (0, -signal.SIGKILL), output
        began = {line["id"] for line in ledger(study)[read:] if line["word"] == "start"}
        assert not began & finished
        finished |= whole(study)
    last = start_driver(study, seen_as)
    output, _ = last.communicate(timeout=TIMEOUT)
    assert last.returncode == 0, output
    assert results(study) == wanted
    assert not leftovers(study)
    assert not finished & set(json.loads(output))
    assert_nothing_done_twice(study)


def assert_nothing_done_twice(study: Path) -> None:
    """No body began while its result stood in place."""
    lines = ledger(study)
    assert not [line for line in lines if line.get("in_place")]
    assert {line["id"] for line in lines if line["word"] == "end"} == {
        job.id for job in small_jobs(study)
    }
