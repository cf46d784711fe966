"""Lightning's loggers, switched on in the study's file, with the services' own packages."""

from __future__ import annotations

import errno
import importlib
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import pytest
from in_process import Here
from lightning.pytorch.loggers import Logger
from tiny_cases import ct_cases, study

from muscletransfer.study import config_from_dict, plan_study, run_study
from muscletransfer.study.plan import make_jobs
from muscletransfer.study.work.loggers import closing

AWAY = "could not be closed .*ConnectionError: the service is away"


@pytest.fixture
def runs(tmp_path: Path) -> Any:
    """Do a study of two runs with the loggers, and return its folder and its runs."""

    def do(*loggers: Any) -> tuple[Path, list[Any]]:
        plain = study(ct_cases(tmp_path / "cases"), train_patients=[2], loggers=list(loggers))
        config = config_from_dict({**plain, "name": "logged"})
        folder = tmp_path / "study"
        outcome = run_study(config, folder, Here(), progress=False, cache_dir=tmp_path / "cache")
        assert outcome.complete, outcome.failed
        found = sorted((folder / "runs").iterdir())
        assert len(found) == 2
        return folder, found

    return do


def test_tensorboard_writes_events_into_each_run(runs: Any) -> None:
    pytest.importorskip("tensorboard", reason="the package tensorboard is not installed")
    _, found = runs("tensorboard", "csv")
    for run in found:
        # training and test may each open a file
        events = b"".join(path.read_bytes() for path in run.glob("events.out.tfevents.*"))
        assert b"train_loss" in events
        assert b"test_dice" in events
        assert "train_loss" in (run / "metrics.csv").read_text()


def test_what_csv_writes_names_no_path_of_this_machine(runs: Any, tmp_path: Path) -> None:
    _, found = runs("csv")
    for run in found:
        assert (run / "metrics.csv").exists()
        assert not (run / "hparams.yaml").exists()
        for path in run.iterdir():
            told = path.name not in ("job.json", "log.txt") and path.suffix in (".json", ".yaml")
            assert not told or str(tmp_path) not in path.read_text(), path.name


class Service(Logger):
    """Stands for a service whose runs stay open until told, as those of W&B."""

    name = version = "service"

    def __init__(self, told: list[Any]) -> None:
        super().__init__()
        self.told = told
        self.experiment = self._experiment = self

    def log_metrics(self, *_: Any, **__: Any) -> None: ...

    def log_hyperparams(self, *_: Any, **__: Any) -> None: ...

    def finalize(self, status: str) -> None:
        self.told.append(status)
        if status == "failed" and len(self.told) == 1:
            raise ConnectionError("the service is away")

    def finish(self, exit_code: int = 0) -> None:
        self.told.append(exit_code)


@pytest.mark.parametrize("body", ["pretrain", "finetune"])
@pytest.mark.parametrize(("error", "last"), [(None, [0, 0]), (KeyboardInterrupt, [1, 1])])
def test_a_run_of_a_service_is_closed_however_the_job_ends(
    body: str, error: Any, last: list[int], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    told: list[Any] = []
    module = importlib.import_module(f"muscletransfer.study.work.{body}")
    monkeypatch.setattr(module, "make_loggers", lambda *_: [Service(told), Service(told)])
    make_trainer = module.make_trainer

    def broken(*given: Any, **more: Any) -> Any:
        if error is not None:
            raise error
        return make_trainer(*given, **more)

    monkeypatch.setattr(module, "make_trainer", broken)
    sources = [{"pretext": "jigsaw", "data": {"images": "manifest"}}]
    plain = study(ct_cases(tmp_path / "cases"), train_patients=[2], sources=sources)
    if body == "finetune":
        plain["sources"] = ["random"]
    job, *_ = make_jobs(plan_study(config_from_dict(plain)), tmp_path, cache_dir=tmp_path / "cache")
    do = getattr(importlib.import_module(job.body.partition(":")[0]), job.body.partition(":")[2])
    (tmp_path / "job").mkdir()
    with pytest.raises(error) if error else nullcontext():
        do({**job.payload, "needs": {}}, tmp_path / "job")
    assert [one for one in told if isinstance(one, int)] == last
    assert told[-2:] == (["success", 0] if error is None else ["failed", 1])


def test_a_service_that_is_away_at_the_end_leaves_no_run_of_others_open(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    told: list[Any] = []
    first, second = Service(told), Service(told)
    raised: Exception = ConnectionError("the service is away")

    def away(_: str) -> None:
        raise raised

    monkeypatch.setattr(first, "finalize", away)
    with pytest.warns(UserWarning, match=AWAY), closing([first, second]):
        pass
    assert told == [0, "success", 0]
    with pytest.raises(KeyError), closing([first, second]):
        raise KeyError("what the body raised")
    raised = OSError(errno.ENOSPC, "No space left on device")
    with pytest.raises(OSError, match="No space"), closing([first, second]):
        pass


def test_a_run_whose_service_is_away_at_the_end_is_kept_with_a_warning(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    module = importlib.import_module("muscletransfer.study.work.finetune")

    def away(**_: Any) -> None:
        raise ConnectionError("the service is away")

    service = Service([])
    monkeypatch.setattr(service, "finish", away)
    monkeypatch.setattr(module, "make_loggers", lambda *_: [service])
    config = config_from_dict(study(ct_cases(tmp_path / "cases"), train_patients=[2]))
    with pytest.warns(UserWarning, match=AWAY):  # without pytest it stands in log.txt
        outcome = run_study(config, tmp_path / "study", Here(), progress=False)
    assert outcome.complete, outcome.failed
    runs = list((tmp_path / "study" / "runs").iterdir())
    assert [(run / "result.json").exists() for run in runs] == [True, True]


def test_mlflow_gets_one_run_each_in_one_experiment(
    runs: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    mlflow = pytest.importorskip("mlflow", reason="the package mlflow is not installed")
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    folder, _ = runs("mlflow")
    client = mlflow.MlflowClient(tracking_uri=f"sqlite:///{folder / 'mlflow.db'}")
    experiment = client.get_experiment_by_name("logged")
    logged = client.search_runs([experiment.experiment_id])
    assert len(logged) == len({run.info.run_name for run in logged}) == 2
    for run in logged:
        assert run.info.status == "FINISHED"
        assert run.data.metrics["train_loss"] > 0


def test_wandb_keeps_one_offline_run_each(runs: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("wandb", reason="the package wandb is not installed")
    monkeypatch.setenv("WANDB_MODE", "offline")
    folder, _ = runs("wandb")
    kept = list((folder / "wandb").rglob("run-*.wandb"))
    assert len(kept) == 2
    assert all(path.stat().st_size > 0 for path in kept)
