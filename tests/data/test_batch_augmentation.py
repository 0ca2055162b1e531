"""Colour shifts, erased boxes, mixup and cutmix, compared with torchvision and under changed keys."""

import numpy as np
import pytest
import torch
from torch.nn.functional import one_hot
from torchvision.transforms import v2

from residua.data.batch_augmentation import (
    PRINCIPAL_AXES,
    PRINCIPAL_DEVIATIONS,
    BatchAugmentation,
    Mix,
    augment_batch,
    draw_batch_augmentation,
)
from residua.errors import ConfigError
from residua.spec.augment import Augment
from residua.spec.preprocess import Preprocess

RGB = Preprocess(12, 12, (0.5, 0.5, 0.5), (0.25, 0.2, 0.5))
MANY = np.arange(4000)


def draw(
    augment: Augment, *, step: int = 0, epoch: int = 0, indices: np.ndarray = MANY, size: int = 12
) -> BatchAugmentation:
    augmentation = draw_batch_augmentation(
        augment, RGB, seed=3, step=step, epoch=epoch, indices=indices, size=size
    )
    assert augmentation is not None
    return augmentation


def pictures(count: int = 5) -> torch.Tensor:
    return torch.randn(count, 3, 12, 12, generator=torch.Generator().manual_seed(0))


def test_without_augmentation_a_batch_stays_as_it_is() -> None:
    assert draw_batch_augmentation(Augment(), RGB, seed=0, step=0, epoch=0, indices=MANY, size=12) is None
    assert torch.equal(augment_batch(pictures(), None), pictures())


@pytest.mark.parametrize("weight", [0.0, 0.3, 1.0])
def test_mixup_equals_torchvisions(weight: float) -> None:
    labels = torch.tensor([0, 1, 2, 0, 1])
    theirs = v2.MixUp(num_classes=3)
    params = {"lam": weight, "labels": labels, "batch_size": 5}
    assert torch.allclose(
        augment_batch(pictures(), BatchAugmentation(mix=Mix(weight, None))),
        theirs.transform(pictures(), params),
    )
    soft = weight * one_hot(labels, 3) + (1 - weight) * one_hot(labels.roll(1, 0), 3)
    assert torch.allclose(soft.float(), theirs.transform(labels, params))


def test_cutmix_equals_torchvisions() -> None:
    box = (2, 5, 9, 11)
    params = {"box": box, "lam_adjusted": 0.7, "labels": torch.arange(5), "batch_size": 5}
    ours = augment_batch(pictures(), BatchAugmentation(mix=Mix(0.7, box)))
    assert torch.equal(ours, v2.CutMix(num_classes=5).transform(pictures(), params))


def test_mixup_weights_follow_the_beta_distribution() -> None:
    weights = [draw(Augment(mixup=0.2), step=step).mix.own_weight for step in range(3000)]  # type: ignore[union-attr]
    assert np.mean(weights) == pytest.approx(0.5, abs=0.03)
    assert np.var(weights) == pytest.approx(1 / (4 * (2 * 0.2 + 1)), rel=0.05)  # the variance of Beta(a, a)


def test_the_weight_of_cutmix_is_the_remaining_area() -> None:
    for step in range(200):
        mix = draw(Augment(cutmix=1.0), step=step, size=32).mix
        assert mix is not None
        assert mix.box is not None
        left, top, right, bottom = mix.box
        assert 0 <= left <= right <= 32
        assert 0 <= top <= bottom <= 32
        assert mix.own_weight == pytest.approx(1 - (right - left) * (bottom - top) / 32**2)


def test_with_mixup_and_cutmix_each_takes_half_of_the_mixed_batches() -> None:
    augmentations = [
        draw_batch_augmentation(
            Augment(mixup=1.0, cutmix=1.0, mix_share=0.5), RGB, seed=0, step=s, epoch=0, indices=MANY, size=12
        )
        for s in range(1000)
    ]
    is_mixup = [None if f is None or f.mix is None else f.mix.box is None for f in augmentations]
    assert is_mixup.count(None) == pytest.approx(500, abs=60)
    assert is_mixup.count(True) == pytest.approx(250, abs=60)


def test_the_mix_depends_on_seed_and_step_alone() -> None:
    augment = Augment(mixup=1.0)
    assert draw(augment, step=7, epoch=0).mix == draw(augment, step=7, epoch=3, indices=MANY[:5]).mix
    assert draw(augment, step=7).mix != draw(augment, step=8).mix


def test_colours_and_boxes_depend_on_seed_epoch_and_index_alone() -> None:
    augment = Augment(colour=0.1, erase=0.5, cutout=4)
    whole = draw(augment, epoch=2)
    some = draw(augment, step=99, epoch=2, indices=MANY[10:20])
    assert whole.shift is not None
    assert some.shift is not None
    assert whole.boxes is not None
    assert some.boxes is not None
    assert torch.equal(whole.shift[10:20], some.shift)
    assert torch.equal(whole.boxes[:, 10:20], some.boxes)
    other = draw(augment, epoch=3)
    assert other.shift is not None
    assert not torch.equal(whole.shift, other.shift)


def test_colours_shift_along_the_principal_axes_by_normal_draws() -> None:
    shift = draw(Augment(colour=0.1), indices=np.arange(50_000)).shift
    assert shift is not None
    pixels = shift.numpy() * np.array(RGB.std)  # on a scale from 0 to 1
    axes, deviations = np.array(PRINCIPAL_AXES), np.array(PRINCIPAL_DEVIATIONS)
    expected = axes @ np.diag((0.1 * deviations) ** 2) @ axes.T
    assert np.allclose(np.cov(pixels.T), expected, atol=2e-5)
    assert np.allclose(pixels.mean(0), 0, atol=1e-3)
    assert np.allclose(axes.T @ axes, np.eye(3), atol=1e-3)


def test_grey_images_have_no_colours_to_shift() -> None:
    grey = Preprocess(12, 12, (0.5,), (0.5,), "grey")
    with pytest.raises(ConfigError, match="grey images"):
        draw_batch_augmentation(Augment(colour=0.1), grey, seed=0, step=0, epoch=0, indices=MANY, size=12)


def test_erased_boxes_have_torchvisions_probability_areas_and_aspects() -> None:
    size = 64
    boxes = draw(Augment(erase=0.25), size=size).boxes
    assert boxes is not None
    top, left, bottom, right = boxes[0].T.double()
    is_erased = bottom > top
    assert is_erased.double().mean() == pytest.approx(0.25, abs=0.02)
    height, width = (bottom - top)[is_erased], (right - left)[is_erased]
    assert ((height * width) / size**2).mean() == pytest.approx((0.02 + 0.33) / 2, rel=0.06)
    assert (height / width).log().mean() == pytest.approx((np.log(0.3) + np.log(3.3)) / 2, abs=0.06)
    assert (top[is_erased] / (size - height)).mean() == pytest.approx(0.5, abs=0.04)


def test_a_cutout_square_is_clipped_at_the_border() -> None:
    boxes = draw(Augment(cutout=6)).boxes
    assert boxes is not None
    sides = boxes[0, :, 2] - boxes[0, :, 0]
    assert {int(side) for side in sides.unique()} == {3, 4, 5, 6}
    assert int(boxes.min()) == 0
    assert int(boxes.max()) == 12


def test_pixels_in_a_box_become_the_mean_colour() -> None:
    boxes = torch.tensor([[[1, 2, 4, 8], [0, 0, 0, 0]], [[5, 5, 6, 6], [0, 0, 12, 1]]])
    ours = augment_batch(pictures(2), BatchAugmentation(boxes=boxes))
    expected = pictures(2)
    expected[0, :, 1:4, 2:8] = 0
    expected[0, :, 5, 5] = 0
    expected[1, :, :, 0] = 0
    assert torch.equal(ours, expected)


def test_colours_come_before_boxes_and_boxes_before_the_mix() -> None:
    shift = torch.tensor([[1.0, 2.0, 3.0]] * 2)
    boxes = torch.tensor([[[0, 0, 12, 12], [0, 0, 0, 0]]])
    ours = augment_batch(pictures(2), BatchAugmentation(shift, boxes, Mix(0.5, None)))
    second = pictures(2)[1] + shift[1][:, None, None]
    assert torch.allclose(ours[0], second / 2)
    assert torch.allclose(ours[1], second / 2)


def test_a_selected_augmentation_is_that_of_its_images() -> None:
    whole = draw(Augment(colour=0.1, cutout=4), indices=MANY[:6])
    images = pictures(6)
    parts = [augment_batch(images[cut].clone(), whole.select(cut)) for cut in (slice(0, 4), slice(4, 6))]
    assert torch.equal(torch.cat(parts), augment_batch(images.clone(), whole))
