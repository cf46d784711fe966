"""A registered name stands for a pretext task on the command line and in YAML."""

from pathlib import Path

import pytest

from muscletransfer.cli import main
from muscletransfer.cli.model_names import arguments_with_class_paths, class_path_of
from muscletransfer.errors import UnknownNameError

JIGSAW = "muscletransfer.pretext.jigsaw.JigsawPretext"


@pytest.mark.parametrize("text", ["JigsawPretext", "SegmentationFineTuner", "a.b.C", JIGSAW, ""])
def test_other_text_is_left_alone(text: str) -> None:
    assert class_path_of(text) == text


def test_an_unknown_name_with_a_namespace_says_which_are_known() -> None:
    with pytest.raises(UnknownNameError, match=r"'plugin/jigsaw'.*Did you mean 'jigsaw'"):
        class_path_of("plugin/jigsaw")


@pytest.mark.parametrize(
    ("given", "wanted"),
    [
        (["--model", "jigsaw"], ["--model", JIGSAW]),
        (["--model=jigsaw"], [f"--model={JIGSAW}"]),
        (["--model.class_path", "jigsaw"], ["--model.class_path", JIGSAW]),
        (["--model.class_path=jigsaw"], [f"--model.class_path={JIGSAW}"]),
        (["--model", "runs/jigsaw.yaml"], ["--model", "runs/jigsaw.yaml"]),
        (["--model.encoder", "jigsaw"], ["--model.encoder", "jigsaw"]),
        (
            ["--data.source", "jigsaw", "--name=jigsaw"],
            ["--data.source", "jigsaw", "--name=jigsaw"],
        ),
    ],
)
def test_only_the_model_is_replaced(given: list[str], wanted: list[str]) -> None:
    assert arguments_with_class_paths(["fit", *given]) == ["fit", *wanted]


YAML = {
    "a class path": "model:\n  class_path: jigsaw\n  init_args:\n    grid: 2\n",
    "the name alone": "model: jigsaw\n",
    "a short class name": "model:\n  class_path: JigsawPretext\n",
    "the full path": f"model:\n  class_path: {JIGSAW}\n",
}


@pytest.mark.parametrize("form", YAML)
def test_in_yaml(form: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    config = tmp_path / "jigsaw.yaml"
    config.write_text(YAML[form] + "data:\n  class_path: PretextDataModule\n")
    with pytest.raises(SystemExit) as stop:
        main(["fit", "--config", str(config), "--data.source=jigsaw", "--print_config"])
    assert stop.value.code == 0
    told = capsys.readouterr().out
    # The short names resolve to where the classes are exported.
    assert f"class_path: {JIGSAW}\n" in told or "class_path: muscletransfer.JigsawPretext\n" in told
    assert "source: jigsaw\n" in told
    assert f"grid: {2 if form == 'a class path' else 3}\n" in told
