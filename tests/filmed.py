"""Clips in an array, and a recipe, so small that a test can train a network on them."""

from dataclasses import replace

import numpy as np

from residua.data.images import ImageDataset, Images
from residua.data.video.clips import CLIP
from residua.spec.clip import Clip
from residua.spec.inflate import inflate
from residua.spec.recipe import Budget, Data, Recipe
from residua.tasks.video.data_task import ClipDataset
from small import PIXELS, arch
from small import recipe as of_images

CLASSES, FRAMES, SIDE = ("a", "b", "c"), 7, 14


def sets() -> ClipDataset:
    """14 clips to learn from and 21 to judge by."""
    clips = ImageDataset(
        "clips", _strips("train", 14), _strips("test", 21), grey=False, size=SIDE, note="clips"
    )
    return ClipDataset(clips, Data("clips"))


def recipe(batch: int = 5) -> Recipe:
    """Two epochs of clips of three frames."""
    base = of_images(budget=Budget(epochs=2, batch_size=batch, save_seconds=1000.0))
    return replace(base, arch=inflate(replace(arch(), preprocess=PIXELS), Clip(3, 2)))


def _strips(name: str, count: int) -> Images:
    """Clips brighter by class, each frame brighter than the last."""
    labels = np.arange(count) % 3
    noise = np.random.default_rng(count).normal(0, 20, (count, FRAMES, SIDE, SIDE, 3))
    levels = 60 + 50 * labels[:, None] + 4 * np.arange(FRAMES)
    frames = np.clip(levels[:, :, None, None, None] + noise, 0, 255).astype(np.uint8)
    strips = frames.reshape(count, FRAMES * SIDE, SIDE, 3)
    return Images(name, CLASSES, labels, pixels=strips, media_type=CLIP)
