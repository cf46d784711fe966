"""Plug-ins of installed distributions: lazy, one at a time, and blamed by name."""

from __future__ import annotations

import importlib
import multiprocessing
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from muscletransfer.errors import DuplicateNameError, PluginError, UnknownNameError
from muscletransfer.registry import Registry

Install = Callable[..., Path]
GROUP = "muscletransfer.test_things"


def make() -> Registry[object]:
    return Registry("thing", GROUP, "Add one with @register_thing.", {"builtin": "json:dumps"})


def test_names_imports_nothing_and_get_just_the_one(install: Install) -> None:
    install(
        "first-plugin",
        {"first/a": "mt_plugin_a:THING", "first/b": "mt_plugin_b:THING"},
        {"mt_plugin_a": "THING = 'a'\n", "mt_plugin_b": "THING = 'b'\n"},
    )
    things = make()
    assert things.names() == ["builtin", "first/a", "first/b"]
    assert things.names("first/*") == ["first/a", "first/b"]
    assert "first/a" in things
    assert not {"mt_plugin_a", "mt_plugin_b"} & set(sys.modules)
    assert things.get("first/b") == "b"
    assert "mt_plugin_b" in sys.modules
    assert "mt_plugin_a" not in sys.modules


def test_other_groups_are_not_ours(install: Install) -> None:
    install("other", {"x": "mt_other:X"}, {"mt_other": "X = 1\n"}, group="somebody.else")
    assert make().names() == ["builtin"]


def test_a_plugin_installed_after_the_first_look_is_found(install: Install) -> None:
    things = make()
    assert things.names() == ["builtin"]
    install("late", {"late": "mt_late:X"}, {"mt_late": "X = 'late'\n"})
    assert things.get("late") == "late"


def test_a_plugin_added_to_a_known_folder_is_found(install: Install, tmp_path: Path) -> None:
    site = install("early", {"early": "mt_early:X"}, {"mt_early": "X = 1\n"})
    things = make()
    assert things.names() == ["builtin", "early"]
    info = site / "later-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: later\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text(f"[{GROUP}]\nlater = mt_later:X\n")
    (site / "mt_later.py").write_text("X = 'later'\n")
    # pip changes the folder's time by seconds; two writes in one test may fall into one tick.
    os.utime(site, (os.stat(site).st_atime, os.stat(site).st_mtime + 2))
    assert things.get("later") == "later"


@pytest.mark.parametrize(
    ("source", "cause"),
    [
        ("import a_package_that_is_not_there\n", ModuleNotFoundError),
        ("raise ValueError('half done')\n", ValueError),
        ("def broken(:\n", SyntaxError),
        ("OTHER = 1\n", AttributeError),
    ],
)
def test_a_broken_plugin_fails_when_asked_for_and_says_whose(
    install: Install, source: str, cause: type[Exception]
) -> None:
    install("broken-plugin", {"bad": "mt_broken:THING"}, {"mt_broken": source})
    install("sound-plugin", {"good": "mt_sound:THING"}, {"mt_sound": "THING = 'good'\n"})
    things = make()
    assert things.names() == ["bad", "builtin", "good"]
    assert things.get("good") == "good"
    assert things.get("builtin") is not None
    with pytest.raises(PluginError) as caught:
        things.get("bad")
    assert type(caught.value.__cause__) is cause
    assert "'broken-plugin 1.2'" in str(caught.value)
    assert "mt_broken:THING" in str(caught.value)
    assert str(caught.value.__cause__) in str(caught.value)
    assert things.get("good") == "good"


def test_an_unknown_name_suggests_plugins_without_importing_them(install: Install) -> None:
    install("shapes", {"shapes/square": "mt_shapes:X"}, {"mt_shapes": "X = 1\n"})
    with pytest.raises(UnknownNameError, match=r"'shapes/square'"):
        make().get("squar")
    assert "mt_shapes" not in sys.modules


def test_two_distributions_with_one_name_are_both_named(install: Install) -> None:
    install("red", {"colour": "mt_red:X", "red": "mt_red:X"}, {"mt_red": "X = 'red'\n"})
    install("blue", {"colour": "mt_blue:X"}, {"mt_blue": "X = 'blue'\n"})
    things = make()
    assert things.names() == ["builtin", "colour", "red"]
    with pytest.raises(DuplicateNameError) as caught:
        things.get("colour")
    assert "'red 1.2'" in str(caught.value)
    assert "'blue 1.2'" in str(caught.value)
    assert not {"mt_red", "mt_blue"} & set(sys.modules)
    assert things.get("red") == "red"


def test_override_settles_a_conflict_of_distributions(install: Install) -> None:
    install("red", {"colour": "mt_red:X"}, {"mt_red": "X = 'red'\n"})
    install("blue", {"colour": "mt_blue:X"}, {"mt_blue": "X = 'blue'\n"})
    things = make()
    with pytest.raises(DuplicateNameError, match=r"'red 1\.2'"):
        things.register("colour", "mine")
    things.register("colour", "mine", override=True)
    assert things.get("colour") == "mine"
    assert not {"mt_red", "mt_blue"} & set(sys.modules)


def test_a_distribution_cannot_take_a_builtin_name(install: Install) -> None:
    install("greedy", {"builtin": "mt_greedy:X"}, {"mt_greedy": "X = 1\n"})
    things = make()
    with pytest.raises(DuplicateNameError) as caught:
        things.get("builtin")
    assert "muscletransfer itself" in str(caught.value)
    assert "'greedy 1.2'" in str(caught.value)
    assert "mt_greedy" not in sys.modules


def test_registering_a_name_of_a_plugin_names_both(install: Install) -> None:
    install("owner", {"owned": "mt_owner:X"}, {"mt_owner": "X = 1\n"})
    with pytest.raises(DuplicateNameError) as caught:
        make().register("owned", pytest.fixture)
    assert "'owner 1.2'" in str(caught.value)
    assert "'pytest'" in str(caught.value)


def test_an_installed_object_registered_in_process_is_named_by_distribution(
    install: Install,
) -> None:
    install("maker", {}, {"mt_maker": "def build():\n    return 1\n"})
    import mt_maker  # type: ignore[import-not-found]

    things = make()
    things.register("made", mt_maker.build)
    with pytest.raises(DuplicateNameError, match=r"the distribution 'maker'"):
        things.register("made", 2)


def test_entry_point_and_decorator_in_one_package_are_one_claim(install: Install) -> None:
    source = (
        "from mt_host import things\n@things.register('both')\ndef build():\n    return 'built'\n"
    )
    install("host", {}, {"mt_host": ""})
    install("both-ways", {"both": "mt_both:build"}, {"mt_both": source})
    import mt_host  # type: ignore[import-not-found]

    mt_host.things = make()
    build = mt_host.things.get("both")
    assert build() == "built"
    assert mt_host.things.get("both") is build


def test_one_distribution_twice_on_the_path_is_one_claim(
    install: Install, monkeypatch: pytest.MonkeyPatch
) -> None:
    site = install("twice", {"twice": "mt_twice:X"}, {"mt_twice": "X = 2\n"})
    monkeypatch.syspath_prepend(str(site))
    assert make().get("twice") == 2


def _get_in_child(name: str) -> tuple[object, bool, bool]:
    things = make()
    listed = name in things.names()
    return things.get(name), listed, "mt_unasked" in sys.modules


def test_a_spawned_process_sees_the_plugins_and_imports_just_one(install: Install) -> None:
    install(
        "for-children",
        {"asked": "mt_asked:X", "unasked": "mt_unasked:X"},
        {"mt_asked": "X = 'asked'\n", "mt_unasked": "X = 1\n"},
    )
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        # A child that cannot import this module would be waited for without end.
        found = pool.apply_async(_get_in_child, ("asked",)).get(timeout=60)
    assert found == ("asked", True, False)


def test_an_encoder_plugin_works_from_a_fresh_interpreter(install: Install) -> None:
    source = """
import torch


class Pool(torch.nn.Module):
    def __init__(self, in_channels, depth):
        super().__init__()
        self.out_channels = [in_channels] * (depth + 1)
        self.output_stride = 2**depth

    def forward(self, x):
        return [torch.nn.functional.avg_pool2d(x, 2**i) for i in range(len(self.out_channels))]
"""
    site = install(
        "pool-encoders",
        {"pool/net": "mt_pool:Pool"},
        {"mt_pool": source},
        group="muscletransfer.encoders",
    )
    script = (
        "import sys, muscletransfer as mt\n"
        "assert 'pool/net' in mt.list_encoders('pool/*')\n"
        "assert 'mt_pool' not in sys.modules and 'timm' not in sys.modules\n"
        "e = mt.create_encoder('pool/net', in_channels=2, depth=3)\n"
        "assert 'timm' not in sys.modules, 'an import of timm that nobody asked for'\n"
        "print(e.spec.name, e.out_channels)\n"
    )
    root = Path(__file__).parents[2]
    path = os.pathsep.join([str(site), str(root)])
    done = subprocess.run(
        [sys.executable, "-c", script],
        env={**os.environ, "PYTHONPATH": path},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == "pool/net [2, 2, 2, 2]"


@pytest.mark.parametrize("recorded", [True, False], ids=["installed", "editable"])
def test_two_distributions_of_one_namespace_package_are_two(
    install: Install, recorded: bool
) -> None:
    lab = f"mt_lab_{recorded}"
    for half in ("one", "two"):
        points = {"lab/x": f"{lab}.one:THING"} if half == "one" else {}
        site = install(f"lab-{half}", points, {})
        (site / lab).mkdir()
        (site / lab / f"{half}.py").write_text("class Thing: ...\nTHING = Thing()\n")
        if recorded:
            info = next(site.glob("*.dist-info"))
            (info / "RECORD").write_text(f"{lab}/{half}.py,,\n")
    things = make()
    one, two = (importlib.import_module(f"{lab}.{half}").THING for half in ("one", "two"))
    with pytest.raises(DuplicateNameError, match=r"'lab/x' is taken twice: by .*'lab-one 1.2'"):
        things.register("lab/x", two)
    assert things.register("lab/x", one) is one
    assert things.get("lab/x") is one


def test_one_distribution_may_name_and_decorate_in_two_modules_of_a_namespace(
    install: Install,
) -> None:
    site = install("lab-whole", {"lab/y": "mt_lab_whole.points:THING"}, {})
    (site / "mt_lab_whole").mkdir()
    (site / "mt_lab_whole" / "things.py").write_text("class Thing: ...\nTHING = Thing()\n")
    (site / "mt_lab_whole" / "points.py").write_text("from mt_lab_whole.things import THING\n")
    thing = importlib.import_module("mt_lab_whole.things").THING
    assert make().register("lab/y", thing) is thing
