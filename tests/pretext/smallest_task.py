"""The smallest pretext task, and how the tests of the base class train it."""

import torch
import torch.nn.functional as F
from pretext_toys import TINY, loader, trainer

import muscletransfer as mt
from muscletransfer.pretext import ClassificationHead


class Mean(mt.PretextTask):
    """The smallest task: guess the mean brightness."""

    def __init__(self, encoder=TINY, in_channels=1, depth=3, **kwargs):
        super().__init__(encoder, in_channels, depth, **kwargs)
        self.head = ClassificationHead(self.encoder.out_channels[-1], 1)

    def make_targets(self, batch):
        return batch["image"], batch["image"].mean((1, 2, 3))

    def compute_loss(self, outputs, targets):
        return F.mse_loss(outputs[:, 0], targets)


def images(count=4, channels=1, side=32):
    return torch.rand(count, channels, side, side, generator=torch.Generator().manual_seed(0))


def fit(task, **changes):
    run = trainer(changes.pop("max_steps", 2))
    run.fit(task, loader(**{"image": images(), **changes}))
    return run
