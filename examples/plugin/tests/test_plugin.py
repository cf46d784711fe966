"""What a plug-in should test: that its names are found, and that what they name works."""

from __future__ import annotations

from pathlib import Path

import lightning as L
import pytest
import torch
from torch.utils.data import DataLoader, Dataset

import muscletransfer as mt
from muscletransfer.errors import WeightsError
from muscletransfer.testing import check_encoder, check_pretext_task, check_weights

TASK, ENCODER, WEIGHTS = "example-plugin/blur", "example-plugin/tiny", "example-plugin/edges"
QUIET = {
    "accelerator": "cpu",
    "logger": False,
    "enable_checkpointing": False,
    "enable_progress_bar": False,
    "enable_model_summary": False,
}


class Noise(Dataset[dict[str, torch.Tensor]]):
    """Images of white noise, whose blur can be told from them."""

    def __init__(self, count: int, seed: int = 0, channels: int = 1) -> None:
        generator = torch.Generator().manual_seed(seed)
        self.images = torch.rand(count, channels, 32, 32, generator=generator)

    def __len__(self) -> int:
        return len(self.images)

    def __getitem__(self, index: int) -> dict[str, torch.Tensor]:
        return {"image": self.images[index]}


def test_the_names_are_found() -> None:
    assert mt.list_pretexts("example-plugin/*") == [TASK]
    assert mt.list_encoders("example-plugin/*") == [ENCODER]
    assert mt.list_weights("example-plugin/*") == [WEIGHTS]


def test_the_contracts() -> None:
    """One call each; a failure says what to change."""
    check_encoder(ENCODER)
    check_pretext_task(TASK)
    check_weights(WEIGHTS, encoder=ENCODER)


def test_the_blur_is_learnt_and_fine_tuning_starts_from_it(tmp_path: Path) -> None:
    L.seed_everything(0)
    task = mt.create_pretext(TASK, depth=3, weights=WEIGHTS, lr=1e-2, warmup_steps=2)
    trainer = L.Trainer(max_steps=60, **QUIET)
    trainer.fit(task, DataLoader(Noise(64), batch_size=16, shuffle=True))
    (scores,) = trainer.validate(task, DataLoader(Noise(64, seed=1), batch_size=16), verbose=False)
    assert scores["val_accuracy"] > 2 * scores["val_chance"]

    path = mt.save_encoder(task, tmp_path / "blur.safetensors")
    tuner = mt.SegmentationFineTuner(encoder=ENCODER, depth=3, weights=str(path))
    assert tuner.transfer_report.complete
    assert [record.task for record in tuner.provenance().chain()][1:] == [TASK, WEIGHTS]


def test_each_image_gets_its_own_blur() -> None:
    task = mt.create_pretext(TASK, depth=3, levels=3)
    image = torch.rand(12, 1, 32, 32, generator=torch.Generator().manual_seed(0))
    inputs, radii = task.make_targets({"image": image})
    assert set(radii.tolist()) == {0, 1, 2}
    for before, after, radius in zip(image[:, 0], inputs[:, 0], radii.tolist(), strict=True):
        square = before[16 - radius : 17 + radius, 16 - radius : 17 + radius]
        torch.testing.assert_close(after[16, 16], square.mean())


@pytest.mark.parametrize("channels", [1, 3])
def test_the_weights_fit_and_are_the_same_each_time(channels: int) -> None:
    encoders = [mt.create_encoder(ENCODER, channels) for _ in range(2)]
    for encoder in encoders:
        assert mt.load_encoder(encoder, WEIGHTS).complete
    first, second = (encoder.state_dict() for encoder in encoders)
    assert all(torch.equal(first[name], second[name]) for name in first)
    flat = torch.ones(1, channels, 32, 32)
    edges = torch.nn.functional.conv2d(flat, first["stages.0.0.weight"])
    torch.testing.assert_close(edges, torch.zeros_like(edges))


def test_weights_of_another_encoder_are_refused() -> None:
    with pytest.raises(WeightsError, match=r"'smp/resnet18'.*Use encoder='example-plugin/tiny'"):
        mt.load_encoder(mt.create_encoder("smp/resnet18"), WEIGHTS)
