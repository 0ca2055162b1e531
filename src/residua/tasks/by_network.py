"""ByNetwork: what tasks with one class for each example share: a network is known by its name alone."""

from collections.abc import Callable

from residua.nn.network import Network
from residua.spec import zoo
from residua.spec.arch import Arch
from residua.spec.detector import split_name
from residua.spec.recipe import Recipe
from residua.training.initial import initial


class ByNetwork:
    """Part of a `residua.tasks.kind.Kind`, which says what each method is for."""

    counts_wrong = True

    def drawn(self, name: str) -> tuple[Arch, None]:
        """By name alone. ValueError for a detector."""
        if split_name(name):
            raise ValueError(f"{name} finds boxes, the data has none: give voc:DIR or coco:DIR")
        return zoo.arch(name), None

    def settled(self, recipe: Recipe) -> Recipe:
        """As it is. ValueError for what is meant for boxes."""
        if recipe.detector or recipe.augment.kind == "ssd":
            raise ValueError("the recipe finds boxes, the data has none: give voc:DIR or coco:DIR")
        return recipe

    def yardstick(self, recipe: Recipe, network: Network) -> Network:
        """The network itself."""
        return network

    def initial(
        self, recipe: Recipe, classes: tuple[str, ...], *, listen: Callable[[str], None] = lambda _: None
    ) -> Network:
        """Drawn by the seed, or read from a file."""
        return initial(recipe, classes, listen=listen)
