"""Two studies and their reports: one as it should be, and one with everything that can be odd."""

import copy
from pathlib import Path

import pytest
from seeded_study import HOSTILE, Seeded
from tiny_cases import grey_cases

from muscletransfer.cli import main
from muscletransfer.study.report import write_study_report
from muscletransfer.study.running import Job
from muscletransfer.study.running.executors.base import Report
from muscletransfer.study.running.failures import keep_failure
from muscletransfer.study.running.opening import open_store


class Made:
    """A study folder and its page."""

    def __init__(self, study: Seeded, page: Path) -> None:
        self.study, self.page = study, page
        self.folder = study.folder
        self.results = page.parent
        self.text = page.read_text(encoding="utf-8")


@pytest.fixture(scope="session")
def good(tmp_path_factory):
    """A finished study on the phantom; its report is written by the command line."""
    folder = tmp_path_factory.mktemp("report") / "good"
    study = Seeded(folder)
    figures = folder / "results" / "figures"
    figures.mkdir(parents=True)
    (figures / "of_an_earlier_report.svg").write_text("<svg/>")
    (figures / "overlays_of_an_earlier_report.svg").write_text("<svg/>")
    (figures / "overlays_of_somebody_else.png").write_bytes(b"kept")
    earlier = (
        '<figure id="figure-of_an_earlier_report"><svg id="a"></svg></figure>'
        '<div class="grid pictures" id="figure-overlays_of_an_earlier_report"></div>'
    )
    (folder / "results" / "report.html").write_text(earlier)
    assert main(["study", "report", str(folder)]) == 0
    return Made(study, folder / "results" / "report.html")


@pytest.fixture(scope="session")
def odd(tmp_path_factory):
    """Pixels without millimetres, two structures, hostile names, an edited file, a failed run."""
    root = tmp_path_factory.mktemp("report_odd")
    manifest = grey_cases(root / "cases", 12)
    plain = {
        "data": {
            "manifest": str(manifest),
            "num_folds": 2,
            "where": {"role": "primary"},
            "class_names": ["<i>disc</i>", "box"],
            "preprocessing": {"size": 32, "hu_window": None},
        },
        "train_patients": [2, 4],
        "encoders": [{"name": "timm/resnet10t", "depth": 3}],
        "sources": ["random", {"name": HOSTILE, "pretext": "jigsaw"}, {"name": "_under",
                    "freeze": "encoder"}],
        "pretraining": {"steps": 3, "data": {"images": "manifest"}},
        "finetune": {"steps": 4, "batch_size": 2},
    }  # fmt: skip
    older = copy.deepcopy(plain)
    older["sources"].append({"name": "given up", "freeze": "encoder"})
    older["train_patients"] = [2, 3, 4]
    folder = root / "odd"
    Seeded(folder, older, name="older", skip=lambda run: run.n == 4)
    needs = {"random": 1.0, HOSTILE: 0.5, "_under": 1.5}
    study = Seeded(folder, plain, needs, name=f"odd {HOSTILE}",
                   skip=lambda run: run.source == "_under" and run.n == 4)  # fmt: skip
    failed = next(run for run in study.plan.runs if run.source == "_under" and run.n == 4)
    store = open_store(folder)
    job = Job(failed.id, "run", (), "bodies:none", {"spec": failed.to_dict()})
    store.make_folder(f"working/{failed.id}")
    report = Report(f"working/{failed.id}", "failed", "ValueError: <b>no</b>")
    keep_failure(store, job, report, 0)
    (root / "cases" / "0_primary.png").unlink()
    return Made(study, write_study_report(folder))
