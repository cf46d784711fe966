"""A task written from the documented contract alone: trained, exported, fine-tuned from.

Gidaris et al., ICLR 2018 (arXiv 1803.07728): tell by which quarter turn an image was rotated.
"""

import sys

import pytest
import torch
import torch.nn.functional as F
from lightning import seed_everything
from pretext_toys import TINY, ToyData, discs, loader, trainer

import muscletransfer as mt
from muscletransfer.pretext import ClassificationHead


@mt.register_pretext("tests/rotation", override=True)
class Rotation(mt.PretextTask):
    """Tell by how many quarter turns an image was rotated."""

    def __init__(
        self,
        encoder: str = "timm/resnet18",
        in_channels: int = 1,
        turns: int = 4,
        weights: str | None = None,
        lr: float = 1e-3,
        warmup_steps: int = 50,
    ) -> None:
        super().__init__(encoder, in_channels, weights=weights, lr=lr, warmup_steps=warmup_steps)
        self.turns = turns
        self.head = ClassificationHead(self.encoder.out_channels[-1], turns)

    def make_targets(self, batch):
        image = batch["image"]
        target = torch.randint(
            self.turns, (len(image),), generator=self.generator, device=image.device
        )
        turned = torch.stack([torch.rot90(image, k, (2, 3)) for k in range(self.turns)])
        return turned[target, torch.arange(len(image), device=image.device)], target

    def compute_loss(self, outputs, targets):
        return F.cross_entropy(outputs, targets)

    def add_metrics(self, outputs, targets):
        return {"accuracy": (outputs.argmax(1) == targets).float().mean()}


def ramps(count, seed):
    """Bright at the bottom, with noise: the turn can be told."""
    noise = torch.rand(count, 1, 64, 64, generator=torch.Generator().manual_seed(seed))
    return torch.linspace(0, 1, 64).view(1, 1, 64, 1) + 0.3 * noise


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    seed_everything(0)
    folder = tmp_path_factory.mktemp("rotation")
    task = mt.create_pretext("tests/rotation", encoder=TINY, lr=3e-3, warmup_steps=2)
    run = trainer(60)
    run.fit(task, datamodule=ToyData(batch_size=16, image=ramps(64, seed=0)))
    (scores,) = run.validate(task, loader(32, image=ramps(64, seed=1)), verbose=False)
    run.save_checkpoint(folder / "rotation.ckpt")
    return task, scores, folder


def test_it_learns_and_its_metric_is_logged(trained):
    _, scores, _ = trained
    assert scores["val_accuracy"] > 0.9
    assert scores["val_loss"] < 0.5


def test_exported_encoder_gives_the_same_features_in_a_fresh_one(trained):
    task, _, folder = trained
    path = mt.save_encoder(task, folder / "rotation.safetensors")
    fresh = mt.create_encoder(TINY)
    report = mt.load_encoder(fresh, path)
    assert report.complete
    assert report.provenance.task == "tests/rotation"
    assert report.provenance.hyperparameters["turns"] == 4
    assert report.provenance.hyperparameters["seed"] == 0  # of the base, though not in the task's
    image = ramps(2, seed=2)
    with torch.no_grad():
        for one, other in zip(task.encoder.eval()(image), fresh.eval()(image), strict=True):
            torch.testing.assert_close(one, other, atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize("suffix", [".ckpt", ".safetensors"])
def test_fine_tuning_starts_from_it(trained, suffix):
    task, _, folder = trained
    path = folder / f"from{suffix}"
    if suffix == ".ckpt":
        path = folder / "rotation.ckpt"
    else:
        mt.save_encoder(task, path, overwrite=True)
    tuner = mt.SegmentationFineTuner(encoder=TINY, weights=str(path))
    for key, value in task.encoder.state_dict().items():
        assert torch.equal(tuner.model.encoder.state_dict()[key], value), key
    assert [r.task for r in tuner.provenance().chain()][1:] == ["tests/rotation"]


def test_fine_tuning_trains_on_from_it(trained):
    task, _, folder = trained
    path = mt.save_encoder(task, folder / "begin-tuning.safetensors", overwrite=True)
    seed_everything(0)
    tuner = mt.SegmentationFineTuner(encoder=TINY, weights=str(path), lr=3e-3, warmup_steps=0)
    image, mask, _ = discs(16)
    before = F.binary_cross_entropy_with_logits(tuner.eval()(image)[:, 0], mask.float())
    trainer(30).fit(tuner.train(), loader(8, image=image, mask=mask))
    after = F.binary_cross_entropy_with_logits(tuner.eval()(image)[:, 0], mask.float())
    assert after < 0.7 * before
    began = task.encoder.state_dict()["stages.0.0.weight"]
    assert not torch.equal(tuner.model.encoder.state_dict()["stages.0.0.weight"], began)


def test_checkpoint_reloads_by_itself_without_the_weights_it_began_from(trained):
    task, _, folder = trained
    begin = folder / "begin.safetensors"
    mt.save_encoder(task, begin, overwrite=True)
    again = Rotation(encoder=TINY, weights=str(begin), turns=2, warmup_steps=0)
    run = trainer(1)
    run.fit(again, loader(image=ramps(4, seed=0)))
    run.save_checkpoint(folder / "again.ckpt")
    begin.unlink()
    back = Rotation.load_from_checkpoint(folder / "again.ckpt")
    assert back.turns == 2
    assert back.transfer_report is None
    assert [r.task for r in back.provenance().chain()] == ["tests/rotation", "tests/rotation"]
    for key, value in again.state_dict().items():
        assert torch.equal(back.state_dict()[key], value), key


def test_it_is_as_short_as_promised():
    source = open(sys.modules[__name__].__file__).read()  # noqa: SIM115
    body = source[source.index("class Rotation") : source.index("def ramps")].strip().splitlines()
    assert len(body) <= 40
