"""Batches of clips: frames of a video as (C, T, S, S), the same from any number of worker processes."""

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor
from torch.utils.data import Dataset as TorchDataset

from residua.data.batch_augmentation import draw_batch_augmentation
from residua.data.batches import Batch
from residua.data.loader import BatchKey, BatchSampler, allocate_batch, load_batches, track_indices
from residua.data.resident import to_device
from residua.data.sampler import orders, share, steps_per_epoch
from residua.data.transforms import crop_size_at, eval_view, train_clip_view
from residua.data.video import frame_choice
from residua.data.video.clips import ClipFrames
from residua.spec.arch import Arch
from residua.spec.clip import Clip
from residua.spec.recipe import Recipe

CROPS = ("centre", "first", "middle", "last")
"""What is cut from a frame: its centre, or a square at the first, middle or last place of its longer side."""

_CPU = torch.device("cpu")
_View = NDArray[np.uint8]


@dataclass(frozen=True, slots=True)
class ClipView:
    """One way to look at a video in judging."""

    share: float = frame_choice.MIDDLE
    """When, from 0, its beginning, to 1, its end."""
    crop: str = "centre"
    """What of its frames: one of `CROPS`."""


MIDDLE_VIEW = ClipView()
"""One clip from the middle, cut from the centre."""


def clip_of(arch: Arch) -> Clip:
    """The frames that a network for clips reads."""
    assert arch.clip, f"{arch.name} reads images"
    return arch.clip


def training_batches(
    footage: ClipFrames,
    recipe: Recipe,
    *,
    first: int,
    steps: int,
    workers: int,
    rank: int = 0,
    world: int = 1,
    device: torch.device,
) -> Iterator[Batch]:
    """This process's share of the global steps `first` to `steps` - 1: random clips (n, C, T, S, S) uint8.

    Everything depends on the seed, the batch size and the step alone. Errors as in `data.batches.training_batches`.
    """
    images, batch, preprocess = footage.images, recipe.budget.batch_size, recipe.arch.preprocess
    order_of = orders(images.labels, balance_classes=recipe.data.balance == "sample")

    def place(step: int) -> BatchKey:
        return share(
            recipe.seed, step, count=len(images), batch_size=batch, rank=rank, world=world, order_of=order_of
        )

    places = BatchSampler(place, range(first, steps))
    views = _Random(footage, recipe, -(-steps // steps_per_epoch(len(images), batch)))
    read = load_batches(views, places, workers=workers, device=device, title=images.title)
    for step, ((epoch, indices), pixels) in enumerate(zip(places, read, strict=True), first):
        size = pixels.shape[-1]
        how = draw_batch_augmentation(
            recipe.augment, preprocess, seed=recipe.seed, step=step, epoch=epoch, indices=indices, size=size
        )
        labels = to_device(torch.from_numpy(images.labels[indices]), device)
        yield Batch(pixels.to(device, non_blocking=True), labels, indices, epoch, how and how.to(device))


def evaluation_batches(
    footage: ClipFrames,
    arch: Arch,
    *,
    batch: int,
    workers: int,
    looks: tuple[ClipView, ...] = (MIDDLE_VIEW,),  # noqa: PT028 (no test, in spite of its name)
    rank: int = 0,  # noqa: PT028 (no test, in spite of its name)
    world: int = 1,  # noqa: PT028 (the same)
) -> Iterator[Batch]:
    """Every video once, in order, on the CPU, as each of the `looks` in turn: (n * looks, C, T, S, S).

    Of several processes, each takes every `world`-th of these batches. Errors as in `training_batches`.
    """

    def place(number: int) -> BatchKey:
        return 0, np.arange(number * batch, min((number + 1) * batch, len(footage)))

    places = BatchSampler(place, range(rank, -(-len(footage) // batch), world))
    views, title = _Fixed(footage, arch, looks), footage.images.title
    read = load_batches(views, places, workers=workers, device=_CPU, title=title)
    for (epoch, indices), pixels in zip(places, read, strict=True):
        yield Batch(pixels, torch.from_numpy(footage.images.labels[indices]), indices, epoch)


@dataclass(frozen=True)
class _Random(TorchDataset[Tensor]):
    """Batches of training by their place."""

    footage: ClipFrames
    recipe: Recipe
    epochs: int

    def __getitem__(self, place: BatchKey) -> Tensor:
        epoch, indices = place
        return _stacked((self._view(epoch, index) for index in track_indices(indices)), len(indices))

    def _view(self, epoch: int, index: int) -> _View:
        """(T, S, S, C): one choice of frames, one crop and one mirror for all of them."""
        recipe, augment = self.recipe, self.recipe.augment
        clip, full = clip_of(recipe.arch), recipe.arch.preprocess
        seen = replace(full, size=crop_size_at(augment, full.size, epoch, self.epochs))
        shares = frame_choice.random_positions(clip, recipe.seed, epoch, index)
        frames = self.footage.frames(index, lambda count: frame_choice.frame_numbers(clip, count, shares))
        return train_clip_view(frames, seen, augment, recipe.seed, epoch, index).transpose(0, 2, 3, 1)


@dataclass(frozen=True)
class _Fixed(TorchDataset[Tensor]):
    """Batches of judging by their place."""

    footage: ClipFrames
    arch: Arch
    looks: tuple[ClipView, ...]

    def __getitem__(self, place: BatchKey) -> Tensor:
        _, indices = place
        views = (view for index in track_indices(indices) for view in self._views(index))
        return _stacked(views, len(indices) * len(self.looks))

    def _views(self, index: int) -> list[_View]:
        """(T, S, S, C) for each look; frames that several share are read once."""
        clip, size = clip_of(self.arch), self.arch.preprocess.size
        shares = sorted({look.share for look in self.looks})

        def choose(count: int) -> list[int]:
            return [
                n
                for s in shares
                for n in frame_choice.frame_numbers(clip, count, frame_choice.equal_positions(clip, s))
            ]

        frames = self.footage.frames(index, choose)
        held = {s: frames[k * clip.total : (k + 1) * clip.total] for k, s in enumerate(shares)}
        return [self._cut(held[look.share], look.crop, size) for look in self.looks]

    def _cut(self, frames: NDArray[np.uint8], crop: str, size: int) -> _View:
        if crop == "centre":
            made = [eval_view(_image(frame), self.arch.preprocess) for frame in frames]
            return np.stack(made).transpose(0, 2, 3, 1)
        height, width = frames.shape[1:3]
        share = CROPS.index(crop, 1) - 1
        down, across = height - size, width - size
        top, left = (down // 2, across * share // 2) if width >= height else (down * share // 2, across // 2)
        return frames[:, top : top + size, left : left + size]


def _stacked(views: Iterator[_View], count: int) -> Tensor:
    """`count` views (T, S, S, C) as (n, C, T, S, S), channels last in memory."""
    held = torch.empty(0)
    for place, view in enumerate(views):
        if not place:
            held = allocate_batch((count, *view.shape))
        held[place] = torch.from_numpy(view)
    return held.permute(0, 4, 1, 2, 3)


def _image(frame: NDArray[np.uint8]) -> Image.Image:
    return Image.fromarray(frame[:, :, 0] if frame.shape[2] == 1 else frame)
