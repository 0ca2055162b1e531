"""A recipe as sentences that name its source, optimizer, schedule, length, augmentation and precision."""

from collections.abc import Mapping

from residua.recipes import RECIPES
from residua.spec.amount import quantity
from residua.spec.augment import Augment
from residua.spec.recipe import Optim, Recipe, Schedule

SOURCES: Mapping[str, str] = {
    "he2015.cifar": "He et al. 2015, section 4.2",
    "he2015.imagenet": "He et al. 2015, section 3.4",
    "he2015.coco": "He et al. 2015, appendix A",
    "he2016.cifar": "He et al. 2016, appendix",
    "he2016.imagenet": "He et al. 2016, appendix",
    "duta2020.imagenet": "Duta et al. 2020, the authors' code",
}
"""Name of a recipe -> where it is published; others are ours."""
DECAYS: Mapping[str, str] = {
    "cosine": "follows half a cosine to zero",
    "linear": "falls linearly to zero",
    "constant": "stays constant",
    "plateau": "drops to a tenth whenever the test error has stopped falling",
}
"""Shape of a schedule -> what the learning rate does after the warm-up; `step` names its drops."""
NORMALIZATIONS: Mapping[str, str] = {
    "channel": "each channel is normalised by its mean and standard deviation",
    "pixel": "the mean of every pixel is subtracted, then each channel is divided by its standard deviation",
}
"""`data.subtract` -> how pixels are normalised."""
OPTIMIZERS: Mapping[str, str] = {"sgd": "SGD", "adamw": "AdamW", "lamb": "LAMB", "muon": "Muon"}
"""`optim.kind` -> the name of the optimizer."""


def sentences(recipe: Recipe) -> tuple[str, ...]:
    """One sentence each on the source, optimizer, learning rate, length, images and precision."""
    optim, budget, plan = recipe.optim, recipe.budget, recipe.plan
    source = SOURCES.get(recipe.name, "ours, not from a paper")
    noun = "clips" if recipe.arch.clip else "images"
    length = quantity(budget.steps, "step") if budget.steps else quantity(budget.epochs, "epoch")
    decayed = (
        "all weights" if optim.decay_norms_and_biases else "the weights of convolutions and linear layers"
    )
    precision = f"Precision: {plan.precision}, on {plan.device}, with {quantity(plan.threads, 'thread')}."
    named = (f"The recipe is {recipe.name} ({source}).", *_start(recipe))
    if recipe.probe == "only":
        return (*named, precision)
    return (
        *named,
        f"Optimizer: {_optimizer(optim)}, weight decay {optim.weight_decay:g} on {decayed}.",
        f"The learning rate {_learning_rate(optim.lr, recipe.schedule)}.",
        f"Training takes {length} with batch size {budget.batch_size}.",
        f"Training {noun} are {_augmentation(recipe.augment)}; {NORMALIZATIONS[recipe.data.subtract]}.",
        precision,
    )


def recipe_docstring(recipe: Recipe) -> str:
    """The docstring of the recipe's function on one line; empty for a recipe without one.

    It names the source and the differences from the paper.
    """
    name = recipe.name.removesuffix(" (ours)")
    return " ".join((RECIPES[name].__doc__ or "").split()) if name in RECIPES else ""


def _start(recipe: Recipe) -> tuple[str, ...]:
    """Where pretrained weights, a probe and held-out images come in; none for a run from scratch."""
    parts = []
    if recipe.weights:
        parts.append(f"It begins from the weights {recipe.weights.partition('@sha256:')[0]}.")
    if recipe.probe != "off":
        rest = "no other layer is trained" if recipe.probe == "only" else "then all layers are trained"
        fit = "a regularized logistic regression on the features of the frozen network"
        parts.append(f"The last layer begins as {fit}; {rest}.")
    if share := recipe.data.inner_val_fraction:
        held_out = f"{100 * share:g} % of each class of the training images"
        parts.append(f"{held_out} is not trained on: its error chooses the weights that are kept.")
    if recipe.data.balance == "weights":
        parts.append("Each loss is weighted by the inverse size of its class.")
    return tuple(parts)


def _optimizer(optim: Optim) -> str:
    if optim.kind == "sgd":
        kind = "Nesterov momentum" if optim.nesterov else "momentum"
        return f"SGD with {kind} {optim.momentum:g}"
    if optim.kind == "muon":
        return f"{OPTIMIZERS[optim.kind]} with momentum {optim.momentum:g}"
    return f"{OPTIMIZERS[optim.kind]} with betas {optim.momentum:g} and {optim.beta2:g}"


def _learning_rate(lr: float, schedule: Schedule) -> str:
    if schedule.shape == "step":
        decay = (
            f"drops to a tenth after {_join([f'{100 * drop:.3g} %' for drop in schedule.drops])} of the steps"
        )
    else:
        decay = DECAYS[schedule.shape]
    return f"is {lr:g}{_warm_up(lr, schedule)} and {decay}"


def _warm_up(lr: float, schedule: Schedule) -> str:
    first = lr * schedule.warmup_lr_factor
    if schedule.warmup_error:
        end = f"the training error of an epoch is below {schedule.warmup_error:g} %"
        return f", after a warm-up at {first:g} until {end},"
    if not schedule.warmup:
        return ""
    how = f"at {first:g}" if schedule.flat_warmup else f"from {first:g}"
    return f", after a warm-up {how} in the first {100 * schedule.warmup:.3g} % of the steps,"


def _augmentation(augment: Augment) -> str:
    changes = {
        "pad_crop": (f"padded by {quantity(augment.pad, 'pixel')}", "cropped at random"),
        "resized_crop": ("cropped to a random area", "resized"),
        "scale_crop": ("resized to a shorter side of {} to {} pixels".format(*augment.sides), "cropped"),
        "ssd": (f"zoomed out up to {augment.zoom:g} times", "cropped to overlap boxes", "changed in colour"),
        "none": ("not cropped",),
    }[augment.kind]
    colour = ("shifted in colour",) if augment.colour else ()
    flip = f"flipped with probability {augment.flip:g}" if augment.flip else "not flipped"
    return _join([*changes, *colour, flip])


def _join(parts: list[str]) -> str:
    """`a`, `a and b`, or `a, b and c`."""
    return " and ".join(filter(None, (", ".join(parts[:-1]), parts[-1])))
