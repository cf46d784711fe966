"""Averaged weights (EMA, SWA): in checkpoint, model and export where a user looks for them."""

import pretext_toys
import pytest
import torch
from finetune_toys import ToyData, copy_of, equal_states, tiny, trainer
from lightning.pytorch import Callback
from lightning.pytorch.callbacks import StochasticWeightAveraging

from muscletransfer.finetune import BestAndLast, SegmentationFineTuner
from muscletransfer.pretext import JigsawPretext
from muscletransfer.transfer import read_artifact, save_encoder, state_sha256

averaging = pytest.importorskip(
    "lightning.pytorch.callbacks.weight_averaging", reason="Lightning 2.6 brings these callbacks"
)
EMAWeightAveraging, WeightAveraging = averaging.EMAWeightAveraging, averaging.WeightAveraging


class Ema(Callback):
    """An average by hand, beside the one of Lightning."""

    def __init__(self, decay):
        self.decay, self.average, self.validated = decay, None, []

    def on_train_batch_end(self, trainer, pl_module, *args):
        now = {k: v.clone() for k, v in pl_module.named_parameters()}
        if self.average is None:
            self.average = now
        else:
            d = self.decay
            self.average = {k: d * v + (1 - d) * now[k] for k, v in self.average.items()}

    def on_validation_batch_start(self, trainer, pl_module, *args):
        self.validated.append(dict(copy_of(pl_module)))


@pytest.fixture(scope="module")
def averaged(tmp_path_factory):
    folder = tmp_path_factory.mktemp("ema")
    model, watch = SegmentationFineTuner(**tiny(seed=2)), Ema(0.8)
    keep = BestAndLast(folder / "kept")
    run = trainer(
        folder,
        max_epochs=3,
        callbacks=[EMAWeightAveraging(decay=0.8), watch, keep],
        enable_checkpointing=True,
        limit_val_batches=None,
    )
    run.fit(model, datamodule=ToyData())
    return model, watch, keep, folder


def test_checkpoint_and_model_hold_the_average(averaged):
    model, watch, keep, _ = averaged
    loaded = SegmentationFineTuner.load_from_checkpoint(keep.last_model_path)
    for name, wanted in watch.average.items():
        torch.testing.assert_close(loaded.get_parameter(name), wanted)
        torch.testing.assert_close(model.get_parameter(name), wanted)


def test_the_best_checkpoint_holds_what_was_validated(averaged):
    _, watch, keep, _ = averaged
    best = SegmentationFineTuner.load_from_checkpoint(keep.best_model_path)
    state = copy_of(best)
    assert any(equal_states(state, validated) for validated in watch.validated)


def test_files_are_sound_and_say_so(averaged):
    model, _, keep, folder = averaged
    artifact = read_artifact(keep.last_model_path)  # compares the digests
    assert artifact.provenance.sha256 == state_sha256(model.model.encoder.state_dict())
    path = save_encoder(model, folder / "ema.safetensors", include_decoder=True)
    exported = read_artifact(path)
    assert exported.provenance.sha256 == artifact.provenance.sha256
    assert exported.provenance.data["patients"] == 6


def test_a_resumed_run_goes_on_with_both(tmp_path):
    def run_of(epochs, path=None):
        model = SegmentationFineTuner(**tiny(seed=2))
        run = trainer(tmp_path, max_epochs=epochs, callbacks=[EMAWeightAveraging(decay=0.8)])
        run.fit(model, datamodule=ToyData(), ckpt_path=path)
        return model, run

    class Save(Callback):
        def on_train_epoch_end(self, trainer, pl_module):
            if trainer.current_epoch == 1:
                trainer.save_checkpoint(tmp_path / "middle.ckpt")

    whole, _ = run_of(4)
    model = SegmentationFineTuner(**tiny(seed=2))
    callbacks = [EMAWeightAveraging(decay=0.8), Save()]
    trainer(tmp_path, max_epochs=4, callbacks=callbacks).fit(model, datamodule=ToyData())
    again, _ = run_of(4, tmp_path / "middle.ckpt")
    assert equal_states(copy_of(whole), copy_of(again))


def test_the_jigsaw_keeps_its_permutations():
    task = JigsawPretext(pretext_toys.TINY, depth=3, grid=3, tile_size=32)
    before = task.permutations.clone()
    run = pretext_toys.trainer(6, callbacks=[EMAWeightAveraging(decay=0.9)])
    run.fit(task, datamodule=pretext_toys.ToyData(image=pretext_toys.textured(8, 96)))
    assert torch.equal(task.permutations, before)
    assert set(task.state_dict()) == set(JigsawPretext(pretext_toys.TINY, depth=3).state_dict())


@pytest.mark.parametrize("callback", [StochasticWeightAveraging, WeightAveraging])
def test_equal_averages(callback, tmp_path):
    swa = callback is StochasticWeightAveraging
    average = callback(swa_lrs=1e-2, swa_epoch_start=1) if swa else callback()
    model, keep = SegmentationFineTuner(**tiny(seed=2)), BestAndLast(tmp_path / "kept")
    run = trainer(tmp_path, max_epochs=3, callbacks=[average, keep], enable_checkpointing=True)
    run.fit(model, datamodule=ToyData())
    loaded = SegmentationFineTuner.load_from_checkpoint(keep.last_model_path)
    assert equal_states(copy_of(loaded), copy_of(model))
    wanted = average._average_model
    wanted = dict(wanted.named_parameters() if swa else wanted.module.named_parameters())
    for name, parameter in model.named_parameters():
        torch.testing.assert_close(parameter, wanted[name])
