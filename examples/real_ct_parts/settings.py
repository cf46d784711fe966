"""How large the run is, and which arms it compares."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any, Literal

Transfer = Literal["encoder", "encoder+decoder"]


@dataclass(frozen=True)
class Arm:
    """One way to start fine-tuning.

    Args:
        name: Name in tables and figures.
        source: The source task, or None for random weights.
        transfer: What is taken from it.
        frozen: Whether the encoder stays as it came.
    """

    name: str
    source: str | None = None
    transfer: Transfer = "encoder"
    frozen: bool = False


RANDOM = "random"
COPY = "nearest labelled slice, copied"

ARMS = (
    Arm(RANDOM),
    Arm("random, encoder frozen", frozen=True),
    Arm("jigsaw", "jigsaw"),
    Arm("reconstruction", "reconstruction"),
    Arm("reconstruction + decoder", "reconstruction", "encoder+decoder"),
    Arm("segmentation", "segmentation"),
    Arm("segmentation + decoder", "segmentation", "encoder+decoder"),
    Arm("classification", "classification"),
)

LONGER = (RANDOM, "segmentation + decoder")
"""Arms that are trained for longer as well: the baseline, and what the paper found best."""


@dataclass(frozen=True)
class Settings:
    """Sizes of the run, chosen for a CPU.

    Args:
        encoder: Name of the encoder.
        depth: Halvings of the encoder; 4 leaves out the deepest stage, which holds most weights.
        size: Side of the network's images in pixels.
        lr: Peak learning rate of every training run.
        pretext_steps: Optimisation steps of each source task.
        pretext_batch: Images a step, for tasks without a decoder; half as many for the others.
        puzzle_draws: How often the held-out images are cut into puzzles for the jigsaw's score.
        finetune_batch: Images a step of fine-tuning.
        ct_steps: Steps of each fine-tuning run on CT.
        ct_slices: Numbers of labelled training slices.
        ct_tests: Which blocks of the CT slices test, one after the other.
        ct_gap: Slices left out between the two blocks.
        ct_repeats: Runs for each test block.
        ct_longer: How many times as many steps the check on the length of fine-tuning takes.
        mr_steps: Steps of each fine-tuning run on cardiac MR.
        mr_patients: Numbers of labelled training patients.
        mr_folds: Folds of the patients; repeat k tests on fold k.
        mr_repeats: Runs, at most one a fold.
    """

    encoder: str = "timm/resnet18"
    depth: int = 4
    size: int = 112
    lr: float = 1e-3
    pretext_steps: int = 300
    pretext_batch: int = 16
    puzzle_draws: int = 20
    finetune_batch: int = 4
    ct_steps: int = 60
    ct_slices: tuple[int, ...] = (2, 5)
    ct_tests: tuple[str, ...] = ("lower", "upper")
    ct_gap: int = 4
    ct_repeats: int = 2
    ct_longer: int = 4
    mr_steps: int = 250
    mr_patients: tuple[int, ...] = (5, 10)
    mr_folds: int = 4
    mr_repeats: int = 2

    def deciding(self, part: str) -> dict[str, Any]:
        """Return the settings that a stage's result depends on, besides what its name says.

        Args:
            part: ``pretext``, ``ct`` or ``mr``; the last two start from the first.
        """
        named = (
            "ct_slices",
            "ct_tests",
            "ct_repeats",
            "ct_longer",
            "mr_patients",
            "mr_repeats",
        )
        others = {"pretext": ("ct_", "mr_", "finetune_"), "ct": ("mr_",), "mr": ("ct_",)}[part]
        return {
            k: v for k, v in self.to_dict().items() if k not in named and not k.startswith(others)
        }

    def to_dict(self) -> dict[str, Any]:
        """Return plain types, tuples as lists, as JSON gives them back."""
        return {k: list(v) if isinstance(v, tuple) else v for k, v in asdict(self).items()}


FULL = Settings()
QUICK = Settings(
    size=64,
    pretext_steps=4,
    pretext_batch=8,
    puzzle_draws=2,
    ct_steps=6,
    ct_slices=(2,),
    ct_tests=("upper",),
    ct_repeats=1,
    ct_longer=2,
    mr_steps=4,
    mr_patients=(5,),
    mr_repeats=1,
)
