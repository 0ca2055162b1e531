"""Losses of networks with sides, of mixed batches and of unequal classes."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from torch.nn.functional import cross_entropy, one_hot

from residua.data.batch_augmentation import BatchAugmentation, Mix
from residua.data.batches import Batch
from residua.spec.recipe import Optim
from residua.training.losses import balanced_class_weights, make_loss_fn, recipe_loss_fn, weighted
from small import PIXELS, PLAN, colours, recipe

LOGITS = torch.tensor([[2.0, 1.0, 0.0], [0.0, 0.0, 3.0], [1.0, 1.5, 1.0], [0.0, 4.0, 0.0]])
SIDE = LOGITS.flip(1)
LABELS = torch.tensor([0, 1, 1, 2])


def batch(augmentation: BatchAugmentation | None = None) -> Batch:
    return Batch(torch.zeros(4, 3, 12, 12, dtype=torch.uint8), LABELS, np.arange(4), 0, augmentation)


def test_each_side_counts_its_share() -> None:
    loss, wrong = make_loss_fn(PIXELS, PLAN, 0.1, aux_weight=0.3)(lambda _: (LOGITS, SIDE, SIDE), batch())  # type: ignore[arg-type]
    own, other = (cross_entropy(logits, LABELS, label_smoothing=0.1) for logits in (LOGITS, SIDE))
    assert float(loss) == pytest.approx(float(own + 0.6 * other), rel=1e-6)
    assert int(wrong) == 2


@pytest.mark.parametrize("smoothing", [0.0, 0.1])
def test_a_mixed_batch_is_judged_by_soft_labels(smoothing: float) -> None:
    mixed = batch(BatchAugmentation(mix=Mix(0.3, None)))
    loss, _ = make_loss_fn(PIXELS, PLAN, smoothing)(lambda _: LOGITS, mixed)  # type: ignore[arg-type]
    soft = 0.3 * one_hot(LABELS, 3) + 0.7 * one_hot(LABELS.roll(1, 0), 3)
    assert float(loss) == pytest.approx(
        float(cross_entropy(LOGITS, soft, label_smoothing=smoothing)), rel=1e-6
    )
    logits = LOGITS[[1, 0, 2, 3]]  # classes 2, 0, 1, 1: those of the images before
    for own_weight, count in ((0.3, 0), (0.7, 3)):
        mixed = batch(BatchAugmentation(mix=Mix(own_weight, None)))
        _, wrong = make_loss_fn(PIXELS, PLAN, smoothing)(lambda _: logits, mixed)  # type: ignore[arg-type]
        assert int(wrong) == count


def test_a_weight_multiplies_the_gradient_and_not_the_loss() -> None:
    scale = torch.tensor(2.0, requires_grad=True)
    loss, wrong = weighted(lambda *_: (3 * scale, torch.tensor(1)), 0.25)(torch.nn.Identity(), batch())
    torch.autograd.backward(loss)
    assert (loss.item(), int(wrong)) == (6.0, 1)
    assert scale.grad == 0.75


def test_weights_let_every_class_count_the_same() -> None:
    labels = np.array([0] * 6 + [1] * 3 + [3])
    result = balanced_class_weights(labels, 4)
    assert result.tolist() == pytest.approx([10 / 18, 10 / 9, 0, 10 / 3])
    assert float(result[torch.from_numpy(labels)].mean()) == pytest.approx(1)


def test_a_recipe_decides_smoothing_sides_and_weights() -> None:
    images = colours().train
    images = images.subset(np.arange(20))
    run_recipe = recipe(optim=Optim(label_smoothing=0.2, aux_weight=0.5))
    plain = recipe_loss_fn(run_recipe, PLAN, images)(lambda _: (LOGITS, SIDE), batch())  # type: ignore[arg-type]
    expected = make_loss_fn(PIXELS, PLAN, 0.2, aux_weight=0.5)(lambda _: (LOGITS, SIDE), batch())  # type: ignore[arg-type]
    assert float(plain[0]) == float(expected[0])
    balanced = replace(run_recipe, data=replace(run_recipe.data, balance="weights"))
    other = recipe_loss_fn(balanced, PLAN, images)(lambda _: (LOGITS, SIDE), batch())  # type: ignore[arg-type]
    weights = balanced_class_weights(images.labels, 3)
    by_hand = [
        cross_entropy(logits, LABELS, weight=weights, label_smoothing=0.2) for logits in (LOGITS, SIDE)
    ]
    assert float(other[0]) == pytest.approx(float(by_hand[0] + 0.5 * by_hand[1]), rel=1e-6)
