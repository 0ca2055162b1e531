"""Short forms of recipe settings: `--lr 0.1` is `--set optim.lr=0.1`, and only one of them is given."""

import os
import re
from pathlib import Path

import pytest

import command
from command import complaint, succeeded
from residua.cli.recipe_options import (
    OPPOSITES,
    SHORT_FORMS,
    errors_named_as_typed,
    recipe_changes,
    written,
)
from residua.errors import ConfigError
from residua.spec.recipe import Recipe, override_recipe
from residua.spec.record import paths
from small import recipe


def test_every_short_form_is_a_field_of_the_recipe() -> None:
    assert {*SHORT_FORMS.values(), *OPPOSITES} <= {*paths(Recipe)}


def test_a_short_form_is_a_setting() -> None:
    changes = recipe_changes(["optim.momentum=0.8"], {"lr": 0.1, "device": None, "memory_limit": "1KiB"})
    assert changes == (("optim.momentum", "0.8"), ("optim.lr", "0.1"), ("plan.memory_limit", "1024"))
    assert recipe_changes([], {"epochs": 3}) == ()


@pytest.mark.parametrize(
    ("option", "setting"),
    [
        ("lr", "optim.lr=0.1"),
        ("lr", "optim.rate=0.1"),
        ("workers", "data.num_workers=1"),
        ("epochs", "budget.epochs=3"),
        ("epochs", "budget.steps=3"),
    ],
)
def test_the_same_field_twice_is_refused(option: str, setting: str) -> None:
    with pytest.raises(ConfigError, match=f"--{option} and --set {setting.partition('=')[0]}"):
        recipe_changes([setting], {option: 3})


@pytest.mark.parametrize(
    ("option", "value"), [("workers", 999), ("lr", -1.0), ("batch_size", 0), ("val_fraction", 2.0)]
)
def test_a_value_out_of_range_is_named_as_it_was_typed(option: str, value: float) -> None:
    text = str(value)
    with (
        pytest.raises(ConfigError, match=f"^{written(option)} is {text}"),
        errors_named_as_typed({option: value}),
    ):
        override_recipe(recipe(), SHORT_FORMS[option], text)


def test_an_error_of_a_setting_keeps_the_name_of_the_field() -> None:
    path = SHORT_FORMS["workers"]
    with pytest.raises(ConfigError, match=f"^{path} is 999"), errors_named_as_typed({"workers": None}):
        override_recipe(recipe(), path, "999")


def test_the_command_names_the_option_that_was_typed() -> None:
    message = complaint(command.residua("train", "digits", "--workers", "999", "--dry-run"), 2)
    assert re.match("residua: --workers is 999.*256", message)


def test_a_dry_run_prints_the_plan_and_writes_nothing(tmp_path: Path) -> None:
    cache, here = {"XDG_CACHE_HOME": str(tmp_path / "cache")}, tmp_path / "here"
    here.mkdir()
    words = ("train", "digits", "--epochs", "1", "--lr", "0.03", "--batch-size", "16", "--seed", "5")
    out = succeeded(command.residua(*words, "--dry-run", "-v", cwd=here, env=_with(cache)))
    phrases = ("rate 0.03", "size 16", "seed 5", "digits-1", "MiB", "setting optim.lr=0.03")
    assert [phrase for phrase in phrases if phrase not in out] == []
    assert list(here.iterdir()) == []


def test_a_device_that_does_not_exist_is_refused_in_few_words() -> None:
    message = complaint(command.residua("train", "digits", "--device", "gpu", "--dry-run"), 2)
    assert re.search("'gpu'.*cuda:1", message)
    assert len(message) < 130


def test_a_dry_run_downloads_nothing(tmp_path: Path) -> None:
    places = {"XDG_CACHE_HOME": str(tmp_path), "HOME": str(tmp_path)}
    message = complaint(command.residua("train", "cifar10", "--dry-run", env=_with(places)), 2)
    assert "cifar10" in message
    assert "download" in message


def test_a_quiet_run_prints_its_end_alone(tmp_path: Path) -> None:
    run = tmp_path / "run"
    words = ("train", "digits", "--recipe", "quick.digits", "--epochs", "1", "--device", "cpu", "-o", run)
    assert succeeded(command.residua(*words, "--quiet")) == f"report  {run / 'report.html'}\n"


def _with(more: dict[str, str]) -> dict[str, str]:
    return {**os.environ, **more}
