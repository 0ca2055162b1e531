"""A recipe as sentences that a reader of the papers understands, with the section it comes from."""

from collections.abc import Mapping

from residua.recipes import RECIPES
from residua.spec.recipe import Optim, Recipe, Schedule

SOURCES: Mapping[str, str] = {
    "he2015.cifar": "He et al. 2015, section 4.2",
    "he2015.imagenet": "He et al. 2015, section 3.4",
    "he2015.coco": "He et al. 2015, appendix A",
    "he2016.cifar": "He et al. 2016, appendix",
    "he2016.imagenet": "He et al. 2016, appendix",
    "duta2020.imagenet": "Duta et al. 2020, the authors' code",
}
"""Name of a recipe -> where it is written; others are ours."""
SHAPES: Mapping[str, str] = {
    "cosine": "falls along half a cosine",
    "linear": "falls along a straight line",
    "constant": "stays as it is",
    "plateau": "falls to a tenth whenever the test error has stopped falling",
}
"""Shape of a schedule -> what the rate does; `step` says where."""

SUBTRACTED: Mapping[str, str] = {
    "channel": "pixels are standardised per channel",
    "pixel": "the mean of every pixel is subtracted, and what is left is divided by its channel's deviation",
}
"""What is subtracted -> what happens to pixels last."""


def sentences(recipe: Recipe) -> tuple[str, ...]:
    """What is done, one sentence each: source, updates, rate, length, images, arithmetic."""
    optim, augment, budget, plan = recipe.optim, recipe.augment, recipe.budget, recipe.plan
    source = SOURCES.get(recipe.name, "ours, no paper's")
    noun = "clips" if recipe.arch.clip else "images"
    length = f"{budget.steps:,} updates" if budget.steps else f"{budget.epochs} passes over the {noun}"
    changed = {
        "pad_crop": f"padded by {augment.pad} pixels and cropped at random",
        "resized_crop": "cropped to a random area and resized",
        "scale_crop": "resized to a shorter side of {} to {} pixels and cropped".format(*augment.sides),
        "ssd": f"zoomed out up to {augment.zoom:g} times, cropped to overlap boxes and changed in colour",
        "none": "shown as they are",
    }[augment.kind]
    tinted = ", shifted in colour" if augment.colour else ""
    mirrored = (
        f"{tinted}, and mirrored with a chance of {augment.flip:g}"
        if augment.flip
        else f"{tinted}, never mirrored"
    )
    return (
        f"The recipe is {recipe.name} ({source}).",
        f"{_rule(optim)} and a weight decay of {optim.weight_decay:g} on "
        f"{'all weights' if optim.decay_norms_and_biases else 'convolutions and linear layers'}.",
        f"The rate is {optim.lr:g}{_warm_up(recipe.schedule)}; it {_fall(recipe.schedule)}.",
        f"{length[0].upper()}{length[1:]} in batches of {budget.batch_size}.",
        f"Training {noun} are {changed}{mirrored}; {SUBTRACTED[recipe.data.subtract]}.",
        f"The arithmetic is {plan.precision} on {plan.device}, with {plan.threads} thread"
        f"{'' if plan.threads == 1 else 's'}.",
    )


def _rule(optim: Optim) -> str:
    """How gradients move weights."""
    if optim.kind == "sgd":
        look = ", looking ahead (Nesterov)" if optim.nesterov else ""
        return f"Stochastic gradient descent with momentum {optim.momentum:g}{look}"
    name = {"adamw": "AdamW", "lamb": "LAMB", "muon": "Muon"}[optim.kind]
    betas = "" if optim.kind == "muon" else f" with betas {optim.momentum:g} and {optim.beta2:g}"
    return f"{name}{betas or f' with momentum {optim.momentum:g}'}"


def differs(recipe: Recipe) -> str:
    """What the recipe's own description says of itself and of its differences from the paper."""
    name = recipe.name.removesuffix(" (ours)")
    return " ".join((RECIPES[name].__doc__ or "").split()) if name in RECIPES else ""


def _warm_up(schedule: Schedule) -> str:
    if schedule.warmup_error:
        share, error = schedule.warmup_lr_factor, schedule.warmup_error
        return f", and stays at {share:g} of it until the training error of a pass is below {error:g} %"
    if not schedule.warmup:
        return ""
    start = f"{schedule.warmup_lr_factor:g} of it" if schedule.warmup_lr_factor else "zero"
    way = "stays at" if schedule.flat_warmup else "climbs from"
    return f", and {way} {start} for the first {100 * schedule.warmup:.3g} % of the updates"


def _fall(schedule: Schedule) -> str:
    if schedule.shape != "step":
        return SHAPES[schedule.shape]
    places = [f"{100 * drop:.3g} %" for drop in schedule.drops]
    return f"falls to a tenth after {', '.join(places)} of the updates"
