"""Recipes: ranges of their settings, and recipes and settings under the names of earlier versions."""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from residua.errors import ConfigError
from residua.spec.augment import Augment
from residua.spec.detector import DETECTORS
from residua.spec.recipe import (
    OLD_NAMES,
    Averaging,
    Budget,
    Data,
    Optim,
    Plan,
    Recipe,
    Schedule,
    override_recipe,
    read_recipe,
)
from residua.spec.record import paths, to_json, to_plain
from residua.spec.zoo import arch

RECIPE = Recipe("test", arch("cifar_resnet20"), Data("digits"))
COMMITTED = sorted((Path(__file__).parents[2] / "docs" / "results").glob("*/recipe.json"))


@pytest.mark.parametrize("path", COMMITTED, ids=lambda path: path.parent.name)
def test_a_committed_recipe_still_reads(path: Path) -> None:
    recipe, written = read_recipe(path.read_text()), json.loads(path.read_text())["optim"]
    assert recipe.optim.lr == written.get("rate", written.get("lr"))


def test_every_old_name_stands_for_a_setting_and_hides_none() -> None:
    assert set(OLD_NAMES.values()) <= set(paths(Recipe))
    assert not set(OLD_NAMES) & set(paths(Recipe))
    assert len(set(OLD_NAMES.values())) == len(OLD_NAMES)


def test_old_names_in_a_file_read_as_the_new_ones() -> None:
    plain = to_plain(RECIPE)
    for old, new in OLD_NAMES.items():
        section, name = new.split(".")
        plain[section][old.removeprefix(f"{section}.")] = plain[section].pop(name)
    assert read_recipe(json.dumps(plain)) == RECIPE


def test_a_file_with_an_old_and_the_new_name_of_one_setting_is_refused() -> None:
    plain = to_plain(RECIPE)
    plain["optim"]["rate"] = 0.5
    with pytest.raises(ConfigError, match=r"optim\.lr is given twice"):
        read_recipe(json.dumps(plain))


@pytest.mark.parametrize("text", ["[]", "3", "{", '{"optim": 3}', to_json(RECIPE).replace("arch", "arhc")])
def test_text_that_is_no_recipe_is_refused(text: str) -> None:
    with pytest.raises(ConfigError):
        read_recipe(text)


def test_an_override_takes_the_old_and_the_new_name() -> None:
    assert override_recipe(RECIPE, "optim.rate", "0.3") == override_recipe(RECIPE, "optim.lr", "0.3")
    assert override_recipe(RECIPE, "budget.batch", "64").budget.batch_size == 64


@pytest.mark.parametrize(
    ("name", "suggestion"),
    [
        ("optim.rat", r"did you mean optim\.lr"),
        ("budget.batchsize", r"did you mean budget\.batch_size"),
        ("data.holdot", r"did you mean data\.val_fraction"),
        ("optimm.lr", r"did you mean optim\.lr"),
        ("optim", "no setting 'optim'"),
        ("seed.x", r"no setting 'seed\.x'"),
    ],
)
def test_a_misspelt_setting_suggests_the_one_of_today(name: str, suggestion: str) -> None:
    with pytest.raises(ConfigError, match=suggestion):
        override_recipe(RECIPE, name, "1")


@pytest.mark.parametrize(
    ("make", "field", "value"),
    [
        (Optim, "optim.lr", 0.0),
        (Optim, "optim.momentum", 1.0),
        (Optim, "optim.weight_decay", -1.0),
        (Optim, "optim.label_smoothing", 1.0),
        (Optim, "optim.beta2", 1.0),
        (Optim, "optim.grad_clip", -1.0),
        (Optim, "optim.layer_decay", 0.0),
        (Optim, "optim.aux_weight", -0.1),
        (Averaging, "average.ema_decay", 1.0),
        (Averaging, "average.every", 0),
        (Averaging, "average.bn_recalibration_images", -1),
        (Schedule, "schedule.warmup", 1.0),
        (Schedule, "schedule.warmup_lr_factor", 1.1),
        (Schedule, "schedule.drops", (0.75, 0.5)),
        (Schedule, "schedule.drops", (0.5, 1.0)),
        (Schedule, "schedule.warmup_error", 101.0),
        (Schedule, "schedule.patience", 0),
        (Schedule, "schedule.max_drops", -1),
        (Budget, "budget.epochs", 0),
        (Budget, "budget.steps", -1),
        (Budget, "budget.batch_size", 1),
        (Budget, "budget.save_seconds", -1.0),
        (Budget, "budget.accumulate", 0),
        (Budget, "budget.accumulate", 65),
        (Budget, "budget.patience", -1),
        (Data, "data.num_workers", -2),
        (Data, "data.num_workers", 100_000),
        (Data, "data.resident_bytes", -1),
        (Optim, "optim.lr", 1e300),
        (Optim, "optim.weight_decay", 1e300),
        (Optim, "optim.grad_clip", 1e300),
        (Optim, "optim.aux_weight", 1e300),
        (Averaging, "average.every", 10**12),
        (Averaging, "average.bn_recalibration_images", 10**12),
        (Schedule, "schedule.patience", 10**12),
        (Schedule, "schedule.max_drops", 10**12),
        (Budget, "budget.epochs", 10**12),
        (Budget, "budget.steps", 10**12),
        (Budget, "budget.batch_size", 10**12),
        (Budget, "budget.save_seconds", 1e300),
        (Budget, "budget.patience", 10**12),
        (Plan, "plan.threads", 100_000),  # OpenMP ends the process
        (Plan, "plan.memory_limit", 10**18),
        (Plan, "plan.threads", -1),
        (Plan, "plan.memory_limit", -1),
        (Augment, "augment.pad", -1),
        (Augment, "augment.flip", 1.5),
        (Augment, "augment.erase", -0.5),
        (Augment, "augment.mix_share", 2.0),
        (Augment, "augment.area", (0.5, 0.2)),
        (Augment, "augment.aspect", (0.0, 1.0)),
        (Augment, "augment.sides", (0, 10)),
        (Augment, "augment.zoom", 0.5),
        (Augment, "augment.grow", (0.0, 0.5)),
        (Augment, "augment.grow", (0.5, 1.5)),
        (Augment, "augment.mixup", -1.0),
        (Augment, "augment.cutout", -1),
        (Augment, "augment.pad", 10**6),
        (Augment, "augment.sides", (1, 10**6)),
        (Augment, "augment.aspect", (1.0, 1e9)),
        (Augment, "augment.zoom", 1e9),
        (Augment, "augment.policy_size", 31),  # torchvision has no such strength
        (Augment, "augment.policy_count", 10**6),
        (Augment, "augment.colour", 1e300),
    ],
)
def test_a_value_out_of_range_is_named_with_its_path_and_the_range(
    make: Callable[..., Any], field: str, value: Any
) -> None:
    with pytest.raises(ConfigError) as caught:
        make(**{"source": "digits"} if make is Data else {}, **{field.partition(".")[2]: value})
    assert str(caught.value).startswith(f"{field} is {value}: give ")
    assert make.__name__ not in str(caught.value)


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("arch.classes", 10**12),
        ("arch.norm_eps", -1.0),
        ("arch.preprocess.size", 10**6),
        ("arch.preprocess.resize", 10**6),
        ("arch.preprocess.mean", (1e300, 0.5, 0.5)),
        ("arch.preprocess.std", (1e-300, 0.5, 0.5)),
        ("arch.head.grid", 10**6),
        ("arch.stem.convs", '[{"out": 1000000000000}]'),
        ("arch.stem.convs", '[{"out": 8, "kernel": 1000001}]'),
        ("arch.stem.convs", '[{"out": 8, "stride": 1000000}]'),
        ("arch.stem.convs", '[{"out": 8, "padding": 1000000}]'),
        ("arch.stem.pool.kernel", 10**6),
        ("arch.stem.join.bias", 1e300),
    ],
)
def test_a_network_beyond_all_bounds_is_refused(path: str, value: Any) -> None:
    text = value if isinstance(value, str) else json.dumps(value)
    with pytest.raises(ConfigError, match="give"):
        override_recipe(RECIPE, path, text)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("size", 10**6),
        ("longest", 10**6),
        ("strides", (0, 16, 32)),
        ("extras", (-1, 256, 256)),
        ("sizes", ((0.0, 1.0),) * 6),
        ("ratios", ((-1.0,),) * 6),
        ("still", -1),
        ("still", 10**12),
    ],
)
def test_a_detector_beyond_all_bounds_is_refused(field: str, value: Any) -> None:
    with pytest.raises(ConfigError, match=field):
        replace(DETECTORS["ssd300"], **{field: value})


@pytest.mark.parametrize(
    ("path", "text"),
    [
        ("optim.lr", "1" + 400 * "0"),
        ("optim.lr", 5000 * "1"),
        ("seed", 5000 * "1"),
        ("seed", "[" * 100_000),
        ("arch.stages", "[" * 100_000),
        ("arch.stages", "[[3]]"),
        ("arch.stages", '[[[["word"]]]]'),
        ("plan.precision", "[" * 500 + "]" * 500),
    ],
)
def test_a_value_that_json_may_hold_but_no_setting_is_refused_in_a_short_line(path: str, text: str) -> None:
    with pytest.raises(ConfigError, match=r"give|known") as caught:
        override_recipe(RECIPE, path, text)
    assert len(str(caught.value)) < 300


@pytest.mark.parametrize("text", ["[" * 100_000, '{"seed": ' + 5000 * "1" + "}", "\ud800", '{"a": NaN}'])
def test_json_that_no_parser_takes_is_no_recipe(text: str) -> None:
    with pytest.raises(ConfigError):
        read_recipe(text)


@pytest.mark.parametrize(
    ("make", "named"),
    [
        (lambda: Data("digits", val_fraction=1.0), "data.val_fraction is 1.0: give"),
        (lambda: Optim(nesterov=True, momentum=0.0), "optim.nesterov"),
        (lambda: Optim(nesterov=True, kind="adamw"), "optim.kind"),
        (lambda: Averaging(lookahead=True), "average.lookahead needs average.ema_decay"),
        (lambda: Schedule(warmup_error=80.0), "schedule.warmup_lr_factor"),
        (lambda: Schedule(warmup_error=80.0, warmup=0.1, warmup_lr_factor=0.1), "schedule.warmup"),
        (lambda: Plan(graphs="on"), "plan.compile"),
        (lambda: Augment("pad_crop", grow=(0.5, 0.5)), "augment.kind"),
        (lambda: Recipe("test", RECIPE.arch, Data("digits"), seed=2**31), "seed"),
    ],
)
def test_settings_that_contradict_each_other_are_named(make: Callable[[], Any], named: str) -> None:
    with pytest.raises(ConfigError) as caught:
        make()
    assert named in str(caught.value)
