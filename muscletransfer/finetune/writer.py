"""Write predicted masks to files, on the grid of the image they belong to."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from lightning.pytorch import LightningModule, Trainer
from lightning.pytorch.callbacks import BasePredictionWriter

from muscletransfer.data import write_mask
from muscletransfer.errors import ContractError, SettingError

__all__ = ["PredictionWriter"]

_ENDINGS = (".nii.gz", ".nii", ".nrrd", ".mha")


class PredictionWriter(BasePredictionWriter):
    """Writes a mask a case while ``Trainer.predict`` runs, on each process its own cases.

    The data module says how a case is called (``case_name(case)``) and gives its image back
    (``reference_image(case)``), whose spacing, origin and direction the mask gets; a plain image
    has none, and its mask becomes a PNG. `LowDataModule` has both. A file of the same name is
    replaced, so that a run can be repeated: keep masks that a person mended elsewhere.

    .. versionadded:: 0.1

    Args:
        output_dir: Folder for the masks; made when needed.
        ending: ``".nii.gz"``, ``".nii"``, ``".nrrd"`` or ``".mha"``.

    Raises:
        SettingError: Another ending.

    Example:
        >>> PredictionWriter("predictions", ending=".nrrd").output_dir.name
        'predictions'
    """

    def __init__(self, output_dir: str | Path, ending: str = ".nii.gz") -> None:
        super().__init__(write_interval="batch")
        if ending not in _ENDINGS:
            raise SettingError(f"ending is {ending!r}; wanted one of {', '.join(_ENDINGS)}.")
        self.output_dir = Path(output_dir)
        self.ending = ending
        self.written: list[Path] = []

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        """Check before the first batch that the data can name cases and give images back.

        Raises:
            ContractError: The data module lacks ``case_name`` or ``reference_image``.
        """
        super().setup(trainer, pl_module, stage)
        if stage != "predict":
            return
        self.written = []
        data = getattr(trainer, "datamodule", None)
        lacking = [n for n in ("case_name", "reference_image") if not hasattr(data, n)]
        if lacking:
            raise ContractError(
                f"PredictionWriter needs {' and '.join(lacking)} of the data module, found "
                f"{type(data).__name__ if data is not None else 'no data module'}. Predict with "
                "trainer.predict(model, datamodule=LowDataModule(...)), or write the masks that "
                "trainer.predict returns with muscletransfer.write_mask."
            )

    def write_on_batch_end(
        self,
        trainer: Trainer,
        pl_module: LightningModule,
        prediction: Any,
        batch_indices: Sequence[int] | None,
        batch: Any,
        batch_idx: int,
        dataloader_idx: int,
    ) -> None:
        """Write the masks of a batch; each file is written whole or not at all."""
        data: Any = trainer.datamodule  # type: ignore[attr-defined]
        for found in prediction:
            reference = data.reference_image(found["case"])
            ending = ".png" if reference is None else self.ending
            path = self.output_dir / f"{data.case_name(found['case'])}{ending}"
            self.output_dir.mkdir(parents=True, exist_ok=True)
            self.written.append(write_mask(found["mask"].numpy(), path, reference))
