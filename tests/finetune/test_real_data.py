"""The fine-tuner on the library's own data module and phantom, from files to files."""

import numpy as np
import pytest
import torch
from finetune_toys import tiny, trainer

from muscletransfer.data import LowDataModule, PreprocessingSpec, read_ct, read_mask
from muscletransfer.data.synthetic import make_cohort
from muscletransfer.errors import ContractError, SettingError
from muscletransfer.finetune import PredictionWriter, SegmentationFineTuner, predict_slice
from muscletransfer.metrics import dice, distance_to_agreement
from muscletransfer.transfer import inspect_file


@pytest.fixture(scope="module")
def cohort(tmp_path_factory):
    return make_cohort(tmp_path_factory.mktemp("cohort"), patients=8, seed=1, size=96)


def low_data(cohort, **changes):
    settings = {
        "train_patients": 4,
        "val_patients": 2,
        "batch_size": 4,
        "preprocessing": PreprocessingSpec(size=64),
        "cache_dir": cohort.root / "cache",
    }
    return LowDataModule(cohort.root / "manifest.csv", **(settings | changes))


@pytest.fixture(scope="module")
def fitted(cohort, tmp_path_factory):
    folder = tmp_path_factory.mktemp("run")
    model = SegmentationFineTuner(**tiny())
    run = trainer(folder, max_epochs=15, limit_val_batches=1.0)
    run.fit(model, datamodule=low_data(cohort, steps_per_epoch=4))
    run.save_checkpoint(folder / "model.ckpt")
    return model, folder / "model.ckpt", float(run.callback_metrics["val_dice"])


def test_learns_and_scores_on_the_files_own_grid(cohort, fitted, tmp_path):
    model, path, val_dice = fitted
    assert val_dice > 0.5
    data = low_data(cohort)
    scores = trainer(tmp_path).test(model, datamodule=data, verbose=False)[0]
    rows = model.case_table()
    assert [row["case"] for row in rows] == sorted(data.test_set.cases.tolist())
    reloaded = SegmentationFineTuner.load_from_checkpoint(path)
    for row in rows:
        files = data.manifest.rows[row["case"]]
        image = read_ct(files.image, files.slice_index)
        reference = read_mask(files.mask).labels[0]
        mask = predict_slice(reloaded, image)
        assert row["dice"] == pytest.approx(dice(mask, reference))
        expected = distance_to_agreement(mask, reference, image.slice_spacing)
        assert row["dta_rms_mm"] == pytest.approx(expected)
        sy, sx = image.slice_spacing
        assert row["area_cm2"] == pytest.approx(mask.sum() * sy * sx / 100)
    assert scores["test_dice"] == pytest.approx(np.mean([r["dice"] for r in rows]), abs=1e-6)


def test_no_patient_id_is_in_the_checkpoint(cohort, fitted):
    _, path, _ = fitted
    record = inspect_file(path)
    assert record.data["patients"] == 4
    assert record.data["manifest_hash"]
    text = repr(torch.load(path, weights_only=True)["muscletransfer"])
    ids = low_data(cohort).manifest.patients
    assert len(ids) == 8
    assert not [patient for patient in ids if patient in text]


@pytest.mark.parametrize("ending", [".nii.gz", ".mha"])
def test_masks_are_written_onto_the_grid_of_their_images(cohort, fitted, tmp_path, ending):
    model, _, _ = fitted
    writer = PredictionWriter(tmp_path / "masks", ending)
    data = low_data(cohort)
    run = trainer(tmp_path, callbacks=[writer])
    predicted = {row["case"]: row for batch in run.predict(model, datamodule=data) for row in batch}
    assert len(writer.written) == len(predicted) == 2
    for case, row in predicted.items():
        path = tmp_path / "masks" / f"{data.case_name(case)}{ending}"
        assert path in writer.written
        reference = data.reference_image(case)
        found = read_mask(path, reference=reference)  # raises when the grids differ
        assert np.array_equal(found.labels[0], row["mask"].numpy())


def test_the_writer_says_what_the_data_lacks(fitted, tmp_path):
    model, _, _ = fitted
    loader = torch.utils.data.DataLoader([{"image": torch.zeros(1, 64, 64), "case": 0}])
    run = trainer(tmp_path, callbacks=[PredictionWriter(tmp_path)])
    with pytest.raises(ContractError, match=r"needs case_name and reference_image.*no data module"):
        run.predict(model, loader)
    with pytest.raises(SettingError, match=r"ending is '\.png'; wanted one of \.nii\.gz"):
        PredictionWriter(tmp_path, ".png")
