"""Sources from outside: weights that cannot be had are told at once; a plug-in's task is found."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from tiny_cases import ct_cases, study

from muscletransfer.encoders import EncoderSpec, create_encoder
from muscletransfer.errors import MuscleTransferError, TransferError, WeightsError
from muscletransfer.study.config import config_from_dict
from muscletransfer.study.plan import plan_study
from muscletransfer.study.plan.models import check_models
from muscletransfer.study.start import run_study
from muscletransfer.transfer import (
    LoadedWeights,
    inspect_file,
    list_weights,
    register_weights,
    save_encoder,
)

TASK = '''
"""A source task of another package."""
import torch
from muscletransfer import PretextTask
from muscletransfer.pretext import ClassificationHead


class UpsideDown(PretextTask):
    """Tell whether an image is upside down."""

    def __init__(self, encoder="timm/resnet18", in_channels=1, hidden=4, **kwargs):
        super().__init__(encoder, in_channels, **kwargs)
        self.head = ClassificationHead(self.encoder.out_channels[-1], 2)

    def make_targets(self, batch):
        image = batch["image"]
        target = torch.randint(2, (len(image),), generator=self.generator)
        return torch.where(target.bool()[:, None, None, None], image.flip(2), image), target

    def compute_loss(self, outputs, targets):
        return torch.nn.functional.cross_entropy(outputs, targets)
'''


@pytest.fixture(scope="module")
def manifest(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return ct_cases(tmp_path_factory.mktemp("cases"), 6)


def test_weights_that_do_not_fit_stop_a_study_before_it_starts(
    manifest: Path, tmp_path: Path
) -> None:
    other = save_encoder(create_encoder("timm/resnet18", depth=3), tmp_path / "w.safetensors")
    plain = study(manifest, train_patients=[2], sources=[{"name": "mine", "weights": str(other)}])
    folder = tmp_path / "study"
    with pytest.raises(TransferError, match=r"source 'mine' \(w.safetensors\).*resnet10t"):
        run_study(config_from_dict(plain), folder, progress=False)
    assert not (folder / "runs").exists()
    # a finished run needs its weights no more
    plan = plan_study(config_from_dict(plain))
    check_models(plan, {run.id for run in plan.runs})


def test_arguments_of_models_are_tried_before_anything_runs(manifest: Path) -> None:
    plain = study(manifest, train_patients=[2])
    plain["decoders"] = [{"name": "unet", "kwargs": {"decoder_chanels": [16, 8, 8]}}]
    with pytest.raises(
        MuscleTransferError, match=r"models: .*decoder_chanels.*Nothing was started"
    ):
        check_models(plan_study(config_from_dict(plain)))


def test_weights_that_cannot_be_fetched_stop_a_study_before_it_starts(manifest: Path) -> None:
    def unreachable(spec: EncoderSpec) -> LoadedWeights:
        raise WeightsError(f"no network, no weights for {spec.name}.")

    if "test/unreachable" not in list_weights():
        register_weights("test/unreachable")(unreachable)
    source = {"name": "far", "weights": "test/unreachable"}
    plan = plan_study(config_from_dict(study(manifest, train_patients=[2], sources=[source])))
    with pytest.raises(WeightsError, match=r"source 'far' .*no network.*Remove the source"):
        check_models(plan)


def test_a_task_of_an_installed_plug_in_by_name_in_worker_processes(
    manifest: Path, tmp_path: Path
) -> None:
    site = tmp_path / "site"
    information = site / "mylab-1.0.dist-info"
    information.mkdir(parents=True)
    (site / "mylab.py").write_text(TASK)
    (information / "METADATA").write_text("Metadata-Version: 2.1\nName: mylab\nVersion: 1.0\n")
    (information / "entry_points.txt").write_text(
        "[muscletransfer.pretexts]\nmylab/upside_down = mylab:UpsideDown\n"
    )
    source = {"name": "theirs", "pretext": "mylab/upside_down", "data": {"images": "manifest"}}
    (tmp_path / "s.yaml").write_text(
        yaml.safe_dump(study(manifest, train_patients=[2], sources=[source]))
    )
    command = [sys.executable, "-m", "muscletransfer", "study", "run", "s.yaml", "--no-report"]
    done = subprocess.run(
        [*command, "--devices", ""],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(site)},
        capture_output=True,
        text=True,
        timeout=240,
    )
    assert done.returncode == 0, done.stderr
    assert "4 done, 4 of them now" in done.stdout
    (first, *_) = (tmp_path / "s" / "pretexts").glob("*/weights.safetensors")
    assert inspect_file(first).task == "UpsideDown"
    # another version of the plug-in may give other results, so it is part of the id
    spec = json.loads((first.parent / "spec.json").read_text())
    assert spec["plugins"] == {"pretext": "mylab 1.0"}
