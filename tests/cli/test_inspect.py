"""``muscletransfer inspect FILE`` prints where a file's weights come from, parents and all."""

import json

import pytest

from muscletransfer import Provenance, create_encoder, save_encoder
from muscletransfer.cli import main

IMAGENET = Provenance(
    task="imagenet", data={"dataset": "ImageNet-1k"}, licence="apache-2.0", created=None
)


@pytest.fixture(scope="module")
def file(tmp_path_factory):
    record = Provenance(
        task="jigsaw",
        hyperparameters={"grid": 3},
        data={"patients": 40, "manifest_hash": "ab12"},
        seed=7,
        stem="adapted 3->1 (model.conv1.weight)",
        parent=IMAGENET,
    )
    path = tmp_path_factory.mktemp("inspect") / "encoder.safetensors"
    return save_encoder(create_encoder("timm/test_resnet"), path, provenance=record)


def test_text_names_the_chain(file, capsys):
    assert main(["inspect", str(file)]) == 0
    out = capsys.readouterr().out
    for part in ("jigsaw", "grid=3", "patients=40", "adapted 3->1", "timm/test_resnet", "torch"):
        assert part in out
    child, _, parent = out.partition("\nparent")
    assert "imagenet" not in child
    assert "ImageNet-1k" in parent
    assert "apache-2.0" in parent


def test_json_reads_back_as_the_same_record(file, capsys):
    assert main(["inspect", str(file), "--json"]) == 0
    record = Provenance.from_dict(json.loads(capsys.readouterr().out))
    assert [step.task for step in record.chain()] == ["jigsaw", "imagenet"]
    assert record.seed == 7
    assert len(record.sha256) == 64


def test_an_altered_file_is_one_line_and_code_2(file, tmp_path, capsys):
    content = bytearray(file.read_bytes())
    content[-10] ^= 1
    (tmp_path / "altered.safetensors").write_bytes(bytes(content))
    assert main(["inspect", str(tmp_path / "altered.safetensors")]) == 2
    error = capsys.readouterr().err
    assert "SHA-256" in error
    assert "altered.safetensors" in error
    assert error.count("\n") == 1
