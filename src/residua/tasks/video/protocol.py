"""Protocols of videos: one clip of a video, or thirty whose probabilities are averaged."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from residua.data.batches import Batch
from residua.data.images import Images
from residua.data.video import frame_choice, reader
from residua.data.video.clips import ClipFrames
from residua.measure.evaluation import Evaluation
from residua.measure.views import (
    CLIP,
    PLACES,
    PORTION,
    TIMES,
    VIDEO,
    ImagePredictor,
    IndexedViews,
    batch_logits,
    mean_probabilities,
)
from residua.spec.arch import Arch
from residua.tasks.video.batches import CROPS, MIDDLE_VIEW, ClipView, clip_of, evaluation_batches

CLIPS: Mapping[str, tuple[ClipView, ...]] = {
    CLIP: (MIDDLE_VIEW,),
    VIDEO: tuple(ClipView(share, crop) for share in frame_choice.even_positions(TIMES) for crop in CROPS[1:]),
}
"""Protocol -> the clips of a video."""
MAX_CLIPS = 8
"""Most clips computed at once by default."""
_PROBED = 50
"""Videos that are opened to find the frame rate of all; our choice."""


@dataclass(frozen=True, slots=True)
class ClipValidation:
    """One clip of each video, with the loss computed from the logits: the evaluation after an epoch."""

    size: int
    """Videos in a batch."""
    workers: int
    """Loader workers."""

    def batch_size(self, predictor: ImagePredictor) -> int:
        """Videos in a batch."""
        return self.size

    def batches(
        self, predictor: ImagePredictor, split: ClipFrames, *, rank: int, size: int
    ) -> Iterator[Batch]:
        """The middle clip of every video."""
        return evaluation_batches(
            split, predictor.network.arch, batch_size=self.size, workers=self.workers, rank=rank, world=size
        )

    def outputs(self, predictor: ImagePredictor, batches: Iterator[Batch]) -> list[tuple[Tensor, Tensor]]:
        """Logits (n, classes) and labels (n,) of each batch."""
        return batch_logits(predictor, batches)

    def evaluation(self, split: ClipFrames, outputs: list[tuple[Tensor, Tensor]]) -> Evaluation:
        """The evaluation of all logits."""
        logits, labels = map(torch.cat, zip(*outputs, strict=True))
        return replace(Evaluation.from_logits(logits, labels, split.images), protocol=CLIP)


@dataclass(frozen=True, slots=True)
class ClipProtocol:
    """The protocols `clip` and `video`: the probabilities of a video are the mean over its clips."""

    name: str
    """A name in `CLIPS`."""
    workers: int = 0
    """Loader workers."""
    portion: int = PORTION
    """Videos that a process takes at a time."""
    most_clips: int = MAX_CLIPS
    """Most clips computed at once, which bounds the memory."""

    def batch_size(self, predictor: ImagePredictor) -> int:
        """Videos that a process takes at a time."""
        return self.portion

    def batches(
        self, predictor: ImagePredictor, split: ClipFrames, *, rank: int, size: int
    ) -> Iterator[ClipFrames]:
        """Portions of the split."""
        for start in range(rank * self.portion, len(split), size * self.portion):
            indices = np.arange(start, min(start + self.portion, len(split)))
            yield replace(split, images=split.images.subset(indices)) if len(indices) < len(split) else split

    def outputs(self, predictor: ImagePredictor, batches: Iterator[ClipFrames]) -> list[NDArray[np.float32]]:
        """Mean probabilities (n, classes) over the clips of each video, one array a portion."""
        classes = predictor.network.arch.classes
        return [
            mean_probabilities(predictor, self._clips(predictor, videos), (len(videos), classes))
            for videos in batches
        ]

    def evaluation(self, split: ClipFrames, outputs: list[NDArray[np.float32]]) -> Evaluation:
        """The evaluation of all probabilities."""
        probabilities = np.concatenate(outputs)
        return replace(Evaluation.from_probabilities(probabilities, split.images), protocol=self.name)

    def _clips(self, predictor: ImagePredictor, videos: ClipFrames) -> Iterator[IndexedViews]:
        clips = CLIPS[self.name]
        size = max(1, self.most_clips // len(clips))
        arch = predictor.network.arch
        for batch in evaluation_batches(videos, arch, batch_size=size, workers=self.workers, views=clips):
            indices = np.repeat(batch.indices, len(clips))
            for start in range(0, len(indices), self.most_clips):
                chunk = slice(start, start + self.most_clips)
                yield indices[chunk], batch.images[chunk]


def frame_rate(images: Images) -> float:
    """Median frames a second of some of `images`; 0 where they are not files."""
    if images.files is None:
        return 0.0
    places = np.linspace(0, len(images) - 1, min(_PROBED, len(images))).astype(int).tolist()
    return float(np.median([reader.probe(images.item(i)).fps for i in places]))  # type: ignore[arg-type]


def describe_clips(arch: Arch, fps: float, protocol: str) -> str:
    """What a score belongs to: frames, stride, frame rate and number of views, in one phrase.

    Args:
        arch: A network for clips.
        fps: Frame rate of the videos, in frames a second; 0 where it is unknown.
        protocol: `clip` or `video`.

    Returns:
        E.g. `16 frames together, one of every 2 of 30 a second; 10 x 3 views`.
    """
    clip = clip_of(arch)
    speed = f" of {fps:.3g} a second" if fps else ""
    views = f"{TIMES} x {PLACES} views" if protocol == VIDEO else "1 view"
    return f"{clip.description}{speed}; {views}"
