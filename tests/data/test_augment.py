"""Augmentations are pure functions of their keys: workers, order and interruptions do not change them."""

from collections.abc import Iterator
from dataclasses import replace
from itertools import islice

import numpy as np
import pytest
import torch
from pictures import photograph

from residua.data import transforms
from residua.data.batches import Batch, training_batches
from residua.data.images import Images
from residua.data.resident import ResidentImages
from residua.data.sampler import balanced
from residua.errors import ConfigError
from residua.spec.augment import Augment
from residua.spec.preprocess import Preprocess

SMALL = Preprocess(16, 20, (0.5, 0.4, 0.3), (0.2, 0.3, 0.4))
EXACT = Preprocess(12, 12, (0.5, 0.4, 0.3), (0.2, 0.3, 0.4))
EVERYTHING = Augment(
    "resized_crop",
    policy="rand",
    colour=0.1,
    erase=0.5,
    cutout=3,
    mixup=0.2,
    cutmix=1.0,
    grow=(0.5, 1.0),
)


def stream(
    images: Images, augment: Augment, *, workers: int, first: int = 0, big: bool = True
) -> Iterator[Batch]:
    return training_batches(
        images,
        replace(SMALL, size=32, resize=32) if big else SMALL,
        augment,
        seed=5,
        batch_size=4,
        first=first,
        steps=12,
        workers=workers,
        resident_bytes=0,
        device=torch.device("cpu"),
    )


def assert_equal(one: Batch, other: Batch) -> None:
    assert torch.equal(one.images, other.images)
    assert torch.equal(one.labels, other.labels)
    assert (one.augmentation is None) == (other.augmentation is None)
    if one.augmentation and other.augmentation:
        assert one.augmentation.mix == other.augmentation.mix
        for mine, theirs in (
            (one.augmentation.shift, other.augmentation.shift),
            (one.augmentation.boxes, other.augmentation.boxes),
        ):
            assert mine is not None
            assert theirs is not None
            assert torch.equal(mine, theirs)


@pytest.mark.parametrize("workers", [1, 2])
@pytest.mark.parametrize(
    "augment",
    [
        EVERYTHING,
        replace(EVERYTHING, policy="trivial"),
        replace(EVERYTHING, kind="scale_crop", grow=(1.0, 0.0)),
    ],
    ids=["rand", "trivial", "scales"],
)
def test_workers_change_nothing(workers: int, augment: Augment, files: Images) -> None:
    augment = replace(augment, sides=(33, 48))
    alone = list(stream(files, augment, workers=0))
    for one, other in zip(alone, stream(files, augment, workers=workers), strict=True):
        assert_equal(one, other)


def test_a_later_first_step_changes_nothing(files: Images) -> None:
    whole = list(stream(files, EVERYTHING, workers=0))
    for one, other in zip(whole[5:], stream(files, EVERYTHING, workers=2, first=5), strict=True):
        assert_equal(one, other)
    assert not torch.equal(whole[0].images[0], whole[4].images[0])


@pytest.mark.parametrize("policy", ["rand", "trivial"])
def test_a_policy_neither_uses_nor_changes_the_global_generator(policy: str) -> None:
    augment = Augment("none", flip=0.0, policy=policy)  # type: ignore[arg-type]
    image = photograph(40, 40)
    torch.manual_seed(1)
    state = torch.get_rng_state()
    first = transforms.train_view(image, SMALL, augment, 0, 0, 0)
    assert torch.equal(torch.get_rng_state(), state)
    torch.manual_seed(2)
    assert np.array_equal(transforms.train_view(image, SMALL, augment, 0, 0, 0), first)
    others = [transforms.train_view(image, SMALL, augment, 0, epoch, 0) for epoch in range(8)]
    assert len({other.tobytes() for other in others}) > 4


def test_a_policy_equals_torchvisions_with_the_seed_of_the_view() -> None:
    from torchvision.transforms import v2

    from residua.data.sampler import POLICY, seed_for

    image = photograph(20, 20)
    ours = transforms.train_view(
        image, replace(SMALL, size=20), Augment("none", flip=0.0, policy="rand"), 4, 2, 9
    )
    torch.manual_seed(seed_for(4, 2, 9, POLICY))
    assert np.array_equal(ours.transpose(1, 2, 0), np.asarray(v2.RandAugment(2, 9)(image)))


def test_alternate_flips_every_image_every_other_epoch() -> None:
    augment = Augment(alternate=True)
    indices = np.arange(500)
    flips = np.stack([transforms.flip_mask(augment, 0, epoch, indices) for epoch in range(4)])
    assert (flips[0] != flips[1]).all()
    assert (flips[0] == flips[2]).all()
    assert 200 < flips[0].sum() < 300


def test_a_scale_crop_is_a_square_of_the_resized_image() -> None:
    image = photograph(90, 60)
    augment = Augment("scale_crop", flip=0.0, sides=(30, 30))
    view = transforms.train_view(image, SMALL, augment, 0, 0, 3).transpose(1, 2, 0)
    scaled = np.asarray(image.resize((45, 30), transforms.Image.Resampling.BILINEAR))
    places = [
        (y, x) for y in range(15) for x in range(30) if np.array_equal(scaled[y : y + 16, x : x + 16], view)
    ]
    assert len(places) == 1


def test_a_scale_crop_reaches_every_scale_and_place() -> None:
    image = photograph(64, 64)
    augment = Augment("scale_crop", flip=0.0, sides=(16, 18))
    views = {transforms.train_view(image, SMALL, augment, 0, 0, i).tobytes() for i in range(300)}
    assert len(views) == 1 + 4 + 9  # a side of 16 has one place, 17 has 2 x 2, 18 has 3 x 3


@pytest.mark.parametrize("pad", [1, 4])
def test_a_reflected_border_is_the_same_from_memory_and_from_single_views(pad: int, arrays: Images) -> None:
    augment = Augment("pad_crop", pad=pad, border="reflect")
    batch = ResidentImages(arrays, EXACT).train_batch(np.arange(23), augment, 1, 2)
    for index in range(23):
        expected = transforms.train_view(arrays.image(index, "rgb"), EXACT, augment, 1, 2, index)
        assert np.array_equal(batch[index], expected)


def test_crops_grow_by_whole_steps_to_the_full_size() -> None:
    augment = Augment("resized_crop", grow=(0.5, 0.5))
    sizes = [transforms.crop_size_at(augment, 224, epoch, 20) for epoch in range(20)]
    assert sizes[0] == 112
    assert sizes[10:] == [224] * 10
    assert sizes == sorted(sizes)
    assert all(size % 16 == 0 for size in sizes)
    assert transforms.crop_size_at(augment, 12, 0, 20) == 12
    assert transforms.crop_size_at(Augment("resized_crop"), 224, 0, 20) == 224


def test_balanced_orders_show_every_class_equally_often_and_repeat_evenly() -> None:
    labels = np.array([0] * 70 + [2] * 25 + [3] * 5)
    order = balanced(0, 1, labels)
    counts = np.bincount(labels[order], minlength=4)
    assert counts.tolist() == [34, 0, 33, 33]
    for label, most in ((0, 1), (2, 2), (3, 7)):
        times = np.bincount(order, minlength=100)[labels == label]
        assert times.max() == most
        assert label == 0 or times.max() - times.min() <= 1
    assert np.array_equal(order, balanced(0, 1, labels))
    assert not np.array_equal(order, balanced(0, 2, labels))
    triples = {tuple(labels[order][start : start + 3].tolist()) for start in range(0, 99, 3)}
    assert len(triples) > 9  # the classes are shuffled: neither in blocks nor in turns
    visited = np.concatenate([balanced(0, epoch, labels) for epoch in range(20)])
    assert len(np.unique(visited)) == 100  # images of a large class take turns


def test_balanced_batches_come_from_balanced_orders(arrays: Images) -> None:
    few = arrays.subset(np.array([0, 2, 4, 6, 8, 10, 12, 14, 1]))
    batches = training_batches(
        few,
        EXACT,
        Augment("none"),
        seed=0,
        batch_size=8,
        first=0,
        steps=4,
        workers=0,
        resident_bytes=1 << 20,
        balance_classes=True,
        device=torch.device("cpu"),
    )
    assert [int(batch.labels.sum()) in (3, 4) for batch in islice(batches, 4)] == [True] * 4


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"erase": 1.5}, "from 0 to 1"),
        ({"mixup": -1.0}, r"mixup.* -1\.0: give 0\b"),
        ({"sides": (480, 256)}, "pixels"),
        ({"grow": (0.5, 0.5)}, "resized_crop"),
    ],
)
def test_impossible_settings_are_refused(changes: dict[str, object], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        Augment(**changes)  # type: ignore[arg-type]
