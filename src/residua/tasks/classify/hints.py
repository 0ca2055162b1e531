"""What would help a classifier most, in one line: before training by its data, after it by its errors."""

from collections.abc import Mapping

from residua.data.images import ImageDataset
from residua.spec.recipe import Recipe

FEW_PER_CLASS = 100
"""Photographs of a class below which networks learn little from scratch; our choice. ImageNet has 1,300."""
POOR_SHARE = 0.5
"""A result is poor if this share of the errors of guessing is left; our choice."""


def before(recipe: Recipe, dataset: ImageDataset, *, small: int) -> str:
    """What would help most, known before training; empty for nothing.

    Args:
        recipe: The resolved recipe.
        dataset: The opened images.
        small: Images up to this many pixels are small.
    """
    arch, count = recipe.arch, len(dataset.train)
    size, stride = arch.preprocess.size, arch.strides()[-1]
    if stride > size or (size <= small and arch.family in ("resnet", "plain")):
        shrinks = f"{arch.name} was designed for 224 px and shrinks {size} px {stride} times"
        return f"{shrinks}: networks for small images do better, e.g. -m cifar_resnet20"
    each = count // len(dataset.train.classes)
    if recipe.weights or dataset.size <= small or each >= FEW_PER_CLASS:
        return ""
    few = f"{count:,} photographs, {each} of a class, are few to train from scratch"
    return f"{few}: start from pretrained weights (--weights auto, or a file)"


def after(recipe: Recipe, row: Mapping[str, float]) -> str:
    """What would help most after the last epoch; empty for a result that is not poor.

    Args:
        recipe: The recipe of the run.
        row: The metrics of the epoch, errors in percent.
    """
    test, train = row.get("ema_test_error", row["test_error"]), row["train_error"]
    guessing = 100 * (1 - 1 / recipe.arch.classes)
    if test <= POOR_SHARE * guessing:
        return ""
    name = "held-out" if recipe.data.inner_val_fraction else "validation"
    errors = f"{test:.0f} % of the {name} examples are wrong ({guessing:.0f} % by guessing)"
    if train > POOR_SHARE * guessing:
        return f"{errors}, and {train:.0f} % in training: train longer, e.g. with --minutes"
    weights = "" if recipe.weights else ", or pretrained weights (--weights auto),"
    return f"{errors}, but {train:.0f} % in training: more examples{weights} would help, longer training not"
