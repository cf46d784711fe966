"""A study done job by job in this process."""

from __future__ import annotations

import csv
import importlib
import json
from pathlib import Path
from typing import Any

from muscletransfer.study.config import config_from_dict
from muscletransfer.study.plan import make_jobs, plan_study

RECONSTRUCTION = {
    "pretext": "reconstruction",
    "data": {"images": "manifest"},
    "transfers": ["encoder", "encoder+decoder"],
}


class Study:
    """A study done job by job in this process."""

    def __init__(self, plain: dict[str, Any], folder: Path) -> None:
        self.folder = folder
        self.plan = plan_study(config_from_dict(plain))
        self.jobs = {job.id: job for job in make_jobs(self.plan, folder, cache_dir=folder / "c")}

    def payload(self, name: str) -> dict[str, Any]:
        job = self.jobs[name]
        needs = {need: str(self.folder / self.jobs[need].folder) for need in job.needs}
        return {**json.loads(json.dumps(dict(job.payload))), "needs": needs}

    def do(self, name: str) -> Path:
        job = self.jobs[name]
        place = self.folder / job.folder
        if not place.exists():
            for need in job.needs:
                self.do(need)
            place.mkdir(parents=True)
            module, _, function = job.body.partition(":")
            getattr(importlib.import_module(module), function)(self.payload(name), place)
        return place

    def run(self, **wanted: Any) -> Path:
        return self.do(self.spec(**wanted).id)

    def spec(self, **wanted: Any) -> Any:
        return next(
            run
            for run in self.plan.runs
            if all(getattr(run, key) == value for key, value in wanted.items())
        )


def rows_of(place: Path) -> list[dict[str, str]]:
    with (place / "cases.csv").open() as file:
        return list(csv.DictReader(file))


def json_of(place: Path, name: str) -> Any:
    return json.loads((place / name).read_text())
