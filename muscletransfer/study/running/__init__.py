"""The engine that runs jobs with needs into a folder, each exactly once."""

from __future__ import annotations

from typing import TYPE_CHECKING

from muscletransfer.lazy import lazy_names

if TYPE_CHECKING:
    from muscletransfer.study.running.driver import run_jobs
    from muscletransfer.study.running.executors.base import (
        Executor,
        Report,
        Task,
        create_executor,
        list_executors,
    )
    from muscletransfer.study.running.failures import retry_failed
    from muscletransfer.study.running.jobs import Job, Outcome
    from muscletransfer.study.running.performing import perform
    from muscletransfer.study.running.plans import PlanRecord, read_plans
    from muscletransfer.study.running.remote import fetch_folders
    from muscletransfer.study.running.status import Status, read_status

_HOMES = {
    "driver": ["run_jobs"],
    "executors.base": ["Executor", "Report", "Task", "create_executor", "list_executors"],
    "failures": ["retry_failed"],
    "jobs": ["Job", "Outcome"],
    "performing": ["perform"],
    "remote": ["fetch_folders"],
    "plans": ["PlanRecord", "read_plans"],
    "status": ["Status", "read_status"],
}

__all__ = [
    "Executor",
    "Job",
    "Outcome",
    "PlanRecord",
    "Report",
    "Status",
    "Task",
    "create_executor",
    "fetch_folders",
    "list_executors",
    "perform",
    "read_plans",
    "read_status",
    "retry_failed",
    "run_jobs",
]

__getattr__, __dir__ = lazy_names(__name__, _HOMES)
