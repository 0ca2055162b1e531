"""Batches of clips, uint8 (N, C, T, S, S), equal for any number of loader workers and processes."""

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
from residua.data.eval_view import eval_view
from residua.data.loader import BatchKey, BatchSampler, allocate_batch, load_batches, track_indices
from residua.data.resident import to_device
from residua.data.sampler import orders, share, steps_per_epoch
from residua.data.transforms import crop_size_at, train_clip_view
from residua.data.video import frame_choice
from residua.data.video.clips import ClipFrames
from residua.spec.arch import Arch
from residua.spec.clip import Clip
from residua.spec.recipe import Recipe

CROPS = ("centre", "first", "middle", "last")
"""Square cut from a frame: the centre crop, or one at the start, middle or end of the longer side."""

_CPU = torch.device("cpu")
_Pixels = NDArray[np.uint8]


@dataclass(frozen=True, slots=True)
class ClipView:
    """One view of a video in evaluation: when the clip begins, and which square of its frames it shows."""

    position: float = frame_choice.MIDDLE
    """Start of the clip, from 0 (the first that fits) to 1 (the last that fits)."""
    crop: str = "centre"
    """One of `CROPS`."""


MIDDLE_VIEW = ClipView()
"""The clip from the middle of a video, centre crop."""


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
    """Random clips for the steps `first` to `steps` - 1.

    They depend on the seed, the batch size and the step only.

    Args:
        footage: decodes the training videos.
        recipe: gives network, augmentation, batch size and seed.
        first: number of the first step.
        steps: number of the step after the last.
        workers: loader workers.
        rank: number of this process.
        world: number of processes; each gets its share of every global batch.
        device: where the batches are needed.

    Yields:
        Batches with images (n, C, T, S, S) uint8 on `device`.

    Raises:
        DataError: a video cannot be decoded; the message names it.
        WorkerDiedError: a loader worker died or hangs.
    """
    images, budget, preprocess = footage.images, recipe.budget, recipe.arch.preprocess
    order_of = orders(images.labels, balance_classes=recipe.data.balance == "sample")

    def batch_key(step: int) -> BatchKey:
        return share(
            recipe.seed,
            step,
            count=len(images),
            batch_size=budget.batch_size,
            rank=rank,
            world=world,
            drop_last=budget.drop_last,
            order_of=order_of,
        )

    sampler = BatchSampler(batch_key, range(first, steps))
    per_epoch = steps_per_epoch(len(images), budget.batch_size, drop_last=budget.drop_last)
    dataset = _TrainingClips(footage, recipe, -(-steps // per_epoch))
    loaded = load_batches(dataset, sampler, workers=workers, device=device, title=images.title)
    for step, ((epoch, indices), pixels) in enumerate(zip(sampler, loaded, strict=True), first):
        augmentation = draw_batch_augmentation(
            recipe.augment,
            preprocess,
            seed=recipe.seed,
            step=step,
            epoch=epoch,
            indices=indices,
            size=pixels.shape[-1],
        )
        augmentation = augmentation and augmentation.to(device)
        labels = to_device(torch.from_numpy(images.labels[indices]), device)
        yield Batch(pixels.to(device, non_blocking=True), labels, indices, epoch, augmentation)


def evaluation_batches(
    footage: ClipFrames,
    arch: Arch,
    *,
    batch_size: int,
    workers: int,
    views: tuple[ClipView, ...] = (MIDDLE_VIEW,),
    rank: int = 0,
    world: int = 1,
) -> Iterator[Batch]:
    """Every video once, in order, in each of `views`.

    Args:
        footage: decodes the videos.
        arch: the network that reads the clips.
        batch_size: videos in a batch; the last batch may have fewer.
        workers: loader workers.
        views: which clips of each video.
        rank: number of this process.
        world: number of processes; each gets every `world`-th batch.

    Yields:
        Batches on the CPU with images (n * views, C, T, S, S) uint8, all views of a video in a row, and the
        labels of the n videos.

    Raises:
        DataError: a video cannot be decoded; the message names it.
        WorkerDiedError: a loader worker died or hangs.
    """

    def batch_key(number: int) -> BatchKey:
        return 0, np.arange(number * batch_size, min((number + 1) * batch_size, len(footage)))

    sampler = BatchSampler(batch_key, range(rank, -(-len(footage) // batch_size), world))
    dataset, title = _EvaluationClips(footage, arch, views), footage.images.title
    loaded = load_batches(dataset, sampler, workers=workers, device=_CPU, title=title)
    for (epoch, indices), pixels in zip(sampler, loaded, strict=True):
        yield Batch(pixels, torch.from_numpy(footage.images.labels[indices]), indices, epoch)


@dataclass(frozen=True)
class _TrainingClips(TorchDataset[Tensor]):
    """Batches of random clips by their key (epoch, indices)."""

    footage: ClipFrames
    recipe: Recipe
    epochs: int

    def __getitem__(self, batch_key: BatchKey) -> Tensor:
        epoch, indices = batch_key
        return _stack((self._view(epoch, index) for index in track_indices(indices)), len(indices))

    def _view(self, epoch: int, index: int) -> _Pixels:
        """(T, S, S, C): all frames have the same crop and flip."""
        recipe, augment = self.recipe, self.recipe.augment
        clip, preprocess = clip_of(recipe.arch), recipe.arch.preprocess
        size = crop_size_at(augment, preprocess.size, epoch, self.epochs)
        positions = frame_choice.random_positions(clip, recipe.seed, epoch, index)
        frames = self.footage.frames(index, lambda count: frame_choice.frame_numbers(clip, count, positions))
        view = train_clip_view(frames, replace(preprocess, size=size), augment, recipe.seed, epoch, index)
        return view.transpose(0, 2, 3, 1)


@dataclass(frozen=True)
class _EvaluationClips(TorchDataset[Tensor]):
    """Batches of fixed views by their key (epoch, indices)."""

    footage: ClipFrames
    arch: Arch
    views: tuple[ClipView, ...]

    def __getitem__(self, batch_key: BatchKey) -> Tensor:
        _, indices = batch_key
        pixels = (view for index in track_indices(indices) for view in self._views(index))
        return _stack(pixels, len(indices) * len(self.views))

    def _views(self, index: int) -> list[_Pixels]:
        """(T, S, S, C) for each view; frames that several views share are decoded once."""
        clip, size = clip_of(self.arch), self.arch.preprocess.size
        positions = sorted({view.position for view in self.views})

        def choose(count: int) -> list[int]:
            starts = [frame_choice.equal_positions(clip, position) for position in positions]
            return [n for start in starts for n in frame_choice.frame_numbers(clip, count, start)]

        frames = self.footage.frames(index, choose)
        clips = {p: frames[k * clip.total : (k + 1) * clip.total] for k, p in enumerate(positions)}
        return [self._crop(clips[view.position], view.crop, size) for view in self.views]

    def _crop(self, frames: _Pixels, crop: str, size: int) -> _Pixels:
        if crop == "centre":
            views = [eval_view(_to_pil(frame), self.arch.preprocess) for frame in frames]
            return np.stack(views).transpose(0, 2, 3, 1)
        height, width = frames.shape[1:3]
        halves = CROPS.index(crop, 1) - 1
        down, across = height - size, width - size
        top, left = (
            (down // 2, across * halves // 2) if width >= height else (down * halves // 2, across // 2)
        )
        return frames[:, top : top + size, left : left + size]


def _stack(views: Iterator[_Pixels], count: int) -> Tensor:
    """`count` views (T, S, S, C) as one tensor (count, C, T, S, S), channels last in memory."""
    batch = torch.empty(0)
    for i, view in enumerate(views):
        if not i:
            batch = allocate_batch((count, *view.shape))
        batch[i] = torch.from_numpy(view)
    return batch.permute(0, 4, 1, 2, 3)


def _to_pil(frame: _Pixels) -> Image.Image:
    return Image.fromarray(frame[:, :, 0] if frame.shape[2] == 1 else frame)
