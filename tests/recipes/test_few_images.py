"""Defaults for small datasets: what changes, by how much, and what stays."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from residua.data.sampler import steps_per_epoch
from residua.recipes import RECIPES, few_images
from residua.recipes import recipe as recipe_named
from residua.recipes.few_images import MAX_EPOCHS, MIN_BATCH_SIZE, MIN_UPDATES
from residua.spec import change, zoo
from residua.spec.recipe import Recipe

PHOTOS = recipe_named("quick.photos", zoo.arch("resnet18"), "photos")


def fitted(recipe: Recipe, count: int, *settings: str) -> Recipe:
    with_batch = few_images.with_batch(recipe, count, settings=settings)
    return few_images.with_length(with_batch, count, settings=settings)


def length(recipe: Recipe, count: int) -> tuple[int, int]:
    """Steps of an epoch, and updates in all."""
    budget = recipe.budget
    steps = steps_per_epoch(count, budget.batch_size, drop_last=budget.drop_last)
    return steps, steps * budget.epochs


@given(st.integers(MIN_BATCH_SIZE * 10, 4000))
def test_a_small_set_gets_enough_updates_and_loses_no_image(count: int) -> None:
    recipe = fitted(PHOTOS, count)
    steps, updates = length(recipe, count)
    assert steps >= 10
    assert updates >= MIN_UPDATES
    assert not recipe.budget.drop_last
    assert MIN_BATCH_SIZE <= recipe.budget.batch_size <= PHOTOS.budget.batch_size
    repeated = steps * recipe.budget.batch_size - count
    assert 0 <= repeated < (steps if count < 640 else 64)  # small batches divide the images nearly


@given(st.integers(2, 79))
def test_a_tiny_set_is_not_shown_without_end(count: int) -> None:
    recipe = fitted(PHOTOS, count)
    assert PHOTOS.budget.epochs <= recipe.budget.epochs <= MAX_EPOCHS
    assert 2 <= recipe.budget.batch_size <= MIN_BATCH_SIZE


def test_190_photographs_make_ten_steps_an_epoch() -> None:
    recipe = fitted(PHOTOS, 190)
    assert (recipe.budget.batch_size, *length(recipe, 190)) == (19, 10, 1500)
    assert recipe.optim.lr == pytest.approx(PHOTOS.optim.lr * 19 / 64, rel=0.05)


def test_fine_tuning_by_default_is_as_long_as_by_name() -> None:
    recipe = recipe_named("finetune", zoo.arch("resnet18"), "photos")
    assert fitted(recipe, 80) == recipe
    assert recipe.budget.epochs <= 30  # passes of the plain loop of benchmarks/finetune.py


@given(st.integers(2, 3000))
def test_fine_tuning_has_even_batches_and_no_step_more(count: int) -> None:
    recipe = recipe_named("finetune", zoo.arch("resnet18"), "photos")
    even = few_images.with_even_batches(recipe, count, settings=())
    steps = length(even, count)[0]
    assert steps == length(recipe, count)[0]
    assert even.budget.batch_size <= recipe.budget.batch_size
    assert 0 <= steps * even.budget.batch_size - count < steps
    own = few_images.with_even_batches(recipe, count, settings=("budget.batch_size",))
    assert own == recipe
    assert few_images.with_even_batches(PHOTOS, count, settings=()) == PHOTOS


@pytest.mark.parametrize(("name", "count"), [("quick.photos", 4800), ("quick.small", 50_000)])
def test_a_large_set_keeps_the_recipe(name: str, count: int) -> None:
    recipe = recipe_named(name, zoo.arch("cifar_resnet20"), "photos")
    assert fitted(recipe, count) == recipe
    assert few_images.describe(recipe, recipe, count, settings=()) == ""


@pytest.mark.parametrize("name", sorted(RECIPES.keys() - few_images.DEFAULTS.keys()))
def test_recipes_of_papers_and_of_other_tasks_keep_their_numbers(name: str) -> None:
    recipe = recipe_named(name, zoo.arch("resnet18"), "photos")
    assert fitted(recipe, 190) == recipe


def test_what_the_user_gives_stays() -> None:
    assert fitted(PHOTOS, 190, "budget.steps").budget.epochs == PHOTOS.budget.epochs
    assert fitted(PHOTOS, 190, "budget.epochs").budget.epochs == PHOTOS.budget.epochs
    own_batch = fitted(PHOTOS, 190, "budget.batch_size")
    assert (own_batch.budget.batch_size, own_batch.optim.lr) == (64, PHOTOS.optim.lr)
    assert fitted(PHOTOS, 190, "budget.accumulate").budget.batch_size == 64


@pytest.mark.parametrize(("side", "size"), [(500, 128), (128, 128), (100, 96), (70, 64), (20, 32)])
def test_a_cpu_reads_few_photographs_no_larger_than_they_are(side: int, size: int) -> None:
    assert few_images.cpu_size(PHOTOS.arch, side) == size


def test_no_network_reads_larger_images_than_it_was_made_for() -> None:
    assert few_images.cpu_size(zoo.arch("cifar_resnet20"), 500) == 32
    assert few_images.cpu_size(change.with_size(PHOTOS.arch, 96), 500) == 96


def test_the_line_names_each_choice_with_its_option() -> None:
    recipe = fitted(PHOTOS, 190)
    recipe = replace(recipe, arch=change.with_size(recipe.arch, 128))
    line = few_images.describe(recipe, PHOTOS, 190, settings=())
    for word in ("190", "19 (--batch-size)", "128", "--image-size", "150", "--epochs"):
        assert word in line
    assert "--epochs" not in few_images.describe(recipe, PHOTOS, 190, settings=("budget.epochs",))
    assert "left out" not in line  # ten batches of 19 leave none out anyway
    assert "left out" in few_images.describe(fitted(PHOTOS, 196), PHOTOS, 196, settings=())
