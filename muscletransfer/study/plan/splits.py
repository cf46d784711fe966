"""The splits of a study: drawn once for each fold and repeat, cut to size for each n."""

from __future__ import annotations

from dataclasses import replace

from muscletransfer.data.splits import Split, make_split
from muscletransfer.errors import SplitError
from muscletransfer.study.config.study import StudyConfig
from muscletransfer.study.plan.cases import Cases
from muscletransfer.study.plan.ids import content_key

__all__ = ["StudySplits"]


class StudySplits:
    """Who trains, validates and tests in each run.

    Test and validation patients depend on the fold alone; training patients are nested in n and
    drawn anew for each repeat.

    Args:
        config: The study.
        cases: Its cases.

    Raises:
        SplitError: A fold has too few patients for the largest n, or there are too few folds.
    """

    def __init__(self, config: StudyConfig, cases: Cases) -> None:
        self.config = config
        self.folds = [list(fold) for fold in cases.folds]
        self.num_folds = len(self.folds)
        self._largest: dict[tuple[int, int], Split] = {}
        self._keys: dict[tuple[int, int, int], str] = {}
        most = config.train_patients[-1]
        validation = config.selection.validation_patients or 0
        for fold in range(self.num_folds):
            left = len(cases.patients) - len(self.folds[fold]) - validation
            if most > left:
                fitting = [n for n in config.train_patients if n <= left]
                raise SplitError(
                    f"train_patients asks for {most}, but fold {fold} of {self.num_folds} leaves "
                    f"{left} of {len(cases.patients)} patients to train on ({len(self.folds[fold])}"
                    f" test, {validation} validate). Use train_patients: {fitting}, add patients, "
                    "use more folds, or spend fewer on validation."
                )

    def split(self, n: int, fold: int, repeat: int) -> Split:
        """Return one split.

        Args:
            n: Training patients.
            fold: The fold that tests.
            repeat: Which draw.
        """
        if (fold, repeat) not in self._largest:
            self._largest[fold, repeat] = make_split(
                self.folds,
                self.config.train_patients[-1],
                fold=fold,
                seed=self.config.data.seed,
                repeat=repeat,
                val_patients=self.config.selection.validation_patients or 0,
            )
        largest = self._largest[fold, repeat]
        return replace(largest, train=largest.train[:n])

    def key(self, n: int, fold: int, repeat: int) -> str:
        """Return the digest of one split, the order of the training patients included."""
        if (n, fold, repeat) not in self._keys:
            split = self.split(n, fold, repeat)
            self._keys[n, fold, repeat] = content_key([split.train, split.val, split.test])
        return self._keys[n, fold, repeat]

    def test(self, fold: int) -> tuple[str, ...]:
        """Return the test patients of a fold."""
        return tuple(self.folds[fold])

    def validation(self, fold: int) -> tuple[str, ...]:
        """Return the validation patients of a fold."""
        return self.split(self.config.train_patients[0], fold, 0).val
