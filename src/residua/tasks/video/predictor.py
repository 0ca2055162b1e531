"""ClipPredictor: the Predictor of videos; it reads a whole video, clip after clip."""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from residua.data.images import Images
from residua.data.items import Files
from residua.data.video import frame_choice, reader
from residua.data.video.clips import CLIP, SHEET_SIDE, ClipFrames
from residua.data.video.messages import FrameFormat
from residua.measure import views
from residua.nn.network import Network
from residua.predict.predictor import compute_logits, describe_predictor, load_predictor, read_classifier
from residua.spec.printable import printable
from residua.spec.recipe import Plan
from residua.tasks.video.batches import ClipView, clip_of, evaluation_batches
from residua.tasks.video.protocol import MAX_CLIPS, describe_clips

MAX_MOMENTS = 24
"""Most clips of one video: a page cannot show more apart."""
FRAMES = 8
"""Frames of the video that accompany its predictions."""


@dataclass(frozen=True, eq=False, slots=True, repr=False)
class VideoPrediction:
    """The class probabilities of a video over time."""

    file: Path
    """The video."""
    classes: tuple[str, ...]
    """Names of the classes."""
    probabilities: NDArray[np.float64]
    """Of each class at each moment: (moments, classes), rows sum to 1."""
    seconds: NDArray[np.float64]
    """The middle of each clip in the video, (moments,); in frames, where the frame rate is unknown."""
    length: float
    """Of the video, in the same unit."""
    unit: str
    """`s` or `frames`."""
    frames: NDArray[np.uint8]
    """Frames evenly spread over the video: (FRAMES, H, W, 3)."""
    clip: str
    """Which frames each clip has, and at which rate."""

    def __repr__(self) -> str:
        likeliest = ", ".join(f"{printable(name)} {100 * share:.1f} %" for name, share in self.top(3))
        return f"VideoPrediction({printable(self.file.name)}: {likeliest}; {len(self.seconds)} moments)"

    def top(self, k: int = 1) -> list[tuple[str, float]]:
        """The `k` likeliest classes of the whole video with the mean of their probabilities."""
        mean = self.probabilities.mean(0)
        return [(self.classes[c], float(mean[c])) for c in np.argsort(-mean, kind="stable")[:k]]


@dataclass(frozen=True, eq=False, slots=True, repr=False)
class ClipPredictor:
    """A network that classifies videos, with its preprocessing and class names."""

    network: Network
    """The network, in eval mode on the plan's device."""
    plan: Plan
    """Device, memory format and precision."""
    weights: str = "raw"
    """Which weights the network has: `raw`, `ema` or `best`."""

    def __repr__(self) -> str:
        return describe_predictor("ClipPredictor", self.network, self.plan, self.weights)

    @property
    def classes(self) -> tuple[str, ...]:
        """Names of the classes, in the order of the network's outputs; their numbers where they have none."""
        return self.network.classes

    def logits(self, pixels: Tensor) -> Tensor:
        """(n, C, T, S, S) uint8 -> logits (n, classes) float32, on the plan's device."""
        return compute_logits(self.network, pixels, self.plan)

    def many(self, files: Iterable[Path]) -> list[VideoPrediction]:
        """Classify several videos, one after the other. DataError when one cannot be decoded."""
        return [self(file) for file in files]

    def __call__(self, file: Path) -> VideoPrediction:
        """Classify a video, clip after clip from its beginning to its end.

        Args:
            file: The video.

        Returns:
            The probability of each class at each moment.

        Raises:
            DataError: The file is not a video, or cannot be decoded.
            NonFiniteError: The network computes NaN or infinity.
        """
        facts, arch = reader.probe(file), self.network.arch
        clip = clip_of(arch)
        span = clip.span if clip.stride and clip.segments == 1 else facts.frames
        count = min(MAX_MOMENTS, max(0, facts.frames - span) + 1)
        clip_views = tuple(ClipView(position) for position in frame_choice.even_positions(count))
        images = Images(
            "video", ("",), np.zeros(1, np.int64), files=Files.of(file.parent, [file.name]), media_type=CLIP
        )
        (batch,) = evaluation_batches(
            ClipFrames(images, arch.preprocess), arch, batch_size=1, workers=0, views=clip_views
        )
        fps = facts.fps or 1.0
        numbers = [
            frame_choice.frame_numbers(clip, facts.frames, frame_choice.equal_positions(clip, view.position))
            for view in clip_views
        ]
        sheet = frame_choice.evenly_spaced_frames(facts.frames, FRAMES)
        return VideoPrediction(
            file,
            self.classes,
            self._probabilities(batch.images),
            np.array([(row[0] + row[-1]) / 2 / fps for row in numbers]),
            facts.frames / fps,
            "s" if facts.fps else "frames",
            reader.read_frames(file, sheet, FrameFormat(SHEET_SIDE)),
            describe_clips(arch, facts.fps, views.CLIP).partition(";")[0],
        )

    def _probabilities(self, clips: Tensor) -> NDArray[np.float64]:
        """(n, C, T, S, S) uint8 -> (n, classes), computed in chunks."""
        chunks = [clips[start : start + MAX_CLIPS] for start in range(0, len(clips), MAX_CLIPS)]
        return np.concatenate([views.view_probabilities(self, chunk) for chunk in chunks])


def load(
    source: str | Path, *, weights: str = "auto", device: str = "auto", precision: str = "float32"
) -> ClipPredictor:
    """Load a trained network for videos; arguments and errors as in `residua.load`.

    Args:
        source: A run directory (its newest state), a saved folder or a checkpoint file.
        weights: Of a run: `raw`, `ema` or `best`; `auto` is `ema` where the run averages weights, else `raw`.
        device: `cpu`, `cuda`, `cuda:1`, `mps`, or `auto` for the first accelerator, else the CPU.
        precision: `float32`, `bfloat16`, or `auto` for what the run's plan measured on the same kind of
            device.

    Returns:
        A classifier that takes video files.

    Raises:
        CheckpointError: There is no classifier, or a byte of it changed since it was written.
        ConfigError: The device, the precision or the name of the weights cannot be used.
    """
    return ClipPredictor(
        *load_predictor(source, read_classifier, weights=weights, device=device, precision=precision)
    )
