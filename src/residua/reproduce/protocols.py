"""What the papers fix about training and testing, and where a recipe of ours departs from it."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import reduce
from typing import Any

from residua.recipes.he2015 import CIFAR_STEPS, SCALES, WARM_UP_DEPTH, WARM_UP_ERROR, WARM_UP_STEPS
from residua.spec.arch import Arch
from residua.spec.recipe import Recipe

IMAGES: Mapping[str, int] = {"cifar10": 50_000, "cifar100": 50_000, "imagenet": 1_281_167}
"""Name of a set -> training images that the papers use of it."""
LENGTH = ("budget.steps", "budget.epochs", "budget.batch_size", "training images", "network")
"""Departures that make an experiment smaller than the paper's; others leave its size as it is."""
NAMES: Mapping[str, str] = {
    "data.subtract": "mean that is subtracted",
    "augment.kind": "augmentation",
    "augment.pad": "border in pixels",
    "augment.flip": "chance of a mirror image",
    "augment.sides": "shorter sides in pixels",
    "augment.colour": "deviation of the colour shift",
    "optim.kind": "optimiser",
    "optim.lr": "first rate",
    "optim.momentum": "momentum",
    "optim.nesterov": "Nesterov's momentum",
    "optim.weight_decay": "weight decay",
    "optim.decay_norms_and_biases": "decay of all weights",
    "optim.label_smoothing": "label smoothing",
    "schedule.shape": "fall of the rate",
    "schedule.drops": "falls of the rate, as shares of the updates",
    "schedule.warmup": "warm-up, as a share of the updates",
    "schedule.warmup_lr_factor": "rate of the warm-up, as a share of the first",
    "schedule.warmup_error": "end of the warm-up",
    "budget.steps": "updates",
    "budget.epochs": "passes over the images",
    "budget.batch_size": "images per update",
    "plan.precision": "arithmetic",
}
"""Path in a recipe -> what a reader of the papers calls it."""
SGD: Mapping[str, Any] = {
    "optim.kind": "sgd",
    "optim.lr": 0.1,
    "optim.momentum": 0.9,
    "optim.nesterov": False,
    "optim.weight_decay": 1e-4,
    "optim.label_smoothing": 0.0,
    "plan.precision": "float32",
}
"""What all three agree on."""
CIFAR: Mapping[str, Any] = {
    **SGD,
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
PHOTOS: Mapping[str, Any] = {
    **SGD,
    "data.subtract": "pixel",
    "augment.kind": "scale_crop",
    "augment.sides": SCALES,
    "augment.flip": 0.5,
    "augment.colour": 0.1,
    "budget.batch_size": 256,
}
"""He et al. 2015, 3.4: the rate falls "when the error plateaus", for which it gives no rule."""
STATED: Mapping[tuple[str, str], Mapping[str, Any]] = {
    ("he2015", "cifar"): CIFAR,
    ("he2015", "imagenet"): {**PHOTOS, "schedule.shape": "plateau"},
    ("he2016", "cifar"): {
        **CIFAR,
        "schedule.warmup": WARM_UP_STEPS / CIFAR_STEPS,
        "schedule.warmup_lr_factor": 0.1,
    },
    ("he2016", "imagenet"): {**PHOTOS, "schedule.shape": "step", "schedule.warmup": 0.0},
    ("duta2020", "cifar"): {},
    ("duta2020", "imagenet"): {
        **SGD,
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
"""Paper and pictures -> path in a recipe -> the paper's value; what it does not state is not here."""


@dataclass(frozen=True, slots=True)
class Departure:
    """One thing that was done otherwise than in the paper."""

    what: str
    """Its path in the recipe, or `network`, `training images`."""
    here: str
    """As it was done here."""
    paper: str
    """As the paper did it."""

    @property
    def name(self) -> str:
        """What a reader of the papers calls it."""
        return NAMES.get(self.what, self.what)

    def __str__(self) -> str:
        """`updates: 4,000, in the paper 64,000`."""
        return f"{self.name}: {self.here}, in the paper {self.paper}"


def stated(paper: str, data: str, arch: Arch) -> dict[str, Any]:
    """Path in a recipe -> the value that `paper` states for training `arch` on `data`."""
    found = dict(STATED[paper, "imagenet" if data == "imagenet" else "cifar"])
    if paper == "he2015" and data != "imagenet":
        found["schedule.warmup_error"] = WARM_UP_ERROR if arch.depth() >= WARM_UP_DEPTH else 0.0
    return found


def departures(recipe: Recipe, paper: str, data: str) -> tuple[Departure, ...]:
    """What `recipe` does otherwise than `paper` on `data`."""
    wanted = stated(paper, data, recipe.arch).items()
    held = [(path, _at(recipe, path), value) for path, value in wanted]
    return tuple(
        Departure(path, _words(here), _words(value)) for path, here, value in held if not _same(here, value)
    )


def label(departed: tuple[Departure, ...]) -> str:
    """How close a number on the paper's own data comes to its protocol."""
    if any(each.what in LENGTH for each in departed):
        return "scaled down"
    but = ", ".join(each.name for each in departed)
    return f"same protocol but for {but}" if but else "same protocol"


def _at(recipe: Any, path: str) -> Any:
    return reduce(getattr, path.split("."), recipe)


def _same(one: Any, other: Any) -> bool:
    if isinstance(one, tuple):
        return len(one) == len(other) and all(map(_same, one, other))
    return abs(one - other) < 1e-9 if isinstance(one, float) else bool(one == other)


def _words(value: Any) -> str:
    if isinstance(value, tuple):
        return " and ".join(map(_words, value))
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int):
        return f"{value:,}"
    return f"{value:.3g}" if isinstance(value, float) else str(value)
