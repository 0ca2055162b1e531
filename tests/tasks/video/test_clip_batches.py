"""Batches of clips: the same from any number of processes, and one crop for all frames of a clip."""

import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

import clip_data
import small
from residua.data.batch_augmentation import BatchAugmentation, augment_batch
from residua.data.batches import Batch
from residua.data.images import Images
from residua.data.items import Files
from residua.data.open import open_dataset
from residua.data.transforms import train_clip_view, train_view
from residua.data.video.clips import CLIP, ClipFrames
from residua.data.video.frame_cache import open_cache
from residua.errors import DataError
from residua.spec.augment import Augment
from residua.spec.clip import Clip
from residua.spec.inflate import inflate
from residua.spec.preprocess import Preprocess
from residua.spec.recipe import Recipe
from residua.tasks.video import batches
from residua.tasks.video.batches import ClipView, training_batches

PIXELS = Preprocess(24, 32, (0.5,) * 3, (0.5,) * 3)
CPU = torch.device("cpu")


def recipe(clip: Clip, augment: Augment, *, batch: int = 4) -> Recipe:
    recipe_ = small.recipe(augment=augment)
    arch = inflate(replace(recipe_.arch, preprocess=PIXELS), clip)
    return replace(recipe_, arch=arch, budget=replace(recipe_.budget, batch_size=batch))


def clip_images(frames: np.ndarray) -> Images:
    """Clips (N, T, S, S, C) in an array."""
    n, t, side = frames.shape[:3]
    pixels = frames.reshape(n, t * side, side, -1)
    return Images("train", ("a", "b"), np.arange(n) % 2, pixels=pixels, media_type=CLIP)


def collect(
    footage: ClipFrames, recipe_: Recipe, *, workers: int = 0, first: int = 0, steps: int = 6
) -> list[Batch]:
    return list(training_batches(footage, recipe_, first=first, steps=steps, workers=workers, device=CPU))


@pytest.fixture
def footage(folder: Callable[..., Path]) -> ClipFrames:
    dataset = open_dataset(f"video:{folder(left=5, right=5)}", val_fraction=0.2, holds="clips")
    return ClipFrames(dataset.train, PIXELS)


def test_batches_do_not_depend_on_workers_nor_on_where_a_run_was_interrupted(footage: ClipFrames) -> None:
    recipe_ = recipe(Clip(3, 2), Augment("resized_crop"))
    alone = collect(footage, recipe_)
    assert alone[0].images.shape == (4, 3, 3, 24, 24)
    assert alone[0].images.dtype == torch.uint8
    for other in (collect(footage, recipe_, workers=1), collect(footage, recipe_, workers=4)):
        for one, two in zip(alone, other, strict=True):
            assert torch.equal(one.images, two.images)
            assert torch.equal(one.labels, two.labels)
    later = collect(footage, recipe_, first=4)
    assert torch.equal(later[0].images, alone[4].images)
    assert not torch.equal(alone[0].images, alone[2].images), "another epoch, other crops"


def test_two_processes_share_what_one_would_see(footage: ClipFrames) -> None:
    recipe_ = recipe(Clip(2, 1), Augment("pad_crop", pad=1))
    whole = collect(footage, recipe_, steps=2)
    halves = [
        list(training_batches(footage, recipe_, first=0, steps=2, workers=0, rank=rank, world=2, device=CPU))
        for rank in (0, 1)
    ]
    for step in range(2):
        assert torch.equal(halves[0][step].images, whole[step].images[0::2])
        assert torch.equal(halves[1][step].images, whole[step].images[1::2])


@pytest.mark.parametrize(
    "augment",
    [Augment("resized_crop"), Augment("pad_crop"), Augment("scale_crop", sides=(24, 40)),
     Augment("resized_crop", policy="rand")],
    ids=["resized", "padded", "scaled", "rand"],
)  # fmt: skip
def test_all_frames_of_a_clip_get_one_crop_and_one_mirror(augment: Augment) -> None:
    still = np.random.default_rng(0).integers(0, 256, (8, 1, 32, 32, 3), dtype=np.uint8)
    images = clip_images(np.repeat(still, 5, 1))
    for batch in collect(ClipFrames(images, PIXELS), recipe(Clip(4, 1), augment), steps=4):
        assert torch.equal(batch.images, batch.images[:, :, :1].expand_as(batch.images))
    assert len({image.numpy().tobytes() for image in batch.images}) == 4


@pytest.mark.parametrize("channels", [1, 3])
def test_frames_cut_together_equal_frames_cut_one_by_one(channels: int) -> None:
    frames = np.random.default_rng(0).integers(0, 256, (5, 32, 43, channels), dtype=np.uint8)
    augment = Augment("resized_crop", area=(0.3, 1.0))
    for index in range(8):  # mirrored ones among them
        where = (0, 1, index)
        images = [Image.fromarray(f[:, :, 0] if channels == 1 else f) for f in frames]
        one_by_one = np.stack([train_view(image, PIXELS, augment, *where) for image in images])
        assert np.array_equal(train_clip_view(frames, PIXELS, augment, *where), one_by_one)


def test_frames_are_those_that_were_chosen() -> None:
    levels = np.arange(20, dtype=np.uint8)[None, :, None, None, None]
    images = clip_images(np.broadcast_to(levels, (4, 20, 24, 24, 3)).copy())
    recipe_ = recipe(Clip(3, 4), Augment("none", flip=0.0))
    for batch in collect(ClipFrames(images, PIXELS), recipe_, steps=8):
        frames = batch.images[:, 0, :, 5, 5].int()
        assert (frames.diff(dim=1) == 4).all()
    (test,) = batches.evaluation_batches(ClipFrames(images, PIXELS), recipe_.arch, batch_size=4, workers=0)
    assert test.images[0, 0, :, 0, 0].tolist() == [6, 10, 14], "the middle"


def test_views_come_in_order_and_cut_squares_along_the_longer_side() -> None:
    wide = np.broadcast_to(np.arange(64, dtype=np.uint8)[None, None, :, None], (6, 32, 64, 3))

    class Wide(ClipFrames):
        def frames(self, i, choose):  # type: ignore[no-untyped-def]
            return np.ascontiguousarray(wide[choose(6)])

    images = clip_images(np.zeros((2, 1, 32, 32, 3), np.uint8))
    arch = recipe(Clip(2, 1), Augment("none")).arch
    views = tuple(ClipView(position, crop) for position in (0.0, 1.0) for crop in ("first", "middle", "last"))
    (batch,) = batches.evaluation_batches(Wide(images, PIXELS), arch, batch_size=2, workers=0, views=views)
    assert batch.images.shape == (12, 3, 2, 24, 24)
    assert batch.images[:6, 0, 0, 0, 0].tolist() == [0, 20, 40] * 2
    assert batch.images[:6, 0, 0, 0, -1].tolist() == [23, 43, 63] * 2


def test_a_clip_that_cannot_be_decoded_is_named(footage: ClipFrames, tmp_path: Path) -> None:
    file = tmp_path / "clips" / footage.images.title(0)
    file.write_bytes(file.read_bytes()[:200])
    recipe_ = recipe(Clip(2, 1), Augment("none"), batch=8)
    for workers in (0, 1):
        with pytest.raises(DataError, match=str(file)):
            collect(footage, recipe_, workers=workers, steps=1)


def test_what_is_done_to_a_batch_is_done_to_every_frame() -> None:
    clips = torch.rand(2, 3, 4, 8, 8)
    shift = torch.tensor([[0.1, 0.2, 0.3], [0.0, 0.0, 1.0]])
    boxes = torch.tensor([[[1, 2, 4, 6], [0, 0, 0, 0]]])
    augmented = augment_batch(clips.clone(), BatchAugmentation(shift, boxes))
    for t in range(4):
        assert torch.equal(
            augmented[:, :, t], augment_batch(clips[:, :, t].clone(), BatchAugmentation(shift, boxes))
        )


@pytest.fixture
def files(tmp_path: Path) -> Images:
    names = [f"{i}.mp4" for i in range(4)]
    for i, name in enumerate(names):
        clip_data.write(tmp_path / name, clip_data.numbered(10, seed=i))
    return Images("train", ("a", "b"), np.arange(4) % 2, files=Files.of(tmp_path, names), media_type=CLIP)


def test_a_cache_changes_nothing_but_what_is_decoded(files: Images, tmp_path: Path) -> None:
    recipe_ = recipe(Clip(3, 2), Augment("resized_crop"), batch=2)
    cache = open_cache(tmp_path / "cache", 1 << 30)
    plain, first, second = (
        collect(ClipFrames(files, PIXELS, cache_), recipe_, workers=workers)
        for cache_, workers in ((None, 0), (cache, 2), (cache, 0))
    )
    for one, two, three in zip(plain, first, second, strict=True):
        assert torch.equal(one.images, two.images)
        assert torch.equal(one.images, three.images)
    assert len(list((tmp_path / "cache").glob("*.npy"))) == 4
    for i in range(4):  # the files are undecodable now: batches come from the cache
        file, state = tmp_path / f"{i}.mp4", (tmp_path / f"{i}.mp4").stat()
        file.write_bytes(bytes(state.st_size))
        os.utime(file, ns=(state.st_atime_ns, state.st_mtime_ns))
    again = collect(ClipFrames(files, PIXELS, cache), recipe_)
    assert all(torch.equal(one.images, two.images) for one, two in zip(plain, again, strict=True))
