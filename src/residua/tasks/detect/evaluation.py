"""BoxEvaluation: the predicted boxes of a labelled split, and the protocol that makes them."""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from residua.data.scenes import Scenes
from residua.tasks.detect.batches import BoxBatch, evaluation_batches
from residua.tasks.detect.prediction import BoxPrediction, predict_boxes
from residua.tasks.detect.predictor import BoxPredictor
from residua.tasks.detect.score import BoxScore, score_boxes
from residua.tasks.detect.voc_metric import average_precisions, rank_all_classes

BATCH_SIZE = {"ssd": 16, "c4": 2, "fpn": 2}
"""Images in a batch, by kind of detector."""


@dataclass(frozen=True, eq=False)
class BoxEvaluation:
    """The predictions of one detector for every image of a labelled split."""

    predictions: tuple[BoxPrediction, ...]
    """The boxes predicted in each image, in the order of the split."""
    scenes: Scenes
    """The images and their labelled boxes."""
    network: str = ""
    """The run or file of the detector, as the user gave it; empty while a run trains."""
    weights: str = "raw"
    """Which weights: `raw`, `ema` or `best`."""
    protocols: tuple[str, ...] = ("voc",)
    """Names in `score.PROTOCOLS` under which the predictions are scored."""

    def row(self) -> dict[str, float]:
        """mAP at IoU .5 (VOC, area), in percent, and 100 minus it as the error, for the metrics of a run."""
        value = float(np.nanmean(self.average_precision_by_class()))
        return {"test_error": 100 - value, "test_map50": value}

    def average_precision_by_class(self) -> NDArray[np.float64]:
        """AP of each class at IoU .5, in percent; NaN for a class without objects."""
        ranked = rank_all_classes(self.predictions, self.scenes.boxes, len(self.scenes.classes))
        return average_precisions(ranked)

    @cached_property
    def scores(self) -> tuple[BoxScore, ...]:
        """One score for each of `protocols`."""
        return tuple(
            score_boxes(
                self.predictions,
                self.scenes.boxes,
                protocol=protocol,
                classes=self.scenes.classes,
                split=self.scenes.name,
                weights=self.weights,
            )
            for protocol in self.protocols
        )


@dataclass(frozen=True, slots=True)
class WholeImages:
    """The evaluation protocol of detectors: each image once; VOC and COCO score the same predictions."""

    workers: int = 0
    """Loader workers."""
    size: int = 0
    """Images in a batch; 0 takes `BATCH_SIZE`."""

    def batch_size(self, predictor: BoxPredictor) -> int:
        """Images in a batch."""
        return self.size or BATCH_SIZE[predictor.network.detector.kind]

    def batches(self, predictor: BoxPredictor, split: Scenes, *, rank: int, size: int) -> Iterator[BoxBatch]:
        """Every image with its boxes."""
        network = predictor.network
        return evaluation_batches(
            split,
            network.detector,
            network.preprocess,
            batch_size=self.batch_size(predictor),
            workers=self.workers,
            rank=rank,
            world=size,
        )

    def outputs(
        self, predictor: BoxPredictor, batches: Iterator[BoxBatch]
    ) -> list[tuple[BoxPrediction, ...]]:
        """The predictions of each batch."""
        return [tuple(predict_boxes(predictor.network, batch, predictor.plan)) for batch in batches]

    def evaluation(self, split: Scenes, outputs: list[tuple[BoxPrediction, ...]]) -> BoxEvaluation:
        """The evaluation of all predictions."""
        return BoxEvaluation(tuple(boxes for batch in outputs for boxes in batch), split)
