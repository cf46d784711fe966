"""torch.compile, in each way that users call it: trains, is saved under plain names, loads again.

In place, the back end ``aot_eager`` traces forward and backward as the default one does and leaves
out the C++ compiler, which takes a minute; elsewhere ``eager`` traces the forward alone.
"""

import pretext_toys
import pytest
import torch
from finetune_toys import ToyData, copy_of, equal_states, tiny, trainer

from muscletransfer.finetune import SegmentationFineTuner
from muscletransfer.pretext import RotationPretext
from muscletransfer.transfer import read_artifact, save_encoder


def compiled(module):
    return torch.compile(module, backend="eager")


@pytest.fixture(autouse=True)
def fresh():
    torch._dynamo.reset()
    yield
    torch._dynamo.reset()


def names_of(folder):
    return set(read_artifact(folder / "compiled.ckpt").encoder_state)


@pytest.mark.parametrize("part", ["in place", "model", "encoder"])
def test_parts_of_a_fine_tuner(part, tmp_path):
    model = SegmentationFineTuner(**tiny(seed=1))
    plain = copy_of(model)
    if part == "in place":
        model.model.compile(backend="aot_eager")
    elif part == "model":
        model.model = compiled(model.model)
    else:
        model.model.encoder = compiled(model.model.encoder)
    run = trainer(tmp_path, max_epochs=1)
    run.fit(model, datamodule=ToyData())
    run.save_checkpoint(tmp_path / "compiled.ckpt")
    again = SegmentationFineTuner.load_from_checkpoint(tmp_path / "compiled.ckpt")
    assert copy_of(again).keys() == plain.keys()
    assert names_of(tmp_path) == set(again.model.encoder.state_dict())
    images = torch.rand(1, 1, 32, 32)
    torch.testing.assert_close(again.eval()(images), model.eval()(images))
    # And the compiled one takes the checkpoint to go on from.
    run = trainer(tmp_path, max_epochs=2)
    run.fit(model, datamodule=ToyData(), ckpt_path=tmp_path / "compiled.ckpt")
    assert run.global_step == 4
    path = save_encoder(model, tmp_path / "compiled.safetensors", include_decoder=True)
    assert set(read_artifact(path).encoder_state) == names_of(tmp_path)


def test_a_compiled_encoder_of_a_pretext_task(tmp_path):
    task = RotationPretext(pretext_toys.TINY, depth=3)
    task.encoder = compiled(task.encoder)
    run = pretext_toys.trainer(2)
    run.fit(task, datamodule=pretext_toys.ToyData(image=pretext_toys.textured(8)))
    run.save_checkpoint(tmp_path / "compiled.ckpt")
    again = RotationPretext.load_from_checkpoint(tmp_path / "compiled.ckpt")
    assert names_of(tmp_path) == set(again.encoder.state_dict())
    started = RotationPretext(pretext_toys.TINY, depth=3, weights=str(tmp_path / "compiled.ckpt"))
    assert equal_states(copy_of(started.encoder), copy_of(again.encoder))


@pytest.mark.slow
def test_a_whole_task(tmp_path):
    model = SegmentationFineTuner(**tiny(seed=1))
    before = copy_of(model)
    run = trainer(tmp_path, max_epochs=1)
    # The training step breaks into many small graphs.
    run.fit(compiled(model), datamodule=ToyData())
    assert run.global_step == 2
    assert not equal_states(before, copy_of(model))
    run.save_checkpoint(tmp_path / "compiled.ckpt")
    SegmentationFineTuner.load_from_checkpoint(tmp_path / "compiled.ckpt")
