"""The mean image of the training images, where a recipe subtracts it."""

from dataclasses import replace
from typing import Any

from residua.data.images import ImageDataset
from residua.data.mean_image import compute_mean_image
from residua.errors import ConfigError
from residua.spec import change
from residua.spec.recipe import Recipe


def with_mean_image(recipe: Recipe, dataset: Any) -> Recipe:
    """`recipe` whose network subtracts the mean image of `dataset`, where `data.subtract` is `pixel`.

    Raises:
        ConfigError: The data are no images with one class each.
    """
    preprocess, image = recipe.arch.preprocess, ""
    if recipe.data.subtract == "pixel":
        if not isinstance(dataset, ImageDataset):
            raise ConfigError("data.subtract is pixel, which needs images with one class each: give channel")
        image = compute_mean_image(dataset.train, preprocess)
    return replace(recipe, arch=change.with_preprocess(recipe.arch, replace(preprocess, mean_image=image)))
