"""How checkpoints are written is the user's to choose; else the files are Lightning's."""

import torch
from finetune_toys import ToyData, equal_states, tiny, trainer
from lightning.fabric.plugins.io.torch_io import TorchCheckpointIO
from lightning.pytorch.plugins.io import AsyncCheckpointIO

from muscletransfer.checkpoint_io import DirectCheckpointIO
from muscletransfer.finetune import BestAndLast, SegmentationFineTuner


class Counting(TorchCheckpointIO):
    """Lightning's own, as somebody may have changed it."""

    saved = 0

    def save_checkpoint(self, *arguments, **options):
        self.saved += 1
        super().save_checkpoint(*arguments, **options)


def fit(folder, plugins):
    keep, model = BestAndLast(folder), SegmentationFineTuner(**tiny())
    run = trainer(
        folder,
        enable_checkpointing=True,
        limit_val_batches=1.0,
        max_epochs=4,
        callbacks=[keep],
        plugins=plugins,
    )
    run.fit(model, datamodule=ToyData())
    assert len(list(folder.iterdir())) == 2
    paths = keep.best_model_path, keep.last_model_path
    return run.strategy.checkpoint_io, [torch.load(path, weights_only=True) for path in paths]


def test_checkpoints_written_in_the_background_hold_the_same(tmp_path):
    own, at_once = fit(tmp_path / "at once", None)
    given = AsyncCheckpointIO()
    used, later = fit(tmp_path / "later", [given])
    assert type(own) is DirectCheckpointIO
    assert used is given
    for one, other in zip(at_once, later, strict=True):
        assert one["global_step"] == other["global_step"]
        assert equal_states(one["state_dict"], other["state_dict"])


def test_a_plugin_of_the_user_is_used(tmp_path):
    given = Counting()
    used, _ = fit(tmp_path / "given", [given])
    assert used is given
    assert given.saved > 1
