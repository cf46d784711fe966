"""What the benchmarks decide before and after they measure, on numbers made up here."""

from __future__ import annotations

import importlib
import itertools
import json
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest
import torch
from torch.autograd import DeviceType
from torch.autograd.profiler_util import EventList, FunctionEvent

from muscletransfer.data.augmentation import Augmentation

FOLDER = Path(__file__).parents[2] / "examples" / "benchmarks"
DOCS = FOLDER.parents[1] / "docs"
Load = Callable[[str], Any]


@pytest.fixture
def load(monkeypatch: pytest.MonkeyPatch) -> Iterator[Load]:
    """Imports a module of the benchmarks, whose names are too common to stay imported.

    As if torch saw no GPU, whatever there is.
    """
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.syspath_prepend(str(FOLDER))
    before = set(sys.modules)

    def one(name: str) -> ModuleType:
        return importlib.import_module(name)

    yield one
    for name in set(sys.modules) - before:
        found = getattr(sys.modules[name], "__file__", None) or ""
        if str(FOLDER) in found or name in ("peers", "scaling_parts"):
            del sys.modules[name]


@pytest.fixture
def gpu(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """As if torch saw a GPU; each wait for it is noted."""
    waits: list[str] = []
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda *_: "NVIDIA H200")
    monkeypatch.setattr(torch.cuda, "synchronize", lambda *_: waits.append("wait"))
    return waits


def clock(monkeypatch: pytest.MonkeyPatch, module: Any, *times: float) -> None:
    left = iter(times)
    monkeypatch.setattr(module, "time", SimpleNamespace(perf_counter=lambda: next(left)))


def scripts_of(words: str) -> list[Path]:
    """The script of a figure, its parts, and the files that it starts."""
    script = FOLDER / words.removeprefix("1 ").split()[0]
    started = [p for p in FOLDER.glob("peers/*.py") if f'"{p.name}"' in script.read_text()]
    return [script, *FOLDER.glob(f"{script.stem}_parts/*.py"), *started]


def test_what_is_measured_beside_a_gpu_names_its_device(load: Load) -> None:
    measure = load("measure")
    for name, words in measure.FIGURES.items():
        text = "".join(path.read_text() for path in scripts_of(words))
        assert name.startswith(measure.CPU_ONLY) or "torch.cuda.is_available()" in text, name


def test_both_sides_of_a_prediction_are_on_one_device(
    load: Load, monkeypatch: pytest.MonkeyPatch
) -> None:
    prediction = load("prediction")
    model = torch.nn.Sequential(torch.nn.Conv2d(1, 1, 3))
    asked: dict[str, Any] = {}

    def stored(path: Path, **more: Any) -> SimpleNamespace:
        asked.update(more)
        return SimpleNamespace(model=model)

    tuner = SimpleNamespace(load_from_checkpoint=stored)
    monkeypatch.setattr(prediction, "SegmentationFineTuner", tuner)
    monkeypatch.setattr(prediction, "DEVICE", "meta")  # some device that is not the CPU
    plain = prediction.plain_network_of(Path("a.ckpt"))
    assert {p.device.type for p in plain.parameters()} == {"meta"}
    assert asked == {"map_location": "cpu"}
    assert not plain.training


def test_a_gpu_is_waited_for_around_a_timed_prediction(load: Load, gpu: list[str]) -> None:
    prediction = load("prediction")
    prediction.timed(lambda: gpu.append("work"), 1)
    assert gpu == ["wait", "work", "wait"]


def test_augmentation_draws_as_training_does(load: Load, monkeypatch: pytest.MonkeyPatch) -> None:
    augmentation = load("augmentation")
    monkeypatch.setattr(augmentation, "DEVICE", "cuda")
    image, mask = augmentation.batch_of(2, 32)
    found = augmentation.with_ours(image, mask)()
    wanted = Augmentation()(image, mask, torch.Generator().manual_seed(0))
    for one, other in zip(found, wanted, strict=True):
        assert torch.equal(one, other)


def event(number: int, name: str, begin: float, end: float, where: DeviceType, **more: Any) -> Any:
    more = {"use_device": "cuda", "device_index": 0, "stack": [], **more}
    return FunctionEvent(number, name, 1, begin, end, device_type=where, **more)


def test_a_profile_of_a_gpu_counts_each_kernel_once(
    load: Load, monkeypatch: pytest.MonkeyPatch
) -> None:
    profile_steps = load("profile_steps")
    monkeypatch.setattr(profile_steps, "GPU", True)
    cpu, there = DeviceType.CPU, DeviceType.CUDA
    backward = event(1, "aten::convolution_backward", 0, 100, cpu)
    backward.append_kernel("wgrad_kernel", 0, 6000)
    step = event(2, "aten::_fused_adamw_", 120, 200, cpu)
    step.append_kernel("adamw_kernel", 0, 4000)
    spans = {"is_user_annotation": True}
    events = EventList(
        [
            backward,
            step,
            event(3, "Optimizer.step", 110, 210, cpu, **spans),
            event(4, "wgrad_kernel", 300, 6300, there),
            event(5, "adamw_kernel", 6300, 10300, there),
            event(6, "Optimizer.step", 6300, 10300, there, **spans),
        ],
        use_device="cuda",
    )
    events._build_tree()
    table = profile_steps.table_of(events, 1).splitlines()[1:]
    assert [line.split() for line in table] == [
        ["aten::convolution_backward", "60.0%", "6.00", "1"],
        ["aten::_fused_adamw_", "40.0%", "4.00", "1"],
    ]


def test_a_gpu_is_timed_over_many_steps_and_not_stopped_between_them(
    load: Load, gpu: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    fit_steps, profile_steps = load("fit_steps"), load("profile_steps")
    assert fit_steps.steps_of_turn(4) == 50
    assert fit_steps.steps_of_turn(80) == 80
    profiler = SimpleNamespace(start=lambda: gpu.append("start"), stop=lambda: gpu.append("stop"))
    monkeypatch.setattr(profile_steps, "profiler", lambda: profiler)
    clock(monkeypatch, fit_steps, 0, 10, 110)
    seen = profile_steps.Profiled(50, 3)
    for _ in range(seen.last):
        seen.on_train_batch_end()
    assert gpu == ["wait", "wait", "wait", "start", "stop"]
    assert seen.seconds() == [2.0]


def test_a_cpu_is_timed_as_asked(load: Load) -> None:
    assert load("fit_steps").steps_of_turn(4) == 4


def test_monai_may_feed_a_gpu_from_all_cores(load: Load, monkeypatch: pytest.MonkeyPatch) -> None:
    monai_training = load("monai_training")
    assert monai_training.numbers_of_workers() == [0, 2]
    assert monai_training.of_turn([1.0, 3.0]) == [1.0, 3.0]
    monkeypatch.setattr(monai_training, "DEVICE", "cuda")
    for cores, wanted in ((4, [0, 2, 4, 8]), (16, [0, 2, 8, 16]), (64, [0, 2, 8, 16])):
        monkeypatch.setattr("os.sched_getaffinity", lambda _, n=cores: set(range(n)), raising=False)
        assert monai_training.numbers_of_workers() == wanted
    assert monai_training.of_turn([1.0, 3.0]) == [2.0]
    assert all(monai_training.ahead(n) > 2 * n for n in wanted)  # two batches a process


def test_every_script_that_feeds_a_gpu_may_do_so_from_all_cores(
    load: Load, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch
) -> None:
    dicom, contrastive = load("dicom_to_model"), load("contrastive")
    assert list(dicom.all_sides()) == ["ours", "MONAI, fp32", "MONAI, bf16"]
    assert contrastive.loader_processes() == 2
    request.getfixturevalue("gpu")
    monkeypatch.setattr(contrastive, "DEVICE", "cuda")
    monkeypatch.setattr("os.sched_getaffinity", lambda _: set(range(64)), raising=False)
    assert contrastive.loader_processes() == 16
    sides = dicom.all_sides()
    assert len(sides) == 7
    assert sides["MONAI, bf16, 16 workers"][1] == ["--mixed", "--workers", "16"]
    assert [dicom.limit_of(side) for side in sides] == [None] * 7


@pytest.mark.parametrize(
    ("precision", "wanted"),
    [
        ("bf16-mixed", "Ours computes in bf16-mixed here, its own choice."),
        (
            "32-true",
            "Ours computes in 32-true here, its own choice, since this processor multiplies no "
            "bf16.",
        ),
    ],
)
def test_a_record_says_what_ours_computes_in(
    load: Load, monkeypatch: pytest.MonkeyPatch, precision: str, wanted: str
) -> None:
    monkeypatch.setattr("muscletransfer.hardware.recommended_precision", lambda: precision)
    assert load("machine").precision_of_ours() == wanted


def test_the_best_of_monais_workers_is_told(load: Load) -> None:
    monai_training, record = load("monai_training"), load("record").Record("t")
    rates = {"MONAI, fp32, 0 workers": [1.0], "MONAI, fp32, 8 workers": [0.5], "ours": [0.25]}
    args = SimpleNamespace(batch=8, hows=["fp32"], workers=[0, 8])
    monai_training.report(record, rates, args)
    assert (record.figures[-1].value, record.figures[-1].note) == (2.0, "which is 8 workers")


def test_monai_may_choose_its_kernels_freely_too(
    load: Load, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.backends.cudnn, "deterministic", False)
    pipeline = load("peers.monai_pipeline")
    pipeline.seed(0)
    assert not torch.backends.cudnn.deterministic
    first = torch.rand(3)
    pipeline.seed(0)
    assert torch.equal(first, torch.rand(3))
    pipeline.set_determinism(None)  # MONAI keeps the number for what is made later
    assert "    seed(args.seed)\n" in (FOLDER / "peers" / "dicom_with_monai.py").read_text()


def test_the_seconds_of_steps_hold_all_that_a_step_waits_for(
    load: Load, gpu: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    ours = load("peers.dicom_with_ours")
    clock(monkeypatch, ours, 10, 11, 13, 16, 17, 20, 25, 27)
    spent = ours.Spent()
    spent.on_validation_start()  # the first look, before training
    spent.on_validation_end()
    spent.on_train_start()  # 10
    spent.on_train_epoch_start()
    spent.on_train_batch_end()  # 11 to 13
    spent.on_train_batch_end()  # to 16
    spent.on_validation_start()  # to 17, what a GPU had left
    spent.on_validation_end()  # to 20
    spent.on_train_epoch_start()  # 25, after checkpoints
    spent.on_train_batch_end()  # to 27
    assert spent.seconds == {ours.STEPS: 2 + 3 + 1 + 2, ours.VALIDATION: 3}
    assert gpu == ["wait", "wait"]


def test_what_was_stated_for_a_cpu_is_no_limit_on_a_gpu(
    load: Load, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch
) -> None:
    prediction, dicom = load("prediction"), load("dicom_to_model")
    assert (prediction.limit_of("network", "wall"), dicom.limit_of("MONAI, fp32")) == (2.3, 3)
    assert (prediction.limit_of("files", "wall"), dicom.limit_of("MONAI, bf16")) == (None, None)
    request.getfixturevalue("gpu")
    monkeypatch.setattr(prediction, "DEVICE", "cuda")
    assert (prediction.limit_of("network", "wall"), dicom.limit_of("MONAI, fp32")) == (None, None)


def test_monais_fast_side_has_the_fused_step_and_the_others_what_torch_chooses(load: Load) -> None:
    training = load("peers.monai_pipeline").Training
    assert training("resnet10t", "cpu", True, True).optimizer.defaults["fused"] is True
    assert training("resnet10t", "cpu", True).optimizer.defaults["fused"] is None


@pytest.mark.parametrize("there", [True, False])
def test_the_limit_of_memory_is_of_what_the_network_is_in(
    there: bool, load: Load, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch
) -> None:
    if there:
        request.getfixturevalue("gpu")
    memory, record = load("memory"), load("record").Record("t")
    peaks = {"after the imports": 1.0, "peak of resident memory": 2.0}
    peaks |= {"peak of GPU memory": 3.0} if there else {}
    factors = itertools.cycle([1.0, 1.0, 9.0, 9.0])
    monkeypatch.setattr(memory, "make_cohort", lambda *_, **__: SimpleNamespace(manifest="m"))
    monkeypatch.setattr(
        memory, "told", lambda *_: {k: v * f for f in [next(factors)] for k, v in peaks.items()}
    )
    args = SimpleNamespace(encoder="e", size=1, batch=1, steps=1, rounds=2)
    memory.of_training(record, args)
    last = "peak of GPU memory" if there else "peak of resident memory"
    assert [one.what for one in record.figures if one.wanted] == [f"ours / bare: {last}"]
    assert record.figures[0].value == 5.0  # the median, not the worse


def listed(measure: Any, *only: str, gpu: bool = True) -> list[str]:
    return [name[:2] for name in measure.chosen(list(only), gpu)]


def test_figures_are_measured_in_the_order_that_was_asked_for(load: Load) -> None:
    measure = load("measure")
    wanted = ["26", "01", "15", "14", "18", "20", "02", "17"]
    assert listed(measure, *wanted) == wanted
    assert listed(measure, "26", "03", "2") == ["26", "20", "25"]  # each once, none of the CPU
    assert list(measure.chosen(None, False)) == list(measure.FIGURES)
    with pytest.raises(SystemExit, match="no figures begin with"):
        measure.chosen(["03"], True)


def test_a_part_of_the_figures_is_no_failure(load: Load, tmp_path: Path) -> None:
    folder = tmp_path / "figures"
    folder.mkdir()
    record = {"title": "T", "command": "c", "machine": "m", "load": 0.0, "date": "d"}
    (folder / "26_gpu.json").write_text(json.dumps({**record, "figures": []}))
    assert load("measure").write_pages(folder) == []
    assert [path.name for path in tmp_path.glob("*.md")] == ["performance.md"]


def test_the_page_of_figures_is_what_they_give(load: Load) -> None:
    page = load("performance_page").page(DOCS / "performance")
    assert page == (DOCS / "performance.md").read_text()
