"""The executor ``local``: warm workers, devices in turn, and threads shared out."""

import json
import os
import sys
from pathlib import Path

import pytest
from small_study import job

from muscletransfer.errors import SettingError
from muscletransfer.study.running import Task, create_executor, run_jobs
from muscletransfer.study.running.executors.devices import count_cpus
from muscletransfer.study.running.executors.local import LocalExecutor

TIMEOUT = 150.0
pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="named pipes")


class Bench:
    """An executor with jobs that wait at a gate until told."""

    def __init__(self, executor: LocalExecutor, study: Path) -> None:
        self.executor, self.study, self.count = executor, study, 0
        executor.start()

    def offer(self, share: float = 1.0) -> str | None:
        """Give a job if there is room for it."""
        name = f"job{self.count}"
        gate = self.study.parent / f"{name}.gate"
        waiting = job(self.study, name, body="settings", gate=str(gate), device_share=share)
        if not self.executor.room(waiting):
            return None
        os.mkfifo(gate)
        self.count += 1
        (self.study / "working" / name).mkdir(parents=True)
        self.executor.submit(Task(str(self.study), waiting, f"working/{name}"))
        return name

    def end(self, name: str) -> dict[str, str]:
        os.close(os.open(self.study.parent / f"{name}.gate", os.O_WRONLY))
        (report,) = self.executor.wait(TIMEOUT)
        assert (report.status, report.working) == ("done", f"working/{name}")
        found: dict[str, str] = json.loads((self.study / report.working / "facts.json").read_text())
        return found


def test_devices_are_shared_out_in_turn(tmp_path: Path) -> None:
    executor = LocalExecutor(devices=("3", "7"), runs_per_device=2)
    assert executor.workers == 4
    bench = Bench(executor, tmp_path / "study")
    try:
        names = [bench.offer() for _ in range(5)]
        assert names[4] is None
        found = [bench.end(name)["CUDA_VISIBLE_DEVICES"] for name in names[:4] if name]
        assert found == ["3", "7", "3", "7"]
    finally:
        executor.stop()


def test_jobs_that_take_part_of_a_device(tmp_path: Path) -> None:
    executor = LocalExecutor(workers=4, devices="0")
    bench = Bench(executor, tmp_path / "study")
    try:
        small = [bench.offer(0.25) for _ in range(3)]
        assert all(small)
        assert bench.offer(0.5) is None
        last = bench.offer(0.25)
        assert last is not None
        assert bench.offer(0.25) is None
        for name in [*small, last]:
            assert name is not None
            assert bench.end(name)["CUDA_VISIBLE_DEVICES"] == "0"
        whole = bench.offer(1.0)
        assert whole is not None
        assert bench.offer(0.25) is None
        bench.end(whole)
    finally:
        executor.stop()


def test_a_worker_stays_for_the_next_job(tmp_path: Path) -> None:
    study = tmp_path / "study"
    jobs = [job(study, f"job{i}", body="settings") for i in range(5)]
    assert run_jobs(jobs, study, "local", workers=1, progress=False).complete
    found = [json.loads(path.read_text()) for path in study.glob("runs/*/facts.json")]
    # The first job finds nothing that searches for cycles pass over, all later ones what it loaded.
    first, *later = sorted(facts["passed_over"] for facts in found)
    assert first == 0 < min(later)
    pids = {facts["pid"] for facts in found}
    assert len(pids) == 1
    assert not Path(f"/proc/{pids.pop()}").exists()


@pytest.mark.parametrize(
    ("threads", "variable", "wanted"), [(None, None, "share"), (None, "3", "3"), (5, "3", "5")]
)
def test_threads_of_a_worker(
    threads: int | None,
    variable: str | None,
    wanted: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    if variable:
        monkeypatch.setenv("OMP_NUM_THREADS", variable)
    study = tmp_path / "study"
    executor = LocalExecutor(workers=2, threads=threads, devices=())
    run_jobs([job(study, "a", body="settings")], study, executor, progress=False)
    facts = json.loads((study / "runs" / "a" / "facts.json").read_text())
    share = str(max(1, count_cpus() // 2))
    assert facts["OMP_NUM_THREADS"] == (share if wanted == "share" else wanted)
    assert facts["CUDA_VISIBLE_DEVICES"] == ""


@pytest.mark.parametrize("name", ["workers", "runs_per_device", "threads"])
def test_numbers_out_of_range(name: str) -> None:
    with pytest.raises(SettingError, match=f"{name}=0; wanted at least 1"):
        create_executor("local", **{name: 0})


def test_the_engine_imports_nothing_heavy(tmp_path: Path) -> None:
    study = tmp_path / "study"
    run_jobs([job(study, "a", body="modules")], study, "local", workers=1, progress=False)
    loaded = json.loads((study / "runs" / "a" / "modules.json").read_text())
    heavy = {"torch", "numpy", "pandas", "lightning", "fsspec", "ray", "scipy", "SimpleITK"}
    assert not heavy & set(loaded)
