"""What no plan foresees: odd messages, stray files, wrong clocks, a launcher's ranks, no reader."""

import io
import json
from pathlib import Path

import pytest
from small_study import job, leftovers

from muscletransfer.study.running import Job, Outcome, Task, read_plans, read_status, run_jobs
from muscletransfer.study.running.claims import Claims
from muscletransfer.study.running.executors.ray import _perform as perform_by_ray
from muscletransfer.study.running.opening import open_store
from muscletransfer.study.running.progress import LineProgress, TerminalProgress


@pytest.fixture
def study(tmp_path: Path) -> Path:
    return tmp_path / "study"


def run(jobs: list[Job], study: Path, **more: object) -> Outcome:
    return run_jobs(jobs, study, "local", workers=1, progress=False, **more)


@pytest.mark.parametrize(
    ("of", "message"),
    [
        ("bytes", r"ValueError: cannot read caf\udce9.png"),
        ("letters", "ValueError: cannot read Größe.png"),
        ("nothing", "SpeechlessError: <exception str() failed>"),
    ],
)
def test_whatever_a_job_says_it_fails_once_and_keeps_its_traceback(
    of: str, message: str, study: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LC_ALL", "C")
    monkeypatch.setenv("PYTHONUTF8", "0")
    monkeypatch.setenv("PYTHONCOERCECLOCALE", "0")
    tries = study.parent / "tries"
    outcome = run([job(study, "bad", body="complains", of=of, tries=str(tries))], study)
    assert tries.read_text() == "x"
    assert outcome.failed["bad"].removeprefix("bodies.") == message
    kept = study / "failed" / "bad"
    assert "complains" in (kept / "traceback.txt").read_text(encoding="utf-8")
    outcome.failed["bad"].encode()  # can be written anywhere
    assert not leftovers(study)


def test_a_worker_knows_nothing_of_ranks(study: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    told = ("SLURM_PROCID", "SLURM_LOCALID", "SLURM_NTASKS", "SLURM_NTASKS_PER_NODE", "RANK")
    told += ("LOCAL_RANK", "GROUP_RANK", "NODE_RANK", "WORLD_SIZE", "JSM_NAMESPACE_RANK")
    for name in told:
        monkeypatch.setenv(name, "1")
    monkeypatch.setenv("SLURM_JOB_ID", "77")
    assert run([job(study, "a", body="ranks")], study).complete
    facts = json.loads((study / "runs" / "a" / "facts.json").read_text())
    assert facts == {"names": ["SLURM_JOB_ID"], "rank": 0}


def test_a_ray_task_forgets_them_before_its_body(
    study: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("muscletransfer.study.running.executors.ray.pass_over_imports", lambda: 0)
    for name in ("SLURM_PROCID", "SLURM_NTASKS", "LOCAL_RANK", "SLURM_JOB_ID"):
        monkeypatch.setenv(name, "1")
    (study / "working").mkdir(parents=True)
    task = Task(str(study), job(study, "a", body="ranks"), "working", {})
    assert perform_by_ray(task.plain(), [])["status"] == "done"
    facts = json.loads((study / "working" / "facts.json").read_text())
    assert facts["names"] == ["SLURM_JOB_ID"]


def test_the_last_start_is_current_though_a_clock_was_ahead(study: Path) -> None:
    run([job(study, "a")], study, plan={"name": "old"})
    file = next((study / "plans").glob("*.json"))
    values = json.loads(file.read_text())
    ahead = "2199-03-01T00:00:00.000000+00:00"
    file.write_text(json.dumps({**values, "starts": [ahead]}))
    run([job(study, "b")], study, plan={"name": "edited"})
    current, before = read_plans(study)
    assert (current.config["name"], before.config["name"]) == ("edited", "old")
    assert current.starts == ("2199-03-01T00:00:00.000001+00:00",)
    run([job(study, "a")], study, plan={"name": "old"})
    assert read_plans(study)[0].starts == (ahead, "2199-03-01T00:00:00.000002+00:00")


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("drivers/README.txt", "hi"),
        ("drivers/x.1.2", ""),
        ("claims/README.txt", "hi"),
        ("claims/b", "[]"),
        ("plans/old.json", ""),
        ("plans/mine.json", "{}"),
    ],
)
@pytest.mark.filterwarnings("ignore:.*no record of a plan")
def test_stray_and_damaged_files_stop_nothing(name: str, text: str, study: Path) -> None:
    (study / name).parent.mkdir(parents=True)
    (study / name).write_text(text)
    assert read_status(study) is None
    assert run([job(study, "a")], study).done == ("a",)
    status = read_status(study)
    assert status is not None
    assert status.done == ("a",)


def test_a_damaged_claim_is_shown_and_a_damaged_plan_is_told(study: Path) -> None:
    trouble = study.parent / "trouble"
    trouble.touch()
    jobs = [job(study, "a"), job(study, "b", body="stubborn", trouble=str(trouble))]
    run(jobs, study)
    (study / "failed" / "b" / "failure.json").write_text("{")
    (study / "claims" / "a").write_text("")
    (study / "runs" / "a").rename(study / "gone")
    (study / "plans" / "copy.json").write_text("no JSON")
    with pytest.warns(UserWarning, match="copy.json is no record of a plan"):
        status = read_status(study)
    assert status is not None
    assert status.running == {"a": "unreadable"}
    assert "failed/b/failure.json is damaged" in status.failed["b"]


def test_a_driver_of_this_process_that_was_stopped_twice_is_dead(
    study: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = open_store(study)
    first = Claims(store)
    first.open()
    assert first.take("a")

    def second_ctrl_c(self: Claims, token: str) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(Claims, "_clear", second_ctrl_c)
        with pytest.raises(KeyboardInterrupt):
            first.close()
    assert store.names("drivers") == [first.token]
    next_one = Claims(store)
    next_one.open()
    assert next_one.take("a")
    assert store.names("drivers") == [next_one.token]
    next_one.close()


class Closed(io.StringIO):
    """A stream whose reader has gone after so many writes."""

    def __init__(self, writes: int) -> None:
        super().__init__()
        self.left = writes

    def write(self, text: str) -> int:
        self.left -= 1
        if self.left < 0:
            raise BrokenPipeError(32, "Broken pipe")
        return len(text)


@pytest.mark.parametrize("writes", [0, 1, 5])
@pytest.mark.parametrize("kind", [LineProgress, TerminalProgress])
def test_nobody_reads_and_the_study_goes_on(
    kind: type[LineProgress | TerminalProgress], writes: int, study: Path
) -> None:
    trouble = study.parent / "trouble"
    trouble.touch()
    jobs = [job(study, "bad", body="stubborn", trouble=str(trouble)), job(study, "good")]
    stream = Closed(writes)
    outcome = run_jobs(jobs, study, "local", workers=1, progress=kind(stream))
    assert outcome.done == ("good",)
    assert set(outcome.failed) == {"bad"}
    assert stream.left < 0
