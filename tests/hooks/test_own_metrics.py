"""Metrics of the user's own: the figures they should be, in the log and in the table of cases."""

import copy
import pickle

import own_parts
import pytest
import torch
from finetune_toys import ToyData, tiny, trainer
from torchmetrics.classification import BinaryJaccardIndex

from muscletransfer.errors import ContractError, PluginError, SettingError, UnknownNameError
from muscletransfer.finetune import OwnMetrics, SegmentationFineTuner

JACCARD = "torchmetrics.classification.BinaryJaccardIndex"


def scored(folder, data=None, **settings):
    model = SegmentationFineTuner(**tiny(seed=3, **settings))
    run = trainer(folder)
    figures = run.test(model, datamodule=data or ToyData(cases=3), verbose=False)[0]
    return model, figures


def test_figures_are_those_of_the_function_a_case_at_a_time(tmp_path):
    metrics = {"iou": JACCARD, "error": own_parts.volume_error}
    data = ToyData(cases=3)
    model, figures = scored(tmp_path, data, metrics=metrics)
    predicted = {
        row["case"]: row["mask"].long()
        for batch in trainer(tmp_path).predict(model, datamodule=data)
        for row in batch
    }
    rows = {row["case"]: row for row in model.case_table()}
    for case, item in enumerate(data.slices.items):
        found, drawn = predicted[case], item["native_mask"].long()
        union = ((found == 1) | (drawn == 1)).sum()
        iou = ((found == 1) & (drawn == 1)).sum() / union
        error = (found.sum() - drawn.sum()) / drawn.sum()
        assert rows[case]["iou"] == pytest.approx(float(iou))
        assert rows[case]["error"] == pytest.approx(float(error))
    assert figures["test_iou"] == pytest.approx(sum(r["iou"] for r in rows.values()) / 3)
    assert figures["test_error"] == pytest.approx(sum(r["error"] for r in rows.values()) / 3)


def test_pixels_nobody_looked_at_do_not_count_for_torchmetrics():
    own = OwnMetrics({"iou": JACCARD})
    found, drawn = torch.tensor([[1, 1, 0]]), torch.tensor([[1, 255, 0]])
    assert own.values(found, drawn, None) == [1.0]


def test_arguments_and_classes(tmp_path):
    macro = {"class_path": "torchmetrics.JaccardIndex", "init_args": {"task": "multiclass"}}
    metrics = {"iou": macro}
    metrics["scaled"] = {"class_path": "own_parts.volume_error", "init_args": {"scale": 2.0}}
    data = ToyData(cases=2, num_classes=3)
    model, figures = scored(tmp_path, data, num_classes=3, metrics=metrics)
    assert 0 <= figures["test_iou"] <= 1
    assert model.hparams["metrics"] == metrics


def test_a_checkpoint_brings_paths_back_and_asks_for_objects(tmp_path):
    data = ToyData(cases=3)
    for name, metrics in {
        "path": {"iou": JACCARD},
        "object": {"iou": BinaryJaccardIndex()},
    }.items():
        model, figures = scored(tmp_path, data, metrics=metrics)
        run = trainer(tmp_path)
        run.strategy.connect(model)
        run.save_checkpoint(tmp_path / f"{name}.ckpt")
        again = SegmentationFineTuner.load_from_checkpoint(tmp_path / f"{name}.ckpt")
        trainer(tmp_path).predict(again, datamodule=data)
        if name == "object":
            with pytest.raises(ContractError, match=r"metrics of your own.*metrics=\.\.\."):
                trainer(tmp_path).test(again, datamodule=data, verbose=False)
            again = SegmentationFineTuner.load_from_checkpoint(
                tmp_path / f"{name}.ckpt", metrics=metrics
            )
        assert trainer(tmp_path).test(again, datamodule=data, verbose=False)[0] == figures


def test_a_metric_that_is_gone_does_not_stop_prediction(tmp_path, monkeypatch):
    (tmp_path / "gone_metrics.py").write_text("def zero(prediction, reference):\n    return 0.0\n")
    monkeypatch.syspath_prepend(tmp_path)
    model, _ = scored(tmp_path, metrics={"zero": "gone_metrics.zero"})
    run = trainer(tmp_path)
    run.strategy.connect(model)
    run.save_checkpoint(tmp_path / "gone.ckpt")
    (tmp_path / "gone_metrics.py").write_text("raise RuntimeError('gone')\n")
    monkeypatch.delitem(__import__("sys").modules, "gone_metrics")
    again = SegmentationFineTuner.load_from_checkpoint(tmp_path / "gone.ckpt")
    trainer(tmp_path).predict(again, datamodule=ToyData(cases=3))
    with pytest.raises(ContractError, match="zero"):
        trainer(tmp_path).test(again, datamodule=ToyData(cases=3), verbose=False)
    with pytest.raises(PluginError, match=r"gone_metrics.*RuntimeError: gone"):
        OwnMetrics({"zero": "gone_metrics.zero"})


@pytest.mark.parametrize(
    ("metrics", "error", "message"),
    [
        ({"dice": JACCARD}, SettingError, "'dice' is one that the scores have already"),
        ({"area_cm2": JACCARD}, SettingError, "'area_cm2' is one"),
        ({"my iou": JACCARD}, SettingError, "no plain word"),
        ({"iou": JACCARD[:-1]}, UnknownNameError, f"Did you mean '{JACCARD}'"),
        ({"iou": {"class_path": JACCARD, "lr": 1}}, SettingError, "has lr"),
        ({"iou": {"init_args": {}}}, SettingError, "wanted the path of a class"),
        (
            {"iou": {"class_path": JACCARD, "init_args": {"treshold": 1}}},
            ContractError,
            "treshold",
        ),
        ({"iou": 3}, ContractError, "is a int"),
        ({"iou": lambda prediction: 0}, ContractError, "too many positional"),
    ],
)
def test_wrong_metrics_say_what_is_wrong(metrics, error, message):
    with pytest.raises(error, match=message):
        SegmentationFineTuner(**tiny(metrics=metrics))


@pytest.mark.parametrize("way", [copy.deepcopy, lambda one: pickle.loads(pickle.dumps(one))])
def test_a_model_with_metrics_can_be_copied_and_sent(way):
    # As strategies that spawn processes send it.
    metric = BinaryJaccardIndex()
    metrics = {"iou": metric, "error": own_parts.volume_error}
    twin = way(SegmentationFineTuner(**tiny(metrics=metrics)))
    own = twin.test_scores.own
    assert own.values(torch.tensor([[1, 1]]), torch.tensor([[1, 0]]), (1.0, 1.0)) == [0.5, 1.0]
    assert own._calls["iou"].metric is not metric


def test_no_number_is_an_error(tmp_path):
    def both(prediction, reference):
        return torch.zeros(2)

    with pytest.raises(ContractError, match="wanted one number a case"):
        scored(tmp_path, metrics={"both": both})
