"""Several drivers on one folder: each job is done by one of them; Ctrl-C leaves a clean folder."""

import json
import os
import select
import signal
import sys
from pathlib import Path

import pytest
from small_study import (
    TIMEOUT,
    ledger,
    leftovers,
    open_gate,
    results,
    small_jobs,
    start_driver,
    wait_begun,
    workers_of,
)

from muscletransfer.study.running import read_status

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="named pipes and signals")


def test_at_once(tmp_path: Path) -> None:
    study = tmp_path / "study"
    drivers = [start_driver(study) for _ in range(3)]
    ran = []
    for driver in drivers:
        output, _ = driver.communicate(timeout=TIMEOUT)
        assert driver.returncode == 0, output
        ran += json.loads(output)
    wanted = sorted(job.id for job in small_jobs(study))
    assert sorted(ran) == wanted
    assert sorted(line["id"] for line in ledger(study) if line["word"] == "start") == wanted
    assert not leftovers(study)


def test_one_takes_over_when_the_other_is_killed(tmp_path: Path) -> None:
    study = tmp_path / "study"
    first = start_driver(study, "gated")
    wait_begun(study)
    second = start_driver(study, "gated")
    # Killed while the second, at the latest after the other jobs, waits for the gated one.
    os.kill(first.pid, signal.SIGKILL)
    first.communicate(timeout=TIMEOUT)
    wait_begun(study)
    open_gate(study)
    output, _ = second.communicate(timeout=TIMEOUT)
    assert second.returncode == 0, output
    assert "gated" in json.loads(output)
    assert "runs/gated/result.txt" in results(study)
    assert not [line for line in ledger(study) if line.get("in_place")]
    assert not leftovers(study)


def test_one_waits_for_what_the_other_does(tmp_path: Path) -> None:
    study = tmp_path / "study"
    first = start_driver(study, "gated")
    wait_begun(study)
    second = start_driver(study, "gated")
    status = read_status(study)
    assert status is not None
    assert f".{first.pid}." in status.running["gated"]
    open_gate(study)
    ran = []
    for driver in (first, second):
        output, _ = driver.communicate(timeout=TIMEOUT)
        assert driver.returncode == 0, output
        ran += json.loads(output)
    assert sorted(ran) == sorted(["gated", *(job.id for job in small_jobs(study))])


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="waits by pidfd")
def test_workers_end_with_their_driver(tmp_path: Path) -> None:
    study = tmp_path / "study"
    driver = start_driver(study, "gated")
    wait_begun(study)
    workers = [os.pidfd_open(pid) for pid in workers_of(driver.pid)]
    assert workers
    driver.kill()
    driver.communicate(timeout=TIMEOUT)
    for worker in workers:
        ended, _, _ = select.select([worker], [], [], TIMEOUT)
        assert ended, "a worker has outlived its driver"
        os.close(worker)


@pytest.mark.parametrize(
    ("number", "status"), [(signal.SIGINT, -signal.SIGINT), (signal.SIGTERM, 143)]
)
def test_an_interrupt_leaves_a_clean_folder(
    number: signal.Signals, status: int, tmp_path: Path
) -> None:
    study = tmp_path / "study"
    driver = start_driver(study, "gated")
    wait_begun(study)
    workers = workers_of(driver.pid)
    assert workers
    driver.send_signal(number)
    output, _ = driver.communicate(timeout=TIMEOUT)
    assert driver.returncode == status, output
    assert not leftovers(study)
    assert not [pid for pid in workers if Path(f"/proc/{pid}").exists()]
    done = {path.parent.name for path in study.glob("*/*/job.json")}
    assert "gated" not in done
    again = start_driver(study, "gated")
    wait_begun(study)
    open_gate(study)
    output, _ = again.communicate(timeout=TIMEOUT)
    assert again.returncode == 0, output
    assert not done & set(json.loads(output))
