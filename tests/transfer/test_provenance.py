"""The record: plain types, a chain, no people; hashing and text."""

import contextlib
import hashlib
import json
from datetime import datetime, timedelta
from pathlib import Path

import numpy as np
import pytest
import torch

from muscletransfer.errors import ContractError, WeightsError
from muscletransfer.transfer import (
    PreprocessingMismatchWarning,
    Provenance,
    describe_run,
    format_provenance,
    is_restoring,
    restoring,
    state_sha256,
    warn_preprocessing_mismatch,
)

IMAGENET = Provenance(
    task="imagenet",
    licence="apache-2.0",
    source="timm/resnet18.a1_in1k",
    preprocessing={"mean": [0.485, 0.456, 0.406]},
    created=None,
)
JIGSAW = Provenance(
    task="jigsaw",
    hyperparameters={"grid": 3, "lr": np.float32(0.5), "shape": (1, 2), "path": Path("a") / "b"},
    encoder={"name": "timm/resnet18", "in_channels": 1, "depth": 5, "kwargs": {}},
    data={"manifest_hash": "ab12", "patients": 40, "images": 200, "source": {"kind": "manifest"}},
    preprocessing={"size": 256, "hu_window": (-150, 250)},
    seed=7,
    stem="adapted 3->1 (conv1.weight)",
    sha256="00ff",
    parent=IMAGENET,
)


def test_json_round_trip_keeps_the_whole_chain():
    text = json.dumps(JIGSAW.to_dict())
    back = Provenance.from_dict(json.loads(text))
    assert back == JIGSAW
    assert [record.task for record in back.chain()] == ["jigsaw", "imagenet"]
    assert back.hyperparameters == {"grid": 3, "lr": 0.5, "shape": [1, 2], "path": "a/b"}


def test_created_is_utc_now_and_versions_are_named():
    record = Provenance(task="x")
    created = datetime.fromisoformat(record.created)
    assert created.utcoffset() == timedelta(0)
    assert abs(datetime.now(created.tzinfo) - created) < timedelta(minutes=1)
    assert record.versions["torch"] == torch.__version__.partition("+")[0]
    assert set(record.versions) >= {"python", "muscletransfer", "lightning", "timm"}
    assert "segmentation-models-pytorch" in record.versions


@pytest.mark.parametrize(
    ("data", "named"),
    [
        ({"patients": ["P01", "P02"]}, "patients"),
        ({"patient_id": "P01"}, "patient_id"),
        ({"fold": {"patient_ids": "P01,P02"}}, "patient_ids"),
        ({"patients": "P01"}, "patients"),
        ({"val_patients": [3, 7]}, "val_patients"),
        ({"rows": ["P01"]}, "rows"),
        ({"rows": ("a", "b")}, "rows"),
    ],
)
def test_patients_cannot_enter(data, named):
    with pytest.raises(ContractError, match=named):
        Provenance(task="jigsaw", data=data)


def test_lists_of_numbers_may_enter():
    assert Provenance(task="t", data={"classes": [0, 1]}).data == {"classes": [0, 1]}


def test_record_of_another_version_is_refused():
    with pytest.raises(WeightsError, match="unknown fields \\['mood'\\]"):
        Provenance.from_dict({"task": "x", "mood": "good"})
    with pytest.raises(WeightsError, match="no field 'task'"):
        Provenance.from_dict({"seed": 1})


def test_record_survives_weights_only_loading(tmp_path):
    torch.save({"muscletransfer": JIGSAW.to_dict()}, tmp_path / "a.ckpt")
    content = torch.load(tmp_path / "a.ckpt", weights_only=True)
    assert Provenance.from_dict(content["muscletransfer"]) == JIGSAW


def test_describe_run_splits_what_the_data_module_says():
    run = describe_run(
        task="jigsaw",
        hyperparameters={"lr": 1e-3, "encoder": torch.nn.Linear(1, 1), "_instantiator": "cli"},
        data={"patients": 3, "preprocessing": {"size": 64}, "licence": "CC0-1.0", "seed": 5},
        seed=1,
        parent=IMAGENET,
        stem="unchanged",
    )
    assert run.hyperparameters == {"lr": 1e-3, "encoder": "<Linear>"}
    assert run.data == {"patients": 3, "seed": 5}
    assert (run.preprocessing, run.licence, run.seed) == ({"size": 64}, "CC0-1.0", 1)
    assert run.parent is IMAGENET


def test_describe_run_of_a_reloaded_task_keeps_its_history():
    reloaded = describe_run(task="jigsaw", hyperparameters={}, restored=JIGSAW)
    assert reloaded == JIGSAW
    trained_on = describe_run(
        task="jigsaw", hyperparameters={}, data={"patients": 9}, restored=JIGSAW
    )
    assert (trained_on.data, trained_on.parent) == ({"patients": 9}, IMAGENET)


def test_text_shows_each_parent_indented_under_its_child():
    lines = format_provenance(JIGSAW).splitlines()
    assert lines[0].split() == ["task", "jigsaw"]
    assert "patients=40" in next(line for line in lines if line.startswith("data"))
    assert "source=(kind=manifest)" in format_provenance(JIGSAW)
    parent = lines.index("parent")
    assert all(line.startswith("  ") for line in lines[parent + 1 :])
    assert lines[parent + 1].split() == ["task", "imagenet"]
    assert any(line.split()[:2] == ["licence", "apache-2.0"] for line in lines[parent:])
    assert any(line.split()[:2] == ["licence", "not"] for line in lines[:parent])


def test_sha256_sees_name_dtype_shape_and_bytes_but_not_order_or_layout():
    tensor = torch.arange(24, dtype=torch.float32).reshape(1, 2, 3, 4)
    base = state_sha256({"a": tensor, "b": torch.tensor(3)})
    assert base == state_sha256({"b": torch.tensor(3), "a": tensor})
    assert base == state_sha256(
        {"a": tensor.to(memory_format=torch.channels_last), "b": torch.tensor(3)}
    )
    different = [
        {"A": tensor, "b": torch.tensor(3)},
        {"a": tensor.reshape(1, 2, 4, 3), "b": torch.tensor(3)},
        {"a": tensor, "b": torch.tensor(3, dtype=torch.int32)},
        {"a": tensor + 1, "b": torch.tensor(3)},
        {"a": tensor},
    ]
    digests = {state_sha256(state) for state in different}
    assert len(digests) == len(different)
    assert base not in digests


def test_sha256_is_the_documented_one():
    tensor = torch.tensor([1.5, -2.0])
    expected = hashlib.sha256(b"w\0torch.float32\0(2,)\0" + tensor.numpy().tobytes()).hexdigest()
    assert state_sha256({"w": tensor}) == expected


def test_sha256_of_every_dtype_and_empty_tensors():
    for dtype in (torch.bfloat16, torch.float16, torch.bool, torch.int64, torch.complex64):
        assert len(state_sha256({"w": torch.zeros(3, dtype=dtype), "e": torch.empty(0)})) == 64


def test_preprocessing_that_differs_warns_with_the_fields():
    with pytest.warns(PreprocessingMismatchWarning) as caught:
        warn_preprocessing_mismatch(JIGSAW, {"size": 128, "hu_window": [-150, 250]})
    message = str(caught[0].message)
    assert "size: 256 then, 128 now" in message
    assert "hu_window" not in message


def test_preprocessing_that_agrees_is_silent(recwarn):
    warn_preprocessing_mismatch(JIGSAW, {"hu_window": (-150, 250), "size": 256, "channels": 1})
    warn_preprocessing_mismatch(
        Provenance(task="x", preprocessing={"mean": [0.5] * 3}), {"mean": 0.5}
    )
    warn_preprocessing_mismatch(None, {"size": 1})
    assert not recwarn.list


def test_restoring_ends_also_after_an_error():
    assert not is_restoring()
    with restoring():
        with restoring():
            pass
        assert is_restoring()
    with contextlib.suppress(KeyError), restoring():
        raise KeyError
    assert not is_restoring()
