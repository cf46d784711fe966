"""The study's file: what it says is what is run, and every mistake is named with its way out."""

from __future__ import annotations

import importlib.util
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import pytest
import yaml

from muscletransfer.errors import (
    MissingDependencyError,
    MuscleTransferError,
    SettingError,
    UnknownNameError,
)
from muscletransfer.study.config import config_from_dict, read_config
from muscletransfer.study.config.names import LOGGERS
from muscletransfer.study.config.yaml_file import read_yaml

CONFIGS = Path(__file__).parents[3] / "examples" / "configs"
PHANTOM = {"phantom": {"patients": 12}}


def test_everything_a_file_can_say(tmp_path: Path) -> None:
    (tmp_path / "w.safetensors").touch()
    (tmp_path / "study.yaml").write_text(
        """
        name: mine
        data: {phantom: {patients: 30, observers: 2, size: 128}, num_folds: 3, seed: 4,
               preprocessing: {size: 64, hu_window: [-100, 200]}, augmentation: {rotation: 5}}
        train_patients: [10, 5]
        repeats: 2
        encoders: [timm/resnet18, {name: timm/resnet10t, depth: 4}]
        decoders: unet
        transfers: [encoder, encoder+decoder]
        pretraining: {steps: 7, batch_size: 3, data: {images: other_levels}}
        sources:
          - random
          - {name: frozen, freeze: encoder}
          - imagenet
          - {weights: w.safetensors, encoders: [timm/resnet18]}
          - jigsaw
          - {name: masks, pretext: {class_path: reconstruction, init_args: {corruption: swap}},
             data: {images: [photos, manifest], slices: 2}, steps: 9}
        finetune: {lr: 3e-4}
        selection: {rule: best}
        """
    )
    config = read_config(tmp_path / "study.yaml")
    assert (config.name, config.train_patients, config.repeats) == ("mine", (5, 10), 2)
    assert config.data.preprocessing.hu_window == (-100, 200)
    assert config.finetune.lr == 3e-4  # no text, as YAML 1.1 would have it
    assert config.selection.validation_patients == 5
    assert [part.depth for part in config.encoders] == [5, 4]
    kinds = {source.name: source.kind for source in config.sources}
    assert kinds == {
        "random": "random",
        "frozen": "random",
        "imagenet": "weights",
        "w.safetensors": "weights",
        "jigsaw": "pretext",
        "masks": "pretext",
    }
    jigsaw, masks = (source.pretext for source in config.sources[-2:])
    assert jigsaw is not None
    assert masks is not None
    assert (jigsaw.steps, jigsaw.batch_size, str(jigsaw.images.images[0])) == (
        7,
        3,
        "other levels of the study's phantom",
    )
    assert (masks.steps, masks.init_args, masks.images.slices) == (9, {"corruption": "swap"}, 2)
    assert [one.word for one in masks.images.images] == ["path", "manifest"]


WRONG = [
    ("data", {}, SettingError, "neither of 'manifest' and 'phantom'"),
    ("data", {**PHANTOM, "manifest": "m.csv"}, SettingError, "both of"),
    ("data", {"fantom": {}}, UnknownNameError, "data: unknown key 'fantom'.*'phantom'"),
    ("data", {"phantom": {"patient": 3}}, UnknownNameError, r"data\.phantom.*'patients'"),
    ("data", {"phantom": {"patients": 0}}, SettingError, "whole number, 1 to 9999"),
    ("data", {**PHANTOM, "preprocessing": {"sise": 3}}, SettingError, "Did you mean size"),
    ("data", {**PHANTOM, "observers": "o.csv"}, SettingError, "data.phantom.observers"),
    ("train_patients", [5, 5], SettingError, "twice"),
    ("train_patients", [], SettingError, "list of 1 or more"),
    ("train_patients", [True], SettingError, "whole number"),
    ("train_pations", [5], UnknownNameError, "Did you mean 'train_patients'"),
    ("encoders", ["resnt18"], UnknownNameError, "'timm/resnet18'"),
    ("decoders", ["unett"], UnknownNameError, "Did you mean 'unet'"),
    ("encoders", ["timm/resnet18", {"name": "timm/resnet18", "depth": 4}], SettingError, "twice"),
    ("transfers", ["decoder"], UnknownNameError, "'encoder\\+decoder'|'encoder'"),
    ("sources", [], SettingError, "at least one|1 or more"),
    ("sources", ["random", "random"], SettingError, "twice"),
    ("sources", ["imagnet"], SettingError, "Did you mean 'imagenet'"),
    ("sources", [{"pretext": "jigsw", "data": {"images": "manifest"}}], UnknownNameError, "jigsaw"),
    ("sources", ["jigsaw"], SettingError, "no images to learn from"),
    ("sources", [{"name": "a", "wieghts": "b"}], UnknownNameError, "'weights'"),
    ("sources", [{"name": "a", "weights": "imagenet", "pretext": "jigsaw"}], SettingError, "both"),
    ("sources", [{"name": "a", "steps": 4}], SettingError, "no 'pretext'"),
    ("sources", [{"name": "a", "transfers": ["encoder"]}], SettingError, "nothing is transferred"),
    (
        "sources",
        [{"name": "a", "weights": "imagenet", "transfers": ["encoder+decoder"]}],
        SettingError,
        "holds no decoder",
    ),
    (
        "sources",
        [{"name": "a", "weights": "imagenet", "encoders": ["timm/resnet50"]}],
        UnknownNameError,
        "timm/resnet18",
    ),
    (
        "sources",
        [
            {
                "pretext": {"class_path": "jigsaw", "init_args": {"encoder": "timm/resnet18"}},
                "data": {"images": "manifest"},
            }
        ],
        SettingError,
        "the study sets it",
    ),
    (
        "sources",
        [{"pretext": "jigsaw", "data": {"images": {"phantom": {"other_levels": 0}}}}],
        SettingError,
        "other_levels is 0",
    ),
    ("finetune", {"lr": 0}, SettingError, "number above 0"),
    ("finetune", {"loss": "bce_dise"}, UnknownNameError, "bce_dice"),
    ("finetune", {"epochs": 3}, UnknownNameError, "unknown key 'epochs'"),
    ("selection", {"rule": "last", "validation_patients": 3}, SettingError, "spent for nothing"),
    ("selection", {"rule": "best", "validation_patients": 0}, SettingError, "their labels count"),
    ("selection", {"rule": "bst"}, UnknownNameError, "'best'"),
    ("human_level", {"margin": 0}, SettingError, "above 0"),
    ("human_level", {"metric": "dise"}, UnknownNameError, "dice"),
    ("loggers", ["tensorbord"], UnknownNameError, "tensorboard"),
    ("compute", {"precision": "fp16"}, UnknownNameError, "Wanted one of"),
]


@pytest.mark.parametrize(("key", "value", "kind", "message"), WRONG)
def test_a_mistake_is_named(
    key: str, value: object, kind: type[MuscleTransferError], message: str
) -> None:
    with pytest.raises(kind, match=message):
        config_from_dict({"data": PHANTOM, "sources": ["random"], key: value})


def test_a_logger_that_is_not_installed_is_told_before_anything_runs() -> None:
    missing = [n for n, p in LOGGERS.items() if p and not any(map(importlib.util.find_spec, p))]
    if not missing:
        pytest.skip("tensorboard, mlflow and wandb are all installed here")
    with pytest.raises(MissingDependencyError, match=f"pip install {missing[0]}"):
        config_from_dict({"data": PHANTOM, "sources": ["random"], "loggers": [missing[0]]})
    # who only looks at results needs no logger
    config_from_dict({"data": PHANTOM, "sources": ["random"], "loggers": [missing[0]]}, check=False)


@pytest.mark.parametrize(
    ("steps", "every", "message"),
    [
        (500, 300, "last 200 steps .* such as 250 or 500, or finetune.steps: 300 or 600"),
        (60, 50, "last 10 steps .* such as 30 or 60, or finetune.steps: 50 or 100"),
        (500, 250, None),
        (20, 50, None),  # validated once, after the last step
    ],
)
def test_steps_that_would_never_be_validated_are_told(
    steps: int, every: int, message: str | None
) -> None:
    given: dict[str, Any] = {"data": PHANTOM, "sources": ["random"], "finetune": {"steps": steps}}
    given["selection"] = {"rule": "best", "every": every}
    with pytest.raises(SettingError, match=message) if message else nullcontext():
        config_from_dict(given)
    config_from_dict(given, check=False)  # results of an earlier version can be looked at
    config_from_dict({**given, "selection": {"rule": "last", "every": every}})


def test_relative_paths_start_where_the_study_was_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    for root in ((), (Path("sub"),)):
        config = config_from_dict({"data": PHANTOM, "sources": ["random"]}, *root)
        monkeypatch.chdir("/")
        assert config.root.is_absolute()
        assert config.path("m.csv") == tmp_path.joinpath(*root, "m.csv")
        monkeypatch.chdir(tmp_path)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("data: 1\ndata: 2", "line 2: the key 'data' stands twice"),
        ("data: [", "is not YAML"),
        ("- a", "wanted keys such as data:"),
        ("data: {phantom: {patients: 9}}", "no 'sources'"),
    ],
)
def test_a_broken_file_is_named_with_its_place(tmp_path: Path, text: str, message: str) -> None:
    file = tmp_path / "s.yaml"
    file.write_text(text)
    with pytest.raises(SettingError, match=message) as caught:
        read_config(file)
    assert str(caught.value).startswith(str(file))
    assert str(caught.value).count(str(file)) == 1


def test_merge_keys_of_yaml_are_no_repeats(tmp_path: Path) -> None:
    file = tmp_path / "a.yaml"
    file.write_text(
        "sources:\n"
        "  - &a {pretext: jigsaw, steps: 3}\n"
        "  - &b {<<: *a, name: b}\n"
        "  - {<<: *b, name: d, steps: 4}\n"
        "  - {<<: [*a, *b], batch_size: 2}\n"
        "deep: {r: {t: &d {<<: {s: 1}, s: 2}}}\n"
        "again: {<<: *d, s: 3}\n"
    )
    assert read_yaml(file) == {
        "sources": [
            {"pretext": "jigsaw", "steps": 3},
            {"pretext": "jigsaw", "steps": 3, "name": "b"},
            {"pretext": "jigsaw", "steps": 4, "name": "d"},
            {"pretext": "jigsaw", "steps": 3, "name": "b", "batch_size": 2},
        ],
        "deep": {"r": {"t": {"s": 2}}},
        "again": {"s": 3},
    }
    for text, key in (("{<<: *a, s: 1, s: 2}", "s"), ("{<<: *a, <<: *a}", "<<")):
        file.write_text(f"x: &a {{r: 1}}\ny: {text}")
        with pytest.raises(SettingError, match=f"line 2: the key '{key}' stands twice"):
            read_yaml(file)


def test_no_such_file(tmp_path: Path) -> None:
    with pytest.raises(SettingError, match="No such file"):
        read_config(tmp_path / "nowhere.yaml")


@pytest.mark.parametrize("name", ["study_small", "study_mcsweeney2022"])
def test_shipped_studies_can_be_read(name: str) -> None:
    config = read_config(CONFIGS / f"{name}.yaml")
    assert config.data.phantom is not None
    # what the record of a plan holds gives the same study again
    again = config_from_dict(yaml.safe_load(yaml.safe_dump(config.given)), config.root, config.name)
    assert again == config


def test_the_papers_protocol_is_the_papers() -> None:
    config = read_config(CONFIGS / "study_mcsweeney2022.yaml")
    assert config.data.phantom is not None
    assert (config.data.phantom.patients, config.data.phantom.observers) == (204, 10)
    assert config.train_patients == (5, 10, 25, 50, 75, 100, 125)
    assert config.data.num_folds == 4
