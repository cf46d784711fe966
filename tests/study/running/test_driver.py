"""Jobs with needs: order, failures, retries, changed plans, and what the folder tells."""

import json
from dataclasses import replace
from pathlib import Path

import pytest
from small_study import job, ledger, leftovers, small_jobs

from muscletransfer.errors import SettingError, StudyError, UnknownNameError
from muscletransfer.study.running import (
    Executor,
    Job,
    Outcome,
    Report,
    Task,
    perform,
    read_plans,
    read_status,
    retry_failed,
    run_jobs,
)


@pytest.fixture
def study(tmp_path: Path) -> Path:
    return tmp_path / "study"


def run(jobs: list[Job], study: Path, workers: int = 1, **more: object) -> Outcome:
    return run_jobs(jobs, study, "local", workers=workers, progress=False, **more)


def started(study: Path) -> list[str]:
    return [line["id"] for line in ledger(study) if line["word"] == "start"]


def test_needs_come_first_and_are_found(study: Path) -> None:
    chain = [
        job(study, "third", needs=("second", "first")),
        job(study, "second", needs=("first",)),
        job(study, "first", "pretext"),
    ]
    outcome = run(chain, study)
    assert outcome.complete
    assert outcome.ran == outcome.done == ("first", "second", "third")
    assert (study / "pretexts" / "first" / "result.txt").exists()
    alone = job(study.parent / "other", "third")
    run([alone], study.parent / "other")
    other = study.parent / "other" / "runs" / "third" / "result.txt"
    assert (study / "runs" / "third" / "result.txt").read_text() != other.read_text()
    record = json.loads((study / "runs" / "third" / "job.json").read_text())
    assert record["needs"] == ["first", "second"]
    assert record["seconds"] >= 0


def test_what_is_finished_is_not_run_again(study: Path) -> None:
    jobs = small_jobs(study, runs=2)
    assert len(run(jobs, study).ran) == len(jobs)
    again = run(jobs, study)
    assert again.ran == ()
    assert sorted(again.done) == sorted(job.id for job in jobs)
    assert len(started(study)) == len(jobs)


def test_a_failure_is_kept_and_does_not_stop_the_rest(study: Path) -> None:
    trouble = study.parent / "trouble"
    trouble.touch()
    bad = job(study, "bad", "pretext", "stubborn", trouble=str(trouble))
    jobs = [
        bad,
        job(study, "child", needs=("bad",)),
        job(study, "grandchild", needs=("child",)),
        job(study, "good"),
    ]
    outcome = run(jobs, study)
    assert outcome.done == ("good",)
    assert outcome.failed == {"bad": "ValueError: there is trouble"}
    assert outcome.skipped == {"child": "bad", "grandchild": "bad"}
    kept = study / "failed" / "bad"
    assert "bodies.py" in (kept / "traceback.txt").read_text()
    log = (kept / "log.txt").read_text()
    assert "a word before the end" in log
    assert "what C code would write" in log
    assert json.loads((kept / "spec.json").read_text()) == bad.payload
    assert not (kept / "half.txt").exists()
    assert not leftovers(study)

    status = read_status(study)
    assert status is not None
    assert (status.done, status.failed, status.skipped) == (
        outcome.done,
        outcome.failed,
        outcome.skipped,
    )

    trouble.unlink()
    assert run(jobs, study).failed == outcome.failed  # nothing is tried again unasked
    assert retry_failed(study, ["good"]) == []
    assert retry_failed(study) == ["bad"]
    assert run(jobs, study).complete
    assert not list((study / "failed").iterdir())


def test_retry_by_the_start_itself(study: Path) -> None:
    trouble = study.parent / "trouble"
    trouble.touch()
    jobs = [job(study, "bad", body="stubborn", trouble=str(trouble))]
    assert run(jobs, study).failed
    assert run(jobs, study, retry=True).failed
    trouble.unlink()
    assert run(jobs, study, retry=True).complete


@pytest.mark.parametrize("body", ["no_such_module:f", "bodies:no_such_function"])
def test_a_body_that_cannot_be_imported(body: str, study: Path) -> None:
    outcome = run([Job("a", "run", (), body)], study)
    assert body.partition(":")[0] in outcome.failed["a"]


def test_a_worker_that_dies_is_replaced(study: Path) -> None:
    jobs = [
        job(study, "twice", body="dies", tries=str(study.parent / "twice"), deaths=2),
        job(study, "always", body="dies", tries=str(study.parent / "always"), deaths=99),
        job(study, "good"),
    ]
    outcome = run(jobs, study)
    assert sorted(outcome.done) == ["good", "twice"]
    assert outcome.failed["always"].startswith("its worker was lost 3 times (killed by SIGKILL)")
    assert (study.parent / "always").read_text() == "xxx"
    assert not (study / "runs" / "twice" / "half.txt").exists()
    kept = study / "failed" / "always"
    assert "its worker was lost 3 times" in (kept / "traceback.txt").read_text()
    assert not (kept / "half.txt").exists()
    assert not leftovers(study)


def test_a_plan_changed_between_starts(study: Path) -> None:
    old = [job(study, "a"), job(study, "b")]
    new = [job(study, "b"), job(study, "c", needs=("d",)), job(study, "d", "pretext")]
    run(old, study, plan={"n": [5]})
    assert run(new, study, plan={"n": [10]}).ran == ("d", "c")
    assert sorted(started(study)) == ["a", "b", "c", "d"]
    assert (study / "runs" / "a" / "result.txt").exists()

    current, before = read_plans(study)
    assert (current.config, current.ids("run"), current.ids("pretext")) == (
        {"n": [10]},
        ["b", "c"],
        ["d"],
    )
    assert (before.config, before.ids("run")) == ({"n": [5]}, ["a", "b"])
    run(old, study, plan={"n": [5]})  # and back
    current, other = read_plans(study)
    assert current.config == {"n": [5]}
    assert len(current.starts) == 2
    status = read_status(study, other)
    assert status is not None
    assert sorted(status.done) == ["b", "c", "d"]


def test_status_of_a_plan_that_has_only_begun(study: Path) -> None:
    jobs = [job(study, "a"), job(study, "b", body="stubborn", trouble=str(study))]
    run(jobs, study)
    retry_failed(study)
    status = read_status(study)
    assert status is not None
    assert (status.done, status.open, status.failed) == (("a",), ("b",), {})


def test_no_jobs(study: Path) -> None:
    assert run([], study) == Outcome()


def test_an_unknown_executor(study: Path) -> None:
    with pytest.raises(UnknownNameError, match="Did you mean 'local'"):
        run_jobs([], study, "locl")
    assert not study.exists()


def body_job(name: str, *needs: str, **more: object) -> Job:
    return Job(name, "run", needs, "bodies:compute", **more)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: [body_job("../a")], "it names a folder"),
        (lambda: [Job("a", "run", (), "bodies.compute")], "package.module:function"),
        (lambda: [body_job("a", payload={"x": object()})], "cannot be written as JSON"),
        (lambda: [body_job("a", device_share=0)], "more than 0 and at most 1"),
        (lambda: [body_job("a"), body_job("a", payload={"x": 1})], "two different jobs"),
        (lambda: [body_job("first"), body_job("b", "frist")], "Did you mean 'first'"),
        (lambda: [body_job("a", "b"), body_job("b", "c"), body_job("c", "a")], "in a circle"),
        (lambda: [body_job("a", "a")], "in a circle"),
    ],
)
def test_jobs_that_cannot_be(make: object, message: str, study: Path) -> None:
    with pytest.raises(SettingError, match=message):
        run(make(), study)  # type: ignore[operator]
    assert not study.exists()


class Elsewhere(Executor):
    """Runs each task as a machine would that has the study folder at another place."""

    def start(self) -> None:
        self.ended: list[Report] = []

    def room(self, job: Job) -> bool:
        return not self.ended

    def submit(self, task: Task) -> None:
        self.ended.append(perform(replace(task, store=f"{task.store}-elsewhere")))

    def wait(self, timeout: float) -> list[Report]:
        ended, self.ended = self.ended, []
        return ended

    def stop(self) -> None:
        pass


def test_a_folder_that_workers_cannot_see_stops_the_study(study: Path) -> None:
    jobs = small_jobs(study)
    with pytest.raises(StudyError, match=r"cannot run: .*under the same path, or the URL"):
        run_jobs(jobs, study, Elsewhere(), progress=False)
    assert not leftovers(study)
    assert not list(study.glob("failed/*"))
    assert run(jobs, study).complete
