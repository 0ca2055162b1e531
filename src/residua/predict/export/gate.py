"""The parity gate: an exported file computes real images as the network does, or it is not kept.

The reference is the network as it predicts: Pillow's view of an image, normalised, in float32 of torch. The
file gets the same images in batches of 1, 2 and 5, as views or, where its graph reads images, as they are.
"""

import time
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image

from residua.data.eval_view import eval_view
from residua.data.transforms import normalise
from residua.errors import CheckpointError, NonFiniteError
from residua.nn.network import Network
from residua.predict.export.facts import Takes
from residua.predict.export.graph import Compute

BATCHES = (1, 2, 5)
"""Images that are computed at once, one size after another."""
TOLERANCE = {"inputs": 1e-3, "images": 1e-2}
"""What a graph takes -> largest difference of a logit, as a share of the range of the logits, at least 1."""
RESIZED = 6
"""Pictures that are compared in other sizes, too."""
TIMED = 5
"""Times that one image is computed; the median counts."""


@dataclass(frozen=True, slots=True)
class GateBatch:
    """Images of one size, and what the network computes of them."""

    arrays: NDArray[Any]
    """As the graph takes them: (n, C, S, S) float32 or (n, H, W, C) uint8."""
    logits: NDArray[np.float32]
    """What the network computes, (n, classes)."""


@dataclass(frozen=True, slots=True)
class Parity:
    """How well a file agrees with the network."""

    difference: float
    """Largest difference of a logit; infinite where the file computes no number."""
    tolerance: float
    """Largest difference that is allowed."""
    same_top1: float
    """Share of the images with the same likeliest class, from 0 to 1."""
    images: int
    """Images that were compared."""
    milliseconds: float
    """Of one image, in this process, with all threads. A median."""

    @property
    def agrees(self) -> bool:
        """Whether the file may be kept."""
        return self.difference <= self.tolerance


def gate_batches(network: Network, images: Sequence[Image.Image], takes: Takes) -> list[GateBatch]:
    """Batches of 1, 2 and 5 with what the network computes of them.

    Args:
        network: The reference, in eval mode on the CPU.
        images: In mode RGB or L, of any size, at least one.
        takes: What the graph reads. A batch of images has one size: it holds an image and parts of it.

    Raises:
        NonFiniteError: The network computes NaN or infinity.
    """
    batches = []
    for index, image in enumerate(images):
        count = BATCHES[index % len(BATCHES)]
        group = [_shifted(image, 7 * shift) for shift in range(count)]
        views = np.stack([eval_view(each, network.preprocess) for each in group])
        inputs = normalise(torch.from_numpy(views), network.preprocess)
        with torch.inference_mode():
            logits: NDArray[np.float32] = network(inputs).numpy()
        if not np.isfinite(logits).all():
            raise NonFiniteError(f"{network.arch.name} computes NaN or infinity: nothing is exported")
        pixels = np.stack([np.asarray(each).reshape(*reversed(each.size), -1) for each in group])
        batches.append(GateBatch(inputs.numpy() if takes == "inputs" else pixels, logits))
    return batches


def clip_batches(network: Network) -> list[GateBatch]:
    """Batches of noise for a network that reads clips: (n, C, T, H, W) normalised float32."""
    assert network.arch.clip is not None
    preprocess, frames = network.preprocess, network.arch.clip.total
    generator = torch.Generator().manual_seed(0)
    batches = []
    for count in BATCHES:
        size = (count, preprocess.channels, frames, preprocess.size, preprocess.size)
        clips = torch.randn(size, generator=generator)
        with torch.inference_mode():
            batches.append(GateBatch(clips.numpy(), network(clips).numpy()))
    return batches


def compare(compute: Compute, batches: Sequence[GateBatch], *, takes: Takes) -> Parity:
    """Compute the batches with a file and compare.

    Args:
        compute: The file, loaded.
        batches: What the network computes.
        takes: What the graph reads.

    Raises:
        CheckpointError: The file computes another number of rows or classes.
    """
    expected = np.concatenate([batch.logits for batch in batches])
    logits = np.concatenate([_checked(compute(batch.arrays), batch) for batch in batches])
    difference = float(np.abs(logits - expected).max())
    scale = max(1.0, float(np.ptp(expected, axis=1).max()))
    return Parity(
        difference if np.isfinite(difference) else float("inf"),
        TOLERANCE[takes] * scale,
        float((logits.argmax(1) == expected.argmax(1)).mean()),
        len(expected),
        _milliseconds(compute, batches[0].arrays[:1]),
    )


def _checked(logits: NDArray[np.float32], batch: GateBatch) -> NDArray[np.float32]:
    if logits.shape != batch.logits.shape:
        raise CheckpointError(f"the file computes {logits.shape} instead of {batch.logits.shape}")
    return logits


def _milliseconds(compute: Compute, one: NDArray[Any]) -> float:
    seconds = []
    for _ in range(TIMED):
        start = time.perf_counter()
        compute(one)
        seconds.append(time.perf_counter() - start)
    return 1000 * median(seconds)


def _shifted(image: Image.Image, shift: int) -> Image.Image:
    """The image, its content moved to the right by `shift` pixels and wrapped around."""
    if not shift:
        return image
    return Image.fromarray(np.roll(np.asarray(image), shift, axis=1))


def generated_photos(count: int, *, colour: str) -> list[Image.Image]:
    """Pictures for a network whose data are not here: smooth patterns with noise, of odd sizes.

    Args:
        count: Pictures.
        colour: `rgb` or `grey`.
    """
    return [_generated(np.random.default_rng(seed), colour) for seed in range(count)]


def _generated(draw: np.random.Generator, colour: str) -> Image.Image:
    width, height = (2 * int(side) + 1 for side in draw.integers(60, 260, 2))
    coarse = draw.integers(0, 256, (8, 8, 3), np.uint8)
    smooth = np.asarray(Image.fromarray(coarse).resize((width, height), Image.Resampling.BICUBIC), np.float32)
    noisy = Image.fromarray(np.clip(smooth + draw.normal(0, 12, smooth.shape), 0, 255).astype(np.uint8))
    return noisy.convert("L") if colour == "grey" else noisy


def with_odd_sizes(images: Sequence[Image.Image]) -> list[Image.Image]:
    """`images`, and the first of them again in other sizes: odd ones, smaller and larger."""
    factors = (0.37, 0.71, 1.3)
    resized = [
        image.resize((_odd(image.width * factor), _odd(image.height * factor)))
        for image, factor in zip(images[:RESIZED], factors * RESIZED, strict=False)
    ]
    return [*images, *resized]


def _odd(side: float) -> int:
    return 2 * int(side / 2) + 1
