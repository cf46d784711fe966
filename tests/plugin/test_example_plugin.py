"""The example plug-in, built and installed: found by name everywhere, imported by nobody."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest
import yaml
from plugin_help import build_and_install, listed, run, run_own_tests

from muscletransfer.data.synthetic import make_cohort
from muscletransfer.transfer import inspect_file

SOURCE = Path(__file__).parents[2] / "examples" / "plugin"
NAMES = {
    "pretexts": "example-plugin/blur",
    "encoders": "example-plugin/tiny",
    "weights": "example-plugin/edges",
}


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build_and_install(SOURCE, tmp_path_factory.mktemp("plugin"))


def test_the_wheel_holds_the_package_and_its_metadata(site: Path) -> None:
    tops = {path.name for path in site.iterdir()}
    assert tops == {
        "muscletransfer_example_plugin",
        "muscletransfer_example_plugin-0.1.0.dist-info",
    }
    assert (site / "muscletransfer_example_plugin" / "py.typed").exists()


@pytest.mark.parametrize("what", NAMES)
def test_listed(what: str, site: Path, tmp_path: Path) -> None:
    assert listed(what, "example-plugin/*", cwd=tmp_path, site=site) == [NAMES[what]]


def test_not_there_without_the_installation(tmp_path: Path) -> None:
    empty = tmp_path / "empty"
    empty.mkdir()
    assert listed("pretexts", "example-plugin/*", cwd=tmp_path, site=empty) == []


@pytest.mark.slow
def test_in_yaml_through_fit(site: Path, tmp_path: Path) -> None:
    make_cohort(tmp_path / "phantom", patients=8, size=64, other_levels=1, seed=0)
    config = yaml.safe_load((SOURCE / "blur.yaml").read_text())
    config["model"]["init_args"]["depth"] = 3
    config["data"]["init_args"]["batch_size"] = 4
    config["data"]["init_args"]["preprocessing"]["init_args"]["size"] = 32
    config["trainer"] = {
        "max_steps": 2,
        "accelerator": "cpu",
        "logger": False,
        "enable_progress_bar": False,
        "default_root_dir": "run",
    }
    (tmp_path / "blur.yaml").write_text(yaml.safe_dump(config))
    command = [sys.executable, "-m", "muscletransfer", "fit", "--config", "blur.yaml"]
    run(command, cwd=tmp_path, site=site, MUSCLETRANSFER_CACHE=str(tmp_path / "cache"))
    (checkpoint,) = (tmp_path / "run").rglob("*.ckpt")
    record = inspect_file(checkpoint)  # without the plug-in: this process does not see it
    assert [one.task for one in record.chain()] == [NAMES["pretexts"], NAMES["weights"]]
    assert record.encoder is not None
    assert record.encoder["name"] == NAMES["encoders"]


DDP = '''
"""Two processes; the second sees nothing of what the first has imported."""
import sys

import lightning as L
import torch
from torch.utils.data import DataLoader

import muscletransfer as mt


class Built(L.LightningModule):
    """Makes the task by name in the process that trains it."""

    def configure_model(self):
        if hasattr(self, "task"):
            return
        assert "muscletransfer_example_plugin" not in sys.modules
        names = {"encoder": "example-plugin/tiny", "weights": "example-plugin/edges"}
        self.task = mt.create_pretext("example-plugin/blur", depth=2, warmup_steps=0, **names)

    def training_step(self, batch, index):
        image = torch.stack([row["image"] for row in batch])
        inputs, targets = self.task.make_targets({"image": image})
        return self.task.compute_loss(self.task(inputs), targets)

    def on_train_end(self):
        total = sum(p.detach().double().sum() for p in self.parameters())
        both = self.all_gather(total)
        assert len(both) == 2 and torch.equal(both[0], both[1]), both
        start = mt.create_encoder("example-plugin/tiny", depth=2)
        mt.load_encoder(start, "example-plugin/edges")
        moved = (start.stages[0][0].weight - self.task.encoder.stages[0][0].weight).abs().max()
        assert 0 < moved < 1, moved
        print(f"rank {self.global_rank} of {self.trainer.world_size} is done", flush=True)

    def configure_optimizers(self):
        return torch.optim.SGD(self.parameters(), lr=0.01)


if __name__ == "__main__":
    torch.manual_seed(0)
    images = [{"image": image} for image in torch.rand(8, 1, 16, 16)]
    quiet = {"logger": False, "enable_checkpointing": False, "enable_progress_bar": False}
    trainer = L.Trainer(accelerator="cpu", devices=2, strategy="ddp_spawn", max_steps=2, **quiet)
    trainer.fit(Built(), DataLoader(images, batch_size=2, collate_fn=list))
    assert "muscletransfer_example_plugin" not in sys.modules
'''


@pytest.mark.slow
def test_in_spawned_ddp_processes(site: Path, tmp_path: Path) -> None:
    (tmp_path / "train.py").write_text(DDP)
    told = run([sys.executable, "train.py"], cwd=tmp_path, site=site).stdout
    assert "rank 0 of 2 is done" in told
    assert "rank 1 of 2 is done" in told


@pytest.mark.slow
def test_in_a_study(site: Path, tmp_path: Path) -> None:
    cohort = make_cohort(tmp_path / "phantom", patients=8, size=64, seed=0)
    config = {
        "data": {
            "manifest": str(cohort.manifest),
            "num_folds": 2,
            "preprocessing": {"size": 32},
        },
        "train_patients": [2],
        "encoders": [{"name": NAMES["encoders"], "depth": 3}],
        "decoders": [{"name": "unet", "kwargs": {"decoder_channels": [16, 8, 8]}}],
        "sources": [
            {"name": "blur", "pretext": NAMES["pretexts"], "data": {"images": "manifest"}},
            {"name": "edges", "weights": NAMES["weights"]},
        ],
        "pretraining": {"steps": 2, "batch_size": 2},
        "finetune": {"steps": 2, "batch_size": 2},
    }
    (tmp_path / "s.yaml").write_text(yaml.safe_dump(config))
    command = [sys.executable, "-m", "muscletransfer", "study", "run", "s.yaml", "--no-report"]
    cache = str(tmp_path / "cache")
    run([*command, "--devices", ""], cwd=tmp_path, site=site, MUSCLETRANSFER_CACHE=cache)
    specs = [json.loads(path.read_text()) for path in (tmp_path / "s").glob("runs/*/spec.json")]
    assert sorted((spec["source"], spec["fold"]) for spec in specs) == [
        ("blur", 0),
        ("blur", 1),
        ("edges", 0),
        ("edges", 1),
    ]
    assert {spec["encoder"] for spec in specs} == {NAMES["encoders"]}
    exported = (tmp_path / "s").glob("pretexts/*/weights.safetensors")
    assert {inspect_file(path).task for path in exported} == {NAMES["pretexts"]}


@pytest.mark.slow
def test_its_own_tests_pass(site: Path) -> None:
    told = run_own_tests(site.parent / "source", site=site)
    assert " passed" in told
    assert "failed" not in told
    assert "skipped" not in told
