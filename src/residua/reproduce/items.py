"""Every table and figure by name, the recipe that trains it, and the protocol that its paper states."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import reduce
from typing import Any

from residua.errors import ConfigError
from residua.recipes.he2015 import CIFAR_STEPS, SCALES, WARM_UP_DEPTH, WARM_UP_ERROR, WARM_UP_STEPS
from residua.reproduce import rows_duta2020, rows_he2015, rows_he2016, rows_history
from residua.reproduce.published import Item
from residua.spec.arch import Arch
from residua.spec.recipe import Recipe
from residua.spec.record import nearest

ITEMS: Mapping[str, Item] = {
    item.name: item
    for item in (*rows_he2015.ITEMS, *rows_history.ITEMS, *rows_he2016.ITEMS, *rows_duta2020.ITEMS)
}
"""Name -> item, in the papers' order."""
PAPER_RECIPES: Mapping[tuple[str, str], str] = {
    ("he2015", "small"): "he2015.cifar",
    ("he2015", "large"): "he2015.imagenet",
    ("he2016", "small"): "he2016.cifar",
    ("he2016", "large"): "he2016.imagenet",
    ("duta2020", "small"): "duta2020.cifar",
    ("duta2020", "large"): "duta2020.imagenet",
}
"""Paper and size of the images -> name of the recipe."""
DATA_WITHOUT_SCHEDULE: Mapping[str, str] = {"coco": "coco", "voc2007": "voc", "voc2012": "voc"}
"""Data for which the papers' schedule belongs to another way of training (He et al. 2015, appendix A, trains
regions and boxes in turns; residua trains them together) -> the source that `residua train` takes."""
TRAINING_IMAGES: Mapping[str, int] = {"cifar10": 50_000, "cifar100": 50_000, "imagenet": 1_281_167}
"""Dataset -> training images that the papers use of it."""


def find_item(name: str) -> Item:
    """The table or figure called `name`, e.g. `he2015/fig6`.

    Raises:
        ConfigError: There is no such item (the message offers the nearest names), or it cannot be reproduced.
    """
    if name not in ITEMS:
        raise ConfigError(f"no item {name!r}: {nearest(name, ITEMS)} (`residua reproduce --list` lists all)")
    item = ITEMS[name]
    if item.obstacle:
        raise ConfigError(f"{name} cannot be reproduced: {item.obstacle}")
    return item


FIELD_NAMES: Mapping[str, str] = {
    "data.subtract": "mean that is subtracted",
    "augment.kind": "augmentation",
    "augment.pad": "padding in pixels",
    "augment.flip": "probability of a horizontal flip",
    "augment.sides": "shorter sides in pixels",
    "augment.colour": "standard deviation of the colour shift",
    "optim.kind": "optimizer",
    "optim.lr": "learning rate",
    "optim.momentum": "momentum",
    "optim.nesterov": "Nesterov momentum",
    "optim.weight_decay": "weight decay",
    "optim.decay_norms_and_biases": "weight decay of norms and biases",
    "optim.label_smoothing": "label smoothing",
    "schedule.shape": "learning rate schedule",
    "schedule.drops": "learning rate drops, as fractions of the steps",
    "schedule.warmup": "warm-up, as a fraction of the steps",
    "schedule.warmup_lr_factor": "learning rate of the warm-up, as a fraction of the full one",
    "schedule.warmup_error": "training error that ends the warm-up",
    "budget.steps": "steps",
    "budget.epochs": "epochs",
    "budget.batch_size": "batch size",
    "plan.precision": "precision",
}
"""Path in a recipe -> its name in text."""
LENGTH_FIELDS = ("budget.steps", "budget.epochs", "budget.batch_size", "training images", "network")
"""Differences that make an experiment smaller than the paper's; others leave its size as it is."""

_SGD: Mapping[str, Any] = {
    "optim.kind": "sgd",
    "optim.lr": 0.1,
    "optim.momentum": 0.9,
    "optim.nesterov": False,
    "optim.weight_decay": 1e-4,
    "optim.label_smoothing": 0.0,
    "plan.precision": "float32",
}
"""What the three papers agree on (He et al. 2015, 3.4; He et al. 2016, appendix; Duta et al.'s code)."""
_CIFAR: Mapping[str, Any] = {
    **_SGD,
    "data.subtract": "pixel",
    "augment.kind": "pad_crop",
    "augment.pad": 4,
    "augment.flip": 0.5,
    "schedule.shape": "step",
    "schedule.drops": (32_000 / 64_000, 48_000 / 64_000),
    "budget.steps": CIFAR_STEPS,
    "budget.batch_size": 128,
}
"""He et al. 2015, 4.2."""
_IMAGENET: Mapping[str, Any] = {
    **_SGD,
    "data.subtract": "pixel",
    "augment.kind": "scale_crop",
    "augment.sides": SCALES,
    "augment.flip": 0.5,
    "augment.colour": 0.1,
    "budget.batch_size": 256,
}
"""He et al. 2015, 3.4: the rate falls "when the error plateaus", for which the paper gives no rule."""
PAPER_PROTOCOLS: Mapping[tuple[str, str], Mapping[str, Any]] = {
    ("he2015", "cifar"): _CIFAR,
    ("he2015", "imagenet"): {**_IMAGENET, "schedule.shape": "plateau"},
    ("he2016", "cifar"): {
        **_CIFAR,
        "schedule.warmup": WARM_UP_STEPS / CIFAR_STEPS,
        "schedule.warmup_lr_factor": 0.1,
    },
    ("he2016", "imagenet"): {**_IMAGENET, "schedule.shape": "step", "schedule.warmup": 0.0},
    ("duta2020", "cifar"): {},
    ("duta2020", "imagenet"): {
        **_SGD,
        "optim.decay_norms_and_biases": True,
        "augment.kind": "resized_crop",
        "augment.flip": 0.5,
        "schedule.shape": "step",
        "schedule.drops": (30 / 90, 60 / 90, 80 / 90),
        "schedule.warmup": 0.0,
        "budget.epochs": 90,
        "budget.batch_size": 256,
    },
}
"""Paper and data -> path in a recipe -> the paper's value; what a paper does not state is missing here."""


@dataclass(frozen=True, slots=True)
class ProtocolDifference:
    """One thing in which a run differs from the paper's protocol."""

    field: str
    """Its path in the recipe, or `network`, or `training images`."""
    value: str
    """Its value in the run."""
    paper_value: str
    """Its value in the paper."""

    @property
    def name(self) -> str:
        """The field's name in text."""
        return FIELD_NAMES.get(self.field, self.field)

    def __str__(self) -> str:
        """`steps: 4,000, in the paper 64,000`."""
        return f"{self.name}: {self.value}, in the paper {self.paper_value}"


def paper_protocol(paper: str, data: str, arch: Arch) -> dict[str, Any]:
    """What a paper states about training a network.

    Args:
        paper: `he2015`, `he2016` or `duta2020`.
        data: `imagenet`, or else the paper's protocol for CIFAR is meant.
        arch: The network: in He et al. 2015, 4.2, the warm-up depends on its depth.

    Returns:
        Path in a recipe -> the paper's value.
    """
    protocol = dict(PAPER_PROTOCOLS[paper, "imagenet" if data == "imagenet" else "cifar"])
    if paper == "he2015" and data != "imagenet":
        protocol["schedule.warmup_error"] = WARM_UP_ERROR if arch.depth() >= WARM_UP_DEPTH else 0.0
    return protocol


def protocol_differences(recipe: Recipe, paper: str, data: str) -> tuple[ProtocolDifference, ...]:
    """The fields of `recipe` whose values differ from those that `paper` states for `data`.

    Args:
        recipe: The recipe of a run.
        paper: `he2015`, `he2016` or `duta2020`.
        data: `imagenet`, or else the paper's protocol for CIFAR is meant.

    Returns:
        The differences, in the order of `paper_protocol`. Fields that the paper does not state are left out.
    """
    values = (
        (path, _field(recipe, path), stated)
        for path, stated in paper_protocol(paper, data, recipe.arch).items()
    )
    return tuple(
        ProtocolDifference(path, _text(value), _text(stated))
        for path, value, stated in values
        if not _is_equal(value, stated)
    )


def protocol_label(differences: tuple[ProtocolDifference, ...]) -> str:
    """How close a number on the paper's own data comes to the paper's protocol.

    Returns:
        `same protocol`, `same protocol but for` the names of the differences, or `scaled down`.
    """
    if any(difference.field in LENGTH_FIELDS for difference in differences):
        return "scaled down"
    names = ", ".join(difference.name for difference in differences)
    return f"same protocol but for {names}" if names else "same protocol"


def _field(recipe: Any, path: str) -> Any:
    return reduce(getattr, path.split("."), recipe)


def _is_equal(one: Any, other: Any) -> bool:
    if isinstance(one, tuple):
        return len(one) == len(other) and all(map(_is_equal, one, other))
    return abs(one - other) < 1e-9 if isinstance(one, float) else bool(one == other)


def _text(value: Any) -> str:
    if isinstance(value, tuple):
        return " and ".join(map(_text, value))
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int):
        return f"{value:,}"
    return f"{value:.3g}" if isinstance(value, float) else str(value)
