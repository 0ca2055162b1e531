"""The papers' recipes, and ours, by name: one literal dict."""

from collections.abc import Callable, Mapping

from residua.papers import he2015, quick
from residua.spec.arch import Arch
from residua.spec.recipe import Recipe
from residua.spec.record import nearest

RECIPES: Mapping[str, Callable[[Arch, str], Recipe]] = {
    "he2015.cifar": he2015.cifar,
    "he2015.imagenet": he2015.imagenet,
    "quick.small": quick.small,
    "quick.photos": quick.photos,
    "quick.digits": quick.digits,
}
"""Name -> function of a network and a data source."""


def recipe(name: str, arch: Arch, source: str) -> Recipe:
    """The recipe called `name` for `arch` on `source`. ValueError offers the nearest names."""
    if name not in RECIPES:
        raise ValueError(f"no recipe {name!r}: {nearest(name, RECIPES)}")
    return RECIPES[name](arch, source)
