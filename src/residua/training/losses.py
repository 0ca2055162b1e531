"""What a network is asked to make small: cross-entropy in its variants, in the plan's arithmetic."""

from collections.abc import Callable

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from residua.data.batch_augmentation import Mix, augment_batch
from residua.data.batches import Batch
from residua.data.images import Images
from residua.data.transforms import normalise
from residua.nn.clips import layout
from residua.spec.preprocess import Preprocess
from residua.spec.recipe import Plan, Recipe

LossFn = Callable[[nn.Module, Batch], tuple[Tensor, Tensor]]


def make_loss_fn(
    preprocess: Preprocess,
    plan: Plan,
    smoothing: float,
    *,
    side: float = 0.3,
    weights: Tensor | None = None,
) -> LossFn:
    """(network, batch) -> (mean cross-entropy, number of wrong images), in the plan's arithmetic.

    A network that answers with several logits has auxiliary heads behind its first: each of their losses
    counts `side` (Szegedy et al. 2014, section 5). `weights` (classes,) weigh the images of each class. A
    mixed image is wrong when it is not taken for what most of it shows.
    """
    device = torch.device(plan.device)

    def entropy(logits: Tensor, labels: Tensor, mix: Mix | None) -> Tensor:
        def against(truth: Tensor) -> Tensor:
            exact = logits.to(torch.promote_types(logits.dtype, torch.float32))
            return cross_entropy(exact, truth, weight=weights, label_smoothing=smoothing)

        if mix is None:
            return against(labels)
        return mix.own_weight * against(labels) + (1 - mix.own_weight) * against(labels.roll(1, 0))

    def judge(network: nn.Module, batch: Batch) -> tuple[Tensor, Tensor]:
        labels = batch.labels.to(device, non_blocking=True)
        images = normalise(batch.images.to(device, non_blocking=True), preprocess)
        form = layout(plan.memory_format, images.ndim)
        images = augment_batch(images, batch.augmentation).contiguous(memory_format=form)
        with torch.autocast(device.type, torch.bfloat16, enabled=plan.precision == "bfloat16"):
            said = network(images)
        logits, *others = said if isinstance(said, tuple) else (said,)
        mix = batch.augmentation.mix if batch.augmentation else None
        loss = entropy(logits, labels, mix)
        for other in others:
            loss = loss + side * entropy(other, labels, mix)
        shown = labels.roll(1, 0) if mix and mix.own_weight < 0.5 else labels
        return loss, (logits.detach().argmax(1) != shown).sum()

    return judge


def recipe_loss_fn(recipe: Recipe, plan: Plan, images: Images) -> LossFn:
    """The objective of `recipe` on `images`, in the arithmetic of `plan`."""
    weights = None
    if recipe.data.balance == "weights":
        weights = class_weights(images.labels, len(images.classes)).to(plan.device)
    optim = recipe.optim
    return make_loss_fn(
        recipe.arch.preprocess, plan, optim.label_smoothing, side=optim.aux_weight, weights=weights
    )


def weighted(judge: LossFn, weight: float) -> LossFn:
    """`judge` with its gradient, but not its loss, times `weight`: what a process's share counts."""
    if weight == 1:
        return judge

    def shared(network: nn.Module, batch: Batch) -> tuple[Tensor, Tensor]:
        loss, wrong = judge(network, batch)
        return weight * loss + ((1 - weight) * loss).detach(), wrong

    return shared


def class_weights(labels: NDArray[np.int64], classes: int) -> Tensor:
    """(classes,) weights by which every class that has images counts the same, and an image 1 on average."""
    counts = np.bincount(labels, minlength=classes)
    present = np.count_nonzero(counts)
    weights = np.where(counts > 0, len(labels) / (present * np.maximum(counts, 1)), 0.0)
    return torch.from_numpy(weights.astype(np.float32))
