"""A full disk stops the study, corrupts nothing, and room is all it takes to go on."""

import hashlib
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from small_study import job, ledger, leftovers

from muscletransfer.errors import DiskFullError, StudyError
from muscletransfer.study.running import Job, run_jobs

MEGABYTES = 12
KILOBYTES = 1500  # of one job: some fit, never all
JOBS = 12


def mount(folder: Path, options: str) -> str:
    done = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", options, "tmpfs", str(folder)],
        capture_output=True,
        text=True,
        timeout=30,
    )
    return done.stderr if done.returncode else ""


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    folder = tmp_path / "disk"
    folder.mkdir()
    if not sys.platform.startswith("linux"):
        pytest.skip("mounts a small disk, which needs Linux")
    if trouble := mount(folder, f"size={MEGABYTES}m"):
        pytest.skip(f"a small disk cannot be mounted here: {trouble.strip()}")
    yield folder
    subprocess.run(["umount", str(folder)], check=True, timeout=30)


def jobs_of(study: Path, ledger_at: Path) -> list[Job]:
    # The ledger is elsewhere, so that it can tell what happened.
    return [
        job(study, f"job{i}", body="fill", kilobytes=KILOBYTES, ledger=str(ledger_at))
        for i in range(JOBS)
    ]


def assert_whole(study: Path) -> set[str]:
    found = set()
    for folder in (study / "runs").iterdir():
        block = hashlib.sha256(folder.name.encode()).digest() * 32
        assert (folder / "bytes.bin").read_bytes() == block * KILOBYTES
        found.add(folder.name)
    return found


@pytest.mark.parametrize("workers", [1, 2])
def test_a_disk_that_fills_up(workers: int, small_disk: Path, tmp_path: Path) -> None:
    study = small_disk / "study"
    jobs = jobs_of(study, tmp_path / "study.ledger")
    for start in range(2):  # the second meets a disk that is full from the beginning
        with pytest.raises(DiskFullError, match=r"full .*Free some room .*goes on where"):
            run_jobs(jobs, study, "local", workers=workers, progress=False)
        done = assert_whole(study)
        assert 0 < len(done) < JOBS, start
        assert not leftovers(study)
        assert not list(study.glob("failed/*"))
    assert mount(small_disk, f"remount,size={4 * MEGABYTES}m") == ""
    outcome = run_jobs(jobs, study, "local", workers=workers, progress=False)
    assert outcome.complete
    assert not done & set(outcome.ran)
    assert assert_whole(study) == {job.id for job in jobs}
    assert not [line for line in ledger(tmp_path / "study") if line.get("in_place")]


def test_not_a_byte_of_room_for_the_plan(small_disk: Path) -> None:
    study = small_disk / "study"
    with pytest.raises(OSError, match="space"):
        (small_disk / "ballast").write_bytes(bytes((MEGABYTES + 1) << 20))
    with pytest.raises(DiskFullError, match="the disk or quota is full"):
        run_jobs(jobs_of(study, study), study, "local", workers=1, progress=False)
    assert not leftovers(study)
    (small_disk / "ballast").unlink()
    assert run_jobs([job(study, "a", ledger="/dev/null")], study, progress=False).complete


def test_an_error_that_hides_the_number(tmp_path: Path) -> None:
    study = tmp_path / "study"
    jobs = [job(study, "first"), job(study, "full", body="full_device"), job(study, "last")]
    with pytest.raises(DiskFullError, match="found while writing job full: RuntimeError") as caught:
        run_jobs(jobs, study, "local", workers=1, progress=False)
    assert isinstance(caught.value, StudyError)
    assert [p.name for p in (study / "runs").iterdir()] == ["first"]
    assert not leftovers(study)


def test_other_errors_of_writing_are_the_job_s(tmp_path: Path) -> None:
    study = tmp_path / "study"
    jobs = [job(study, "large", body="too_large"), job(study, "last")]
    outcome = run_jobs(jobs, study, "local", workers=1, progress=False)
    assert outcome.done == ("last",)
    assert "File too large" in outcome.failed["large"]
