import itertools
import math

import pytest
import torch
from lightning.pytorch import Trainer
from lightning.pytorch.demos.boring_classes import BoringModel

from muscletransfer.schedule import planned_steps, warmup_cosine, warmup_cosine_factor


def optimizer_with_two_groups():
    first, second = (torch.nn.Parameter(torch.zeros(1)) for _ in range(2))
    groups = [{"params": [first], "lr": 1.0}, {"params": [second], "lr": 0.1}]
    return torch.optim.AdamW(groups, lr=1.0)


def test_rises_linearly_then_falls_to_zero():
    factors = [warmup_cosine_factor(step, 100, 10) for step in range(101)]
    assert factors[:10] == pytest.approx([(i + 1) / 10 for i in range(10)])
    assert factors[55] == pytest.approx(0.5)
    assert factors[32] == pytest.approx(0.5 * (1 + math.cos(math.pi * 22 / 90)))
    assert factors[100] == 0.0
    assert all(a >= b for a, b in itertools.pairwise(factors[10:]))


def test_no_warmup_starts_at_the_full_rate():
    assert warmup_cosine_factor(0, 100, 0) == 1.0
    assert warmup_cosine_factor(0, None, 0) == 1.0


def test_a_warmup_longer_than_the_run_is_cut_to_half():
    factors = [warmup_cosine_factor(step, 10, 50) for step in range(10)]
    assert max(factors) == 1.0
    assert factors.index(1.0) == 4


@pytest.mark.parametrize("total", [1, 2, 3])
def test_tiny_runs_train_at_every_step(total):
    assert all(warmup_cosine_factor(step, total, 50) > 0 for step in range(total))


def test_groups_keep_their_ratio_and_unknown_length_stays_flat():
    optimizer = optimizer_with_two_groups()
    scheduler = warmup_cosine(optimizer, total_steps=-1, warmup_steps=3)
    for _ in range(20):
        optimizer.step()
        scheduler.step()
    assert scheduler.get_last_lr() == pytest.approx([1.0, 0.1])


def test_state_is_plain_and_resumes(tmp_path):
    optimizer = optimizer_with_two_groups()
    scheduler = warmup_cosine(optimizer, 20, 4)
    rates = []
    for _ in range(20):
        rates.append(scheduler.get_last_lr())
        optimizer.step()
        scheduler.step()
        if len(rates) == 7:
            torch.save((optimizer.state_dict(), scheduler.state_dict()), tmp_path / "s.pt")
    optimizer = optimizer_with_two_groups()
    scheduler = warmup_cosine(optimizer, 20, 4)
    optimizer_state, state = torch.load(tmp_path / "s.pt", weights_only=True)
    optimizer.load_state_dict(optimizer_state)
    scheduler.load_state_dict(state)
    again = []
    for _ in range(13):
        again.append([group["lr"] for group in optimizer.param_groups])
        optimizer.step()
        scheduler.step()
    assert again == rates[7:]


def test_negative_warmup_is_refused():
    with pytest.raises(ValueError, match="warmup_steps is -1"):
        warmup_cosine(optimizer_with_two_groups(), 10, -1)


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        ({"max_epochs": 3}, 12),
        ({"max_epochs": 3, "accumulate_grad_batches": 2}, 6),
        ({"max_epochs": 3, "max_steps": 5}, 5),
        ({"max_epochs": -1, "max_steps": 7}, 7),
        ({"max_epochs": -1, "max_time": "00:00:00:01"}, None),
    ],
)
def test_planned_steps_are_those_of_the_run(tmp_path, settings, expected):
    seen = []

    class Planning(BoringModel):
        def configure_optimizers(self):
            seen.append(planned_steps(self.trainer))
            return torch.optim.SGD(self.parameters(), lr=0.01)

        def on_train_batch_end(self, *_):
            self.trainer.should_stop = expected is None

    trainer = Trainer(
        default_root_dir=tmp_path,
        accelerator="cpu",
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        limit_val_batches=0,
        limit_train_batches=4,
        **settings,
    )
    trainer.fit(Planning())
    assert seen == [expected]
    assert expected is None or trainer.global_step == expected
