"""Loss functions: cross-entropy with label smoothing, class weights, mixed images and auxiliary heads."""

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
"""(network, batch) -> (mean loss, number of wrong images), both scalars on the device."""


def make_loss_fn(
    preprocess: Preprocess,
    plan: Plan,
    label_smoothing: float,
    *,
    aux_weight: float = 0.3,
    class_weights: Tensor | None = None,
) -> LossFn:
    """The cross-entropy of a batch, computed in the precision and memory format of `plan`.

    Args:
        preprocess: Normalises the images.
        plan: Device, precision and memory format.
        label_smoothing: Share of the target that is spread over all classes.
        aux_weight: Weight of the loss of each auxiliary head (Szegedy et al. 2014, section 5); a network with
            such heads returns several logits, its own first.
        class_weights: Weights (classes,) of the images of each class; None weights all alike. As in torch the
            loss is divided by the sum of the weights, so that they do less in small batches.

    Returns:
        (network, batch) -> (mean loss, number of wrong images). A mixed image is wrong unless it is
        classified as the image that has the larger share in it.
    """
    device = torch.device(plan.device)

    def mixed_cross_entropy(logits: Tensor, labels: Tensor, mix: Mix | None) -> Tensor:
        def loss_for(targets: Tensor) -> Tensor:
            exact = logits.to(torch.promote_types(logits.dtype, torch.float32))
            return cross_entropy(exact, targets, weight=class_weights, label_smoothing=label_smoothing)

        if mix is None:
            return loss_for(labels)
        return mix.own_weight * loss_for(labels) + (1 - mix.own_weight) * loss_for(labels.roll(1, 0))

    def loss_fn(network: nn.Module, batch: Batch) -> tuple[Tensor, Tensor]:
        labels = batch.labels.to(device, non_blocking=True)
        images = normalise(batch.images.to(device, non_blocking=True), preprocess)
        images = augment_batch(images, batch.augmentation).contiguous(
            memory_format=layout(plan.memory_format, images.ndim)
        )
        with torch.autocast(device.type, torch.bfloat16, enabled=plan.precision == "bfloat16"):
            output = network(images)
        logits, *aux_logits = output if isinstance(output, tuple) else (output,)
        mix = batch.augmentation.mix if batch.augmentation else None
        loss = mixed_cross_entropy(logits, labels, mix)
        for aux in aux_logits:
            loss = loss + aux_weight * mixed_cross_entropy(aux, labels, mix)
        targets = labels.roll(1, 0) if mix and mix.own_weight < 0.5 else labels
        return loss, (logits.detach().argmax(1) != targets).sum()

    return loss_fn


def recipe_loss_fn(recipe: Recipe, plan: Plan, images: Images) -> LossFn:
    """The loss function of `recipe` for the training images `images`, in the arithmetic of `plan`.

    Args:
        recipe: Gives label smoothing, the weight of auxiliary heads and whether classes are weighted.
        plan: Device, precision and memory format, without `auto`.
        images: The training split; where `data.balance` is `weights`, its labels give the class weights.

    Returns:
        (network, batch) -> (mean loss, number of wrong images), see `make_loss_fn`.
    """
    weights = None
    if recipe.data.balance == "weights":
        weights = balanced_class_weights(images.labels, len(images.classes)).to(plan.device)
    optim = recipe.optim
    return make_loss_fn(
        recipe.arch.preprocess,
        plan,
        optim.label_smoothing,
        aux_weight=optim.aux_weight,
        class_weights=weights,
    )


def weighted(loss_fn: LossFn, weight: float) -> LossFn:
    """`loss_fn` whose gradient, but not whose value, is multiplied by `weight`: the share of a process."""
    if weight == 1:
        return loss_fn

    def weighted_loss_fn(network: nn.Module, batch: Batch) -> tuple[Tensor, Tensor]:
        loss, num_wrong = loss_fn(network, batch)
        return weight * loss + ((1 - weight) * loss).detach(), num_wrong

    return weighted_loss_fn


def balanced_class_weights(labels: NDArray[np.int64], classes: int) -> Tensor:
    """Weights (classes,) that give every class with images the same influence, and an image 1 on average."""
    counts = np.bincount(labels, minlength=classes)
    present = np.count_nonzero(counts)
    weights = np.where(counts > 0, len(labels) / (present * np.maximum(counts, 1)), 0.0)
    return torch.from_numpy(weights.astype(np.float32))
