"""Training recipes by name: those of the papers, and ours."""

from collections.abc import Callable, Mapping

from residua.errors import ConfigError
from residua.recipes import duta2020, he2015, he2016, modern, quick
from residua.spec.arch import Arch
from residua.spec.recipe import Recipe
from residua.spec.record import nearest

RECIPES: Mapping[str, Callable[[Arch, str], Recipe]] = {
    "he2015.cifar": he2015.cifar,
    "he2015.imagenet": he2015.imagenet,
    "he2015.imagenet_steps": he2015.imagenet_steps,
    "he2015.coco": he2015.coco,
    "he2016.cifar": he2016.cifar,
    "he2016.imagenet": he2016.imagenet,
    "duta2020.imagenet": duta2020.imagenet,
    "duta2020.cifar": duta2020.cifar,
    "fast_cifar": modern.fast_cifar,
    "modern": modern.modern,
    "finetune": modern.finetune,
    "probe": modern.probe,
    "quick.small": quick.small,
    "quick.photos": quick.photos,
    "quick.digits": quick.digits,
    "quick.boxes": quick.boxes,
    "quick.clips": quick.clips,
    "quick.moving": quick.moving,
}
"""Name -> function of a network and a data source. Its docstring names the source in the paper and the
differences from it; reports print it."""


def recipe(name: str, arch: Arch, source: str) -> Recipe:
    """The recipe called `name`.

    Args:
        name: A name of RECIPES.
        arch: The network.
        source: What `residua train` takes.

    Raises:
        ConfigError: There is no such recipe; the message offers the nearest names.
    """
    check_name(name)
    return RECIPES[name](arch, source)


def check_name(name: str) -> None:
    """ConfigError where there is no recipe of that name; the message offers the nearest names."""
    if name not in RECIPES:
        raise ConfigError(f"no recipe {name!r}: {nearest(name, RECIPES)}")
