"""Watcher: a trained network that looks at a whole video, moment by moment."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from residua.data.images import Images
from residua.data.items import Files
from residua.measure.views import CLIP as CLIP_VIEW
from residua.nn.network import Network
from residua.predict.classifier import ready
from residua.runs.checkpoint import Weights
from residua.spec.recipe import Plan
from residua.tasks.video import film, moments, protocol, reader
from residua.tasks.video.batches import Look, clip_of, testing
from residua.tasks.video.clips import CLIP, Footage
from residua.tasks.video.reader import Frames

MOMENTS = 24
"""Clips of one video, at most: more than a page can show apart."""
SHOWN = 8
"""Frames beside them."""


@dataclass(frozen=True, eq=False, slots=True)
class Watched:
    """What a network says of a video over time."""

    file: Path
    """The video."""
    classes: tuple[str, ...]
    """Names of the classes."""
    probabilities: NDArray[np.float64]
    """Of each class at each moment: (moments, classes), rows sum to 1."""
    seconds: NDArray[np.float64]
    """The middle of each clip in the video; frames, where no rate is known."""
    length: float
    """Of the video, in the same unit."""
    unit: str
    """`s` or `frames`."""
    frames: NDArray[np.uint8]
    """Frames evenly spread over the video: (SHOWN, H, W, 3)."""
    said: str
    """Which frames each clip has, and at which rate."""

    def top(self, k: int = 1) -> list[tuple[str, float]]:
        """The `k` likeliest classes of the whole video with the mean of their probabilities."""
        mean = self.probabilities.mean(0)
        return [(self.classes[c], float(mean[c])) for c in np.argsort(-mean, kind="stable")[:k]]


@dataclass(frozen=True, eq=False, slots=True)
class ClipPredictor:
    """A network in eval mode, and with which arithmetic it answers."""

    network: Network
    """What answers."""
    plan: Plan
    """How."""

    def __call__(self, file: Path) -> Watched:
        """What is said of `file`, clip after clip. DataError when it is no clip."""
        facts, arch = reader.look(file), self.network.arch
        clip = clip_of(arch)
        room = max(0, facts.frames - (clip.span if clip.stride and clip.segments == 1 else facts.frames))
        looks = tuple(Look(share) for share in moments.spread(min(MOMENTS, room + 1)))
        images = Images(
            "video", ("",), np.zeros(1, np.int64), files=Files.of(file.parent, [file.name]), gate=CLIP
        )
        (batch,) = testing(Footage(images, arch.preprocess), arch, batch=1, workers=0, looks=looks)
        said = protocol.probabilities(self.network, batch.images, self.plan)
        rate = facts.rate or 1.0
        firsts = [moments.chosen(clip, facts.frames, moments.at(clip, look.share)) for look in looks]
        middles = np.array([(row[0] + row[-1]) / 2 / rate for row in firsts])
        frames = reader.read(file, film.evenly(facts.frames, SHOWN), Frames(film.HIGH))
        names, unit = self.network.class_names, "s" if facts.rate else "frames"
        phrase = protocol.said(arch, facts.rate, CLIP_VIEW).partition(";")[0]
        return Watched(file, names, said, middles, facts.frames / rate, unit, frames, phrase)


def load(path: Path, weights: Weights = "auto") -> ClipPredictor:
    """The watcher in a run or a checkpoint file. CheckpointError as from `residua.load`."""
    network, _, plan = ready(path, weights)
    return ClipPredictor(network, plan)
