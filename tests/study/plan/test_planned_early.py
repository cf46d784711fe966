"""What a study's file has wrong is told when it is planned, not after the last run."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from in_process import Here
from tiny_cases import ct_cases, study

from muscletransfer.cli import main
from muscletransfer.errors import ManifestError, PluginError, SettingError, UnknownNameError
from muscletransfer.study.config import config_from_dict
from muscletransfer.study.plan import plan_study
from muscletransfer.study.plan.models import check_pretexts
from muscletransfer.study.start import run_study

TASK = '''
"""The task of docs/add_a_pretext_task.md in short: its constructor takes no depth."""
import torch
from muscletransfer import PretextTask
from muscletransfer.pretext import ClassificationHead


class Flip(PretextTask):
    """Tell whether an image is upside down."""

    def __init__(self, encoder="timm/resnet18", in_channels=1, weights=None, lr=1e-3, seed=0):
        super().__init__(encoder, in_channels, weights=weights, lr=lr, seed=seed)
        self.head = ClassificationHead(self.encoder.out_channels[-1], 2)

    def make_targets(self, batch):
        image = batch["image"]
        target = torch.randint(2, (len(image),), generator=self.generator)
        return torch.where(target.bool()[:, None, None, None], image.flip(2), image), target

    def compute_loss(self, outputs, targets):
        return torch.nn.functional.cross_entropy(outputs, targets)


class Seedless(Flip):
    """The same without a seed."""

    def __init__(self, encoder="timm/resnet18", in_channels=1, depth=5):
        PretextTask.__init__(self, encoder, in_channels, depth)
        self.head = ClassificationHead(self.encoder.out_channels[-1], 2)


class Weighted(Flip):
    """One whose arguments go with the number of classes, which the images have."""

    def __init__(self, num_classes=2, weights_of=(1, 1, 1), encoder="timm/resnet18", in_channels=1,
                 depth=5, seed=0):
        if len(weights_of) != num_classes:
            raise ValueError("as many weights as classes")
        super().__init__(encoder, in_channels, seed=seed)


class Needy(Flip):
    """One that needs an argument."""

    def __init__(self, turns, encoder="timm/resnet18", in_channels=1, depth=5, seed=0):
        super().__init__(encoder, in_channels, seed=seed)
'''


@pytest.fixture(scope="module")
def manifest(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("early")
    ct_cases(folder, 6)
    (folder / "early_tasks.py").write_text(TASK)
    return folder / "cases.csv"


@pytest.fixture(autouse=True)
def importable(manifest: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(manifest.parent))
    monkeypatch.delitem(sys.modules, "early_tasks", raising=False)


def plain(manifest: Path, task: Any = None, depth: int = 3, **changes: Any) -> dict[str, Any]:
    """A study of one source task."""
    if task is not None:
        changes["sources"] = [{"name": "mine", "pretext": task, "data": {"images": "manifest"}}]
    found = study(manifest, train_patients=[2], **changes)
    found["encoders"] = [{"name": "timm/resnet10t", "depth": depth}]
    found["decoders"] = ["unet"]
    return found


def planned(given: dict[str, Any]) -> Any:
    plan = plan_study(config_from_dict(given))
    check_pretexts(plan)
    return plan


def task(name: str, **init_args: Any) -> dict[str, Any]:
    return {"class_path": name, "init_args": init_args}


@pytest.mark.parametrize(
    ("given", "error", "message"),
    [
        (
            task("multitask", tasks={"jigsaw": None, "rotaton": None}),
            UnknownNameError,
            "Did you mean 'rotation'",
        ),
        (task("multitask", tasks={"a": "jigsaw"}), SettingError, "tasks.a is 'jigsaw'; wanted"),
        (task("multitask", tasks=["jigsaw"]), SettingError, "of each task by its label"),
        (
            task("multitask", tasks={"jigsaw": {"gird": 3}}),
            SettingError,
            r"tasks\.jigsaw: .*Did you mean 'grid'",
        ),
        (task("jigsaw", grid="x"), SettingError, r"sources \(mine\).pretext: .*cannot be built"),
        (task("early_tasks.Needy"), SettingError, "cannot be built .*'turns'"),
        (task("early_tasks.Flip"), SettingError, "takes no 'depth', which the study sets to 3"),
        (task("early_tasks.Seedless"), SettingError, "takes no 'seed'.* wanted .* seed=0"),
    ],
)
def test_source_tasks_that_cannot_be_built(
    manifest: Path, given: Any, error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=message):
        planned(plain(manifest, given))


@pytest.mark.parametrize("content", ["missing_name", "def (:", "raise ValueError('a table')"])
def test_a_module_that_breaks_is_named_with_what_it_raised(
    manifest: Path, content: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "broken_tasks.py").write_text(content)
    monkeypatch.syspath_prepend(str(tmp_path))
    with pytest.raises(PluginError, match="in the module broken_tasks, which failed to import"):
        planned(plain(manifest, "broken_tasks.Flip"))


def test_several_tasks_at_once_are_planned(manifest: Path) -> None:
    tasks = {"rotation": None, "again": {"name": "rotation"}}
    assert len(planned(plain(manifest, task("multitask", tasks=tasks))).pretexts) == 2


def test_a_task_without_depth_runs_at_the_usual_one(manifest: Path, tmp_path: Path) -> None:
    config = config_from_dict(plain(manifest, "early_tasks.Flip", depth=5))
    outcome = run_study(config, tmp_path / "study", Here(), progress=False)
    assert outcome.complete, outcome.failed


def test_study_plan_and_run_tell_before_anything_starts(
    manifest: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    import yaml

    file = tmp_path / "mine.yaml"
    file.write_text(yaml.safe_dump(plain(manifest, task("jigsaw", grid="x"))))
    for words in (["plan", str(file), "--no-probe"], ["run", str(file), "-o", str(tmp_path / "s")]):
        assert main(["study", *words]) == 2
        assert "cannot be built" in capsys.readouterr().err
    assert not (tmp_path / "s").exists()


@pytest.mark.parametrize(
    ("augmentation", "message"),
    [
        ({"rotatoin": 10}, r"data.augmentation: unknown key .*Did you mean 'rotation'"),
        ({"rotation": 400}, r"data.augmentation: .*rotation=400"),
        ({"noise": "much"}, r"data.augmentation: .*noise='much'"),
    ],
)
def test_strengths_of_augmentation(manifest: Path, augmentation: Any, message: str) -> None:
    given = plain(manifest)
    given["data"]["augmentation"] = augmentation
    with pytest.raises(SettingError, match=message):
        config_from_dict(given)
    given = plain(manifest, "jigsaw")
    given["sources"][0]["data"]["augmentation"] = augmentation
    with pytest.raises(SettingError, match="augmentation"):
        config_from_dict(given)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"flush_log": 3}, "loggers.csv: .*'flush_log'. Did you mean 'flush_logs_every_n_steps'"),
        ({"name": "mine"}, "loggers.csv.name: every run has its own"),
    ],
)
def test_arguments_of_loggers(manifest: Path, arguments: Any, message: str) -> None:
    with pytest.raises(SettingError, match=message):
        planned(plain(manifest, loggers=[{"csv": arguments}]))
    planned(plain(manifest, loggers=[{"csv": {"prefix": "mine"}}]))


def test_the_manifest_of_observers(manifest: Path, tmp_path: Path) -> None:
    given = plain(manifest)
    given["data"]["observers"] = str(tmp_path / "none.csv")
    with pytest.raises(ManifestError, match=r"data.observers: .*none.csv"):
        planned(given)
    given["data"]["observers"] = str(ct_cases(tmp_path / "others", 2, first=20))
    with pytest.raises(ManifestError, match=r"data.observers: .*observer"):
        planned(given)
    rows = manifest.read_text().splitlines()
    (tmp_path / "ours.csv").write_text(
        "\n".join(
            ["patient_id,image,mask,observer"]
            + [
                ",".join([p, *(str(manifest.parent / name) for name in files), "A"])
                for p, *files in (row.split(",") for row in rows[1:])
            ]
        )
    )
    given["data"]["observers"] = str(tmp_path / "ours.csv")
    planned(given)


def test_what_goes_with_the_number_of_classes_is_not_judged_by_a_guess(manifest: Path) -> None:
    state = torch.random.get_rng_state()
    assert planned(plain(manifest, task("early_tasks.Weighted", weights_of=[1, 2, 3]), depth=5))
    assert torch.equal(torch.random.get_rng_state(), state)
    wrong = plain(manifest, task("early_tasks.Weighted", num_classes=4, weights_of=[1, 2]), depth=5)
    with pytest.raises(SettingError, match="as many weights as classes"):
        planned(wrong)
