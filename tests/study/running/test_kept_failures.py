"""What is kept of a job that failed."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from tiny_cases import ct_cases, study

from muscletransfer.study.config import config_from_dict
from muscletransfer.study.plan import (
    PretextSpec,
    make_jobs,
    plan_study,
)
from muscletransfer.study.running import Report, Task
from muscletransfer.study.running.failures import keep_failure
from muscletransfer.study.running.local_store import LocalStore
from muscletransfer.study.running.performing import perform


@pytest.mark.parametrize("status", ["failed", "lost"])
def test_what_is_kept_of_a_failure_names_no_patient(status: str, tmp_path: Path) -> None:
    sources = [{"pretext": "jigsaw", "data": {"images": "manifest"}}]
    cases = ct_cases(tmp_path / "cases")
    plan = plan_study(config_from_dict(study(cases, sources=sources)))
    job = make_jobs(plan, tmp_path / "out")[0]
    assert job.payload["where"]["excluded"]  # patients, which the worker has to know
    cases.unlink()
    store = LocalStore(tmp_path / "out")
    store.make_folder("working/a.1")
    report = Report("working/a.1", "lost", "killed")
    if status == "failed":
        report = perform(Task(store.url, job, "working/a.1"))
    assert report.status == status
    keep_failure(store, job, report, 0)
    kept = tmp_path / "out" / "failed" / job.id / "spec.json"
    assert PretextSpec.from_dict(json.loads(kept.read_text())) == plan.pretexts[0]
    assert not any(patient in kept.read_text() for patient in plan.cases.patients)
    assert str(tmp_path) not in kept.read_text()
