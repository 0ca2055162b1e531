"""Runs whose last batch of an epoch is filled instead of left out."""

from pathlib import Path

from residua.runs.run import Run
from residua.spec.recipe import Budget, read_recipe
from residua.spec.record import to_json
from small import after, colours, fresh, go, recipe, rows, weights

FILLED = recipe(budget=Budget(epochs=2, batch_size=7, drop_last=False, save_seconds=1000.0))


def test_every_image_is_trained_on_in_every_epoch(tmp_path: Path) -> None:
    run = fresh(tmp_path / "run", FILLED, colours())
    assert [row["step"] for row in rows(run)] == [4, 8]  # 24 images in batches of 7


def test_an_interrupted_run_ends_with_the_same_bits(tmp_path: Path) -> None:
    whole = fresh(tmp_path / "whole", FILLED, colours())
    parts = fresh(tmp_path / "parts", FILLED, colours(), after(4))
    assert not parts.finished
    go(parts, colours())
    assert (weights(parts), rows(parts)) == (weights(whole), rows(whole))


def test_a_recipe_without_the_setting_leaves_the_last_batch_out(tmp_path: Path) -> None:
    text = to_json(recipe(budget=Budget(epochs=2, batch_size=7, save_seconds=1000.0)))
    assert '"drop_last": true' in text
    old = read_recipe(text.replace('"drop_last": true,', ""))
    run = fresh(tmp_path / "run", old, colours())
    assert [row["step"] for row in rows(run)] == [3, 6]
    assert Run(run.path).recipe.budget.drop_last
