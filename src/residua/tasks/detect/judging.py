"""Judging the test images of a set of boxes: dealt out over processes, and stopped when asked."""

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from torch import nn

from residua.data.scenes import Scenes
from residua.spec.recipe import Plan
from residua.tasks.detect.batches import evaluation_batches
from residua.tasks.detect.found import Detections, detections
from residua.tasks.detect.network import DetectionNetwork
from residua.tasks.detect.score import BoxScore, score
from residua.tasks.detect.voc_metric import average_precisions, rank_all_classes
from residua.training.prefetch import in_lockstep
from residua.training.processes.world import SINGLE_PROCESS, World

TOGETHER = {"ssd": 16, "c4": 2, "fpn": 2}
"""Images judged at a time, by kind of detector."""


@dataclass(frozen=True, eq=False, slots=True)
class BoxJudgement:
    """What a detector found in every image of a split, in the split's order."""

    found: tuple[Detections, ...]
    """What it found in each."""
    scenes: Scenes
    """What is there."""

    def row(self) -> dict[str, float]:
        """mAP at overlap .5 (VOC, area), in percent, and what is missing to 100 as the error."""
        value = float(np.nanmean(self.by_class()))
        return {"test_error": 100 - value, "test_map50": value}

    def by_class(self) -> "np.ndarray[tuple[int], np.dtype[np.float64]]":
        """AP of each class at overlap .5, in percent; NaN for a class without objects."""
        several = rank_all_classes(self.found, self.scenes.boxes, len(self.scenes.classes))
        return average_precisions(several)

    def score(self, *, split: str, weights: str, views: str = "voc") -> BoxScore:
        """The number of the protocol `views`, with all that belongs to it."""
        return score(
            self.found,
            self.scenes.boxes,
            protocol=views,
            classes=self.scenes.classes,
            split=split,
            weights=weights,
        )


def judge(
    network: nn.Module,
    scenes: Scenes,
    *,
    plan: Plan,
    workers: int = 0,
    world: World = SINGLE_PROCESS,
    stop: Callable[[], bool] = lambda: False,
) -> BoxJudgement:
    """What `network` finds in `scenes`, the same for any number of processes.

    Asked when `stop()` is true on any of them, NonFiniteError when the network says no numbers.
    """
    assert isinstance(network, DetectionNetwork)
    size = TOGETHER[network.detector.kind]
    batches = evaluation_batches(
        scenes,
        network.detector,
        network.preprocess,
        batch_size=size,
        workers=workers,
        rank=world.rank,
        world=world.size,
    )
    world.broadcast_buffers(network)
    network.eval()
    rounds = math.ceil(len(scenes) / size / world.size)
    own = [
        tuple(detections(network, batch, plan))
        for batch in in_lockstep(batches, rounds, world=world, stop=stop)
    ]
    every = [one for several in world.gather(own) for one in several]
    return BoxJudgement(tuple(every), scenes)
