"""Numbers and names of NumPy as arguments: checkpoints hold Python's own."""

import numpy as np
import pytest
import torch
from finetune_toys import TINY, ToyData, copy_of, equal_states, tiny, trainer

from muscletransfer.finetune import SegmentationFineTuner


class OwnRate(SegmentationFineTuner):
    def configure_optimizers(self):
        return torch.optim.AdamW(self.parameters(), lr=np.float64(0.01))


@pytest.mark.parametrize(
    "make",
    [
        lambda: SegmentationFineTuner(
            **tiny(
                lr=np.float64(0.01),
                weight_decay=np.float32(0.5),
                encoder_lr_decay=np.logspace(-1, 0, 3)[1],
                warmup_steps=np.int64(2),
                seed=np.int64(1),
                num_classes=np.int64(2),
                depth=np.int64(3),
            )
        ),
        lambda: SegmentationFineTuner(
            **tiny(encoder=np.str_(TINY), decoder=np.str_("unet"), class_names=[np.str_("psoas")])
        ),
        lambda: SegmentationFineTuner(**tiny()).use_optimizer(
            "AdamW", lr=np.float32(0.5), betas=np.array([0.5, 0.25]), eps=np.float64(1e-6)
        ),
        lambda: SegmentationFineTuner(**tiny()).use_scheduler(
            "MultiStepLR", milestones=np.array([1]), gamma=np.float32(0.5)
        ),
        lambda: OwnRate(**tiny()),
    ],
    ids=["numbers", "names", "optimizer", "scheduler", "own optimizer"],
)
def test_numpy_values_leave_checkpoints_readable(tmp_path, make):
    model = make()
    run = trainer(tmp_path, max_epochs=1)
    run.fit(model, datamodule=ToyData(num_classes=model.num_classes))
    run.save_checkpoint(tmp_path / "a.ckpt")
    assert torch.load(tmp_path / "a.ckpt", weights_only=True)["global_step"] == 2
    again = type(model).load_from_checkpoint(tmp_path / "a.ckpt")
    assert equal_states(copy_of(model), copy_of(again))
    assert again.optimizer_block() == model.optimizer_block()
    run = trainer(tmp_path, max_epochs=2)
    data = ToyData(num_classes=model.num_classes)
    run.fit(make(), datamodule=data, ckpt_path=tmp_path / "a.ckpt")
    assert run.global_step == 4


def test_numpy_arguments_of_a_chosen_optimizer_are_kept():
    model = SegmentationFineTuner(**tiny()).use_optimizer("SGD", lr=np.float32(0.5), momentum=0.5)
    assert type(model.lr) is float
    assert model.lr == 0.5
    block = SegmentationFineTuner(**tiny()).use_optimizer("Adam", betas=np.array([0.5, 0.25]))
    assert block.optimizer_block()["optimizer"] == {
        "name": "Adam",
        "class_path": "torch.optim.Adam",
        "init_args": {"betas": [0.5, 0.25]},
    }
