"""Values to JSON and back, and single fields by path."""

import json
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from words import arches

from few import one_of_each_family
from residua.errors import ConfigError
from residua.spec.arch import Arch
from residua.spec.detector import DETECTORS
from residua.spec.recipe import Data, Recipe
from residua.spec.record import from_json, from_plain, nearest, override, paths, to_json, to_plain
from residua.spec.zoo import NAMES, arch

RECIPE = Recipe("test", arch("cifar_resnet20"), Data("digits"))


@pytest.mark.parametrize("name", one_of_each_family(NAMES))
def test_every_network_comes_back_from_json(name: str) -> None:
    spec = arch(name)
    assert from_json(Arch, to_json(spec)) == spec
    assert hash(from_json(Arch, to_json(spec))) == hash(spec)


@settings(max_examples=20, deadline=None)
@given(arches())
def test_any_network_comes_back_from_json(spec: Arch) -> None:
    assert from_json(Arch, to_json(spec)) == spec


def test_a_recipe_comes_back_from_json() -> None:
    assert from_json(Recipe, to_json(RECIPE)) == RECIPE


def broken(path: str, value: Any) -> Any:
    """The recipe as plain values, with `value` at `path`; a value of `...` takes the field away."""
    plain = inside = json.loads(to_json(RECIPE))
    *steps, last = path.split(".")
    for step in steps:
        inside = inside[int(step)] if step.isdigit() else inside[step]
    if value is ...:
        del inside[last]
    else:
        inside[last] = value
    return plain


@pytest.mark.parametrize(
    ("path", "value", "message"),
    [
        ("arch", ..., r"Recipe .*'arch'"),
        ("data.source", ..., r"Recipe\.data .*'source'"),
        ("optim.lrr", 0.1, r"Recipe\.optim .*'lrr'"),
        ("optim.momentun", 0.1, r"'momentun'.*momentum\?"),
        ("optim.lr", "fast", r"Recipe\.optim\.lr is 'fast'.*number"),
        ("optim.lr", float("nan"), r"finite number"),
        ("optim.lr", True, r"give a number"),
        ("optim.lr", -1.0, r"optim\.lr is -1\.0.*above 0"),
        ("seed", 1.5, r"Recipe\.seed is 1\.5.*whole number"),
        ("seed", True, r"seed.*whole number"),
        ("plan.precision", "float16", r"Recipe\.plan\.precision .*'float16'.*mean"),
        ("schedule.drops", 0.5, r"Recipe\.schedule\.drops is 0\.5.*list"),
        ("augment.area", [0.5], r"Recipe\.augment\.area has 1 value: give 2"),
        ("arch.stages.0.1.word", "(CNA", r"balance them"),
        ("arch.stages.1.0.convs.0.out", "x", r"Recipe\.arch\.stages\[1\]\[0\]\.convs\[0\]\.out is 'x'"),
        ("arch", 3, r"Recipe\.arch is 3.*name, family"),
    ],
)
def test_a_wrong_field_is_named_by_its_path(path: str, value: Any, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        from_plain(Recipe, broken(path, value))


def test_text_that_is_no_json_says_so() -> None:
    with pytest.raises(ConfigError, match="not JSON: "):
        from_json(Recipe, "{")


def test_a_number_that_is_not_finite_is_not_written() -> None:
    with pytest.raises(ValueError, match="JSON"):
        to_json((1.0, float("inf")))


@pytest.mark.parametrize(
    ("path", "text", "value"),
    [
        ("optim.lr", "0.3", 0.3),
        ("optim.lr", "1", 1.0),
        ("optim.lr", "1e-3", 0.001),
        ("optim.nesterov", "true", True),
        ("seed", "7", 7),
        ("schedule.shape", "cosine", "cosine"),
        ("schedule.drops", "[0.25, 0.5]", (0.25, 0.5)),
        ("schedule.drops", "0.25,0.5", (0.25, 0.5)),
        ("schedule.drops", "0.5", (0.5,)),
        ("data.source", "7", "7"),
        ("arch.head.drop", "0.25", 0.25),
        ("arch.preprocess.size", "24", 24),
    ],
)
def test_one_field_is_overridden_and_no_other(path: str, text: str, value: Any) -> None:
    plain = to_plain(override(RECIPE, path, text))
    *steps, last = path.split(".")
    inside, before = plain, to_plain(RECIPE)
    for step in steps:
        inside = inside[step]
    assert inside[last] == (list(value) if isinstance(value, tuple) else value)
    assert type(inside[last]) is (list if isinstance(value, tuple) else type(value))
    outer = before
    for step in steps:
        outer = outer[step]
    outer[last] = inside[last]
    assert plain == before


@pytest.mark.parametrize(
    ("path", "text", "message"),
    [
        ("optim.lrr", "1", r"'optim\.lrr'.*mean optim\.lr"),
        ("optimm.lr", "1", r"'optimm\.lr'.*mean optim\.lr"),
        ("optim", "1", r"no setting 'optim'"),
        ("seed.x", "1", r"no setting 'seed\.x'"),
        ("arch.head.dropp", "0", r"did you mean arch\.head\.drop"),
        ("optim.lr", "fast", r"optim\.lr is 'fast'.*number"),
        ("optim.lr", "NaN", r"finite number"),
        ("schedule.shape", "cosin", r"schedule\.shape is 'cosin'.*cosine"),
        ("optim.momentum", "2", r"optim\.momentum is 2\.0.*below 1"),
    ],
)
def test_an_override_that_cannot_be_says_why(path: str, text: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        override(RECIPE, path, text)


def test_paths_name_every_single_value_once() -> None:
    listed = paths(Recipe)
    assert len(listed) == len(set(listed))
    assert {"seed", "optim.lr", "arch.preprocess.mean", "arch.stages", "arch.stem.pool.kernel"} < set(listed)
    assert "optim" not in listed


def test_a_record_that_may_be_none_is_changed_inside_where_it_is_one() -> None:
    detector = DETECTORS["ssd300"]
    changed = override(replace(RECIPE, detector=detector), "detector.still", "1")
    assert changed.detector == replace(detector, still=1)
    with pytest.raises(ConfigError, match=r"detector\.still .*no detector"):
        override(RECIPE, "detector.still", "1")
    with pytest.raises(ConfigError, match=r"'detector\.stil'.*mean detector\.still"):
        override(replace(RECIPE, detector=detector), "detector.stil", "1")


@pytest.mark.parametrize(("word", "name"), [("RESNET18", "resnet18"), ("Resnte18", "resnet18"), ("AA", "A")])
def test_a_name_is_suggested_whatever_the_case(word: str, name: str) -> None:
    assert nearest(word, ["plain18", "resnet18", "A"]).startswith(f"did you mean {name}")
