"""Registering in this process, and names that cannot be."""

import json

import pytest

from muscletransfer.errors import ContractError, DuplicateNameError, UnknownNameError
from muscletransfer.registry import Registry


@pytest.fixture
def things() -> Registry[object]:
    return Registry(
        "thing",
        None,
        "Add one with @register_thing('name').",
        {"dumps": "json:dumps", "jigsaw": "colorsys:rgb_to_hsv"},
    )


def test_decorator_returns_the_object_and_get_finds_it(things: Registry[object]) -> None:
    @things.register("mine")
    class Mine:
        pass

    assert isinstance(Mine, type)
    assert things.get("mine") is Mine
    assert "mine" in things


def test_direct_registration_returns_the_object(things: Registry[object]) -> None:
    obj = object()
    assert things.register("mine", obj) is obj
    assert things.get("mine") is obj


def test_falsy_objects_are_objects(things: Registry[object]) -> None:
    things.register("zero", 0)
    assert things.get("zero") == 0


def test_builtins_are_there_without_an_import(things: Registry[object]) -> None:
    assert things.names() == ["dumps", "jigsaw"]
    assert things.get("dumps") is json.dumps


def test_names_are_sorted_and_filtered(things: Registry[object]) -> None:
    things.register("b/two", 2)
    things.register("a/one", 1)
    assert things.names() == ["a/one", "b/two", "dumps", "jigsaw"]
    assert things.names("?/*") == ["a/one", "b/two"]
    assert things.names("A*") == []


def test_unknown_name_says_kind_matches_and_way_out(things: Registry[object]) -> None:
    with pytest.raises(UnknownNameError) as caught:
        things.get("jigsw")
    text = str(caught.value)
    assert (
        text
        == "Unknown thing 'jigsw'. Did you mean 'jigsaw'? Add one with @register_thing('name')."
    )
    assert isinstance(caught.value, LookupError)


def test_unknown_name_has_at_most_three_matches(things: Registry[object]) -> None:
    for index in range(6):
        things.register(f"resnet{index}", index)
    with pytest.raises(UnknownNameError) as caught:
        things.get("resnet")
    assert str(caught.value).count("'resnet") - 1 == 3


def test_nothing_near_gives_no_suggestion(things: Registry[object]) -> None:
    with pytest.raises(UnknownNameError) as caught:
        things.get("quetzalcoatl")
    assert "Did you mean" not in str(caught.value)


def test_a_name_without_its_namespace_finds_it(things: Registry[object]) -> None:
    things.register("timm/resnet18", 1)
    with pytest.raises(UnknownNameError, match="'timm/resnet18'"):
        things.get("resnet18")


def test_second_object_for_a_name_is_an_error_naming_both(things: Registry[object]) -> None:
    things.register("mine", json.loads)
    with pytest.raises(DuplicateNameError) as caught:
        things.register("mine", pytest.fixture)
    text = str(caught.value)
    assert "module 'json.decoder'" in text or "module 'json'" in text
    assert "'pytest'" in text
    assert "override=True" in text
    assert things.get("mine") is json.loads


def test_same_object_again_is_no_error(things: Registry[object]) -> None:
    things.register("mine", json.loads)
    things.register("mine", json.loads)
    assert things.get("mine") is json.loads


def test_override_replaces(things: Registry[object]) -> None:
    things.register("mine", 1)
    things.register("mine", 2, override=True)
    assert things.get("mine") == 2


def test_builtin_name_is_taken_unless_overridden(things: Registry[object]) -> None:
    with pytest.raises(DuplicateNameError, match="muscletransfer itself"):
        things.register("dumps", 1)
    assert things.get("dumps") is json.dumps
    things.register("dumps", 1, override=True)
    assert things.get("dumps") == 1
    assert things.names() == ["dumps", "jigsaw"]


def test_builtin_may_also_carry_the_decorator(things: Registry[object]) -> None:
    registry: Registry[object] = Registry("thing", None, "", {"loads": "json:loads"})
    registry.register("loads", json.loads)
    assert registry.get("loads") is json.loads


@pytest.mark.parametrize("name", ["", " ", "two words", "tab\tbed", "timm/*", "what?", "[x]"])
def test_unusable_names(things: Registry[object], name: str) -> None:
    with pytest.raises(ContractError, match="cannot name a thing"):
        things.register(name, 1)


def test_decorator_without_a_name_says_how(things: Registry[object]) -> None:
    with pytest.raises(ContractError, match=r"must be text.*@register_thing\('name'\)"):
        things.register(lambda: None)  # type: ignore[call-overload]


def test_a_failed_registration_leaves_nothing_behind(things: Registry[object]) -> None:
    with pytest.raises(ContractError):
        things.register("two words", 1)
    assert things.names() == ["dumps", "jigsaw"]


@pytest.mark.parametrize("name", [None, 3, ("a",)])
def test_contains_and_get_take_any_object(things: Registry[object], name: object) -> None:
    assert name not in things
    with pytest.raises(UnknownNameError):
        things.get(name)  # type: ignore[arg-type]
