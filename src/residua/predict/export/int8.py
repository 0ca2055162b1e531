"""int8 with accuracy control: quantise a model, measure it on test images, and refuse what loses too much.

A runtime's own library quantises; here is what all of them share:

    float32 --quantise all operations--> int8 --measure on test images--> the drop is allowed? -> done
                ^                                                            | no
                +------ keep the 1, 2, 4, 8 most sensitive in float32 <------+  (no more steps: refused)

Ranges of activations and the order of sensitivity come from training images alone. Accuracy is measured on
test images, of which none is among them. Weights have 7 bits in every file: processors with AVX2 or AVX-512
and without VNNI add two products of 8 bits in 16 and clip the sum, and a file may be copied to one.
"""

from collections.abc import Collection, Iterator
from dataclasses import dataclass
from typing import Protocol, TypeVar

import numpy as np
import torch
from numpy.typing import NDArray

from residua.data.batches import evaluation_batches
from residua.data.images import Images
from residua.data.listing import name_hashes
from residua.errors import CheckpointError, DataError
from residua.events import Activity, Listen
from residua.measure.compare import Comparison, compare_evaluations
from residua.measure.evaluation import Evaluation
from residua.measure.score import Score
from residua.predict.engines.engine import Engine
from residua.predict.export.facts import ExportFacts
from residua.spec.amount import quantity
from residua.spec.preprocess import Preprocess
from residua.spec.text_table import TextTable

MAX_DROP = 0.5
"""Default of the top-1 accuracy that may be lost, in percentage points."""
CALIBRATION_IMAGES = 300
"""Training images that give the ranges of activations; NNCF's default."""
SENSITIVITY_IMAGES = 32
"""Calibration images by which operations are ranked; each operation needs a model of its own, so few."""
TEST_IMAGES = 10_000
"""Most test images that are measured: with as many, 0.3 points are several standard deviations."""
STEPS = (1, 2, 4, 8)
"""Operations that stay float32, one number after another, until the drop is allowed."""
BATCH_SIZE = 32
"""Test images that are computed at once."""

ModelT = TypeVar("ModelT")


@dataclass(frozen=True, eq=False)
class Int8Data:
    """The images for int8: some that calibrate, and others that measure."""

    facts: ExportFacts
    """Preprocessing of the model, and what its graph reads."""
    calibration: Images
    """Training images, about `CALIBRATION_IMAGES`."""
    test: Images
    """Labelled images that are not among them, with labels as indices of the model's outputs."""

    @classmethod
    def of(cls, facts: ExportFacts, train: Images, test: Images) -> "Int8Data":
        """Choose images by the hash of their names, so that every export takes the same ones.

        Args:
            facts: What the model says of itself.
            train: The training split; its labels are not used.
            test: The test split, with labels as indices of the model's outputs.

        Raises:
            DataError: A split is empty.
        """
        for images in (train, test):
            if not len(images):
                raise DataError(
                    f"{images.name} has no images: int8 needs some to calibrate and others to measure"
                )
        return cls(facts, _choose(train, CALIBRATION_IMAGES), _choose(test, TEST_IMAGES))

    @property
    def input_preprocess(self) -> Preprocess | None:
        """How an engine has to prepare the arrays of `batches`; None where the graph does."""
        return None if self.facts.takes == "images" else self.facts.preprocess

    def calibration_arrays(self, count: int = CALIBRATION_IMAGES) -> Iterator[NDArray[np.uint8]]:
        """The first `count` calibration images, one at a time, as in `batches`."""
        return self.batches(self.calibration.subset(np.arange(min(count, len(self.calibration)))), size=1)

    def batches(self, images: Images, *, size: int = BATCH_SIZE) -> Iterator[NDArray[np.uint8]]:
        """What an engine takes: views (n, C, S, S), or whole images (1, H, W, C) where the graph resizes."""
        if self.facts.takes == "images":
            for index in range(len(images)):
                pixels = np.asarray(images.image(index, self.facts.preprocess.colour))
                yield pixels.reshape(1, *pixels.shape[:2], -1)
            return
        for batch in evaluation_batches(
            images, self.facts.preprocess, batch_size=size, workers=0, resident_bytes=0
        ):
            yield batch.images.numpy()


@dataclass(frozen=True, slots=True)
class Int8Accuracy:
    """What int8 costs: the same test images computed before and after."""

    before: Score
    """Of the float32 model in the same runtime."""
    after: Score
    """Of the int8 model."""
    comparison: Comparison
    """The second compared with the first, image by image."""
    agreement: float
    """Images with the same predicted class, in percent."""
    calibration: str
    """Which images gave the ranges: `300 images of train`."""
    operations: int
    """Number of operations that can be quantised."""
    float_operations: tuple[str, ...] = ()
    """Names of those that stay float32, the most sensitive first."""

    @property
    def drop(self) -> float:
        """Top-1 accuracy that is lost, in percentage points; below 0 where int8 is better."""
        return self.before.top1 - self.after.top1

    def sentence(self) -> str:
        """How the file was made and what it costs, on one line, for its facts."""
        floats = f", {len(self.float_operations)} of {self.operations} operations float32" * bool(
            self.float_operations
        )
        return (
            f"calibrated on {self.calibration}, 7-bit weights for each channel{floats}; "
            f"top-1 {self.before.top1:.2f} % -> {self.after.top1:.2f} %, "
            f"n = {self.after.n:,} of {self.after.split}"
        )

    def table(self) -> TextTable:
        """Both accuracies, and below them the difference with its interval and its probability."""
        rows = tuple(
            (name, f"{score.top1:.2f} %", "{:.2f} to {:.2f} %".format(*score.interval), f"{score.n:,}")
            for name, score in (("float32", self.before), ("int8", self.after))
        )
        low, high = self.comparison.difference.interval
        measured = f"{quantity(self.after.n, 'image')} of {self.after.split}"
        notes: tuple[str, ...] = (
            f"int8 - float32: {-self.drop:+.2f} points, 95 % interval {low:+.2f} to {high:+.2f}, "
            f"McNemar p = {self.comparison.p:.2g}; same class for {self.agreement:.2f} %",
            f"calibrated on {self.calibration}; measured on {measured}",
        )
        if self.float_operations:
            share = f"{len(self.float_operations)} of {self.operations} operations stay float32"
            notes += (f"{share}: {', '.join(self.float_operations)}",)
        return TextTable(("precision", "top-1", "95 % interval", "images"), rows, 1, notes)


class Quantiser(Protocol[ModelT]):
    """A model of one runtime, and the library that quantises it."""

    @property
    def operations(self) -> tuple[str, ...]:
        """Names of the operations that can be quantised, in the order of the graph."""

    def quantised(self, operations: Collection[str], arrays: Iterator[NDArray[np.uint8]]) -> ModelT:
        """The model with these operations in int8 and all others in float32, calibrated on `arrays`."""

    def engine(self, model: ModelT | None = None) -> Engine:
        """`model`, by default the float32 model, ready to compute."""


def quantise_within(
    quantiser: Quantiser[ModelT], data: Int8Data, *, max_drop: float = MAX_DROP, listen: Listen
) -> tuple[ModelT, Int8Accuracy]:
    """Quantise as many operations as `max_drop` allows.

    Args:
        quantiser: The float32 model.
        data: Images to calibrate and to measure.
        max_drop: Most top-1 accuracy that may be lost, in percentage points.
        listen: Hears what is being done, because it may take minutes.

    Returns:
        The int8 model, and what it costs.

    Raises:
        CheckpointError: More is lost, even with the most sensitive operations in float32.
        NonFiniteError: The model computes NaN or infinity.
        DataError: An image cannot be decoded.
    """
    images = quantity(len(data.test), "image")
    listen(Activity(f"measuring float32 on {images}"))
    before = _evaluation(quantiser.engine(), data)
    order: tuple[str, ...] = ()
    best: Int8Accuracy | None = None
    for count in (0, *STEPS):
        if count and not order:
            listen(Activity(f"ranking {len(quantiser.operations)} operations by their sensitivity"))
            order = rank_by_sensitivity(quantiser, data)
        floats = order[:count]
        listen(Activity(f"quantising, and measuring int8 on {images}"))
        others = [name for name in quantiser.operations if name not in floats]
        model = quantiser.quantised(others, data.calibration_arrays())
        accuracy = _accuracy(before, _evaluation(quantiser.engine(model), data), data, quantiser, floats)
        if accuracy.drop <= max_drop:
            return model, accuracy
        best = accuracy if best is None or accuracy.drop < best.drop else best
    assert best is not None
    raise CheckpointError(_refusal(best, max_drop))


def rank_by_sensitivity(quantiser: Quantiser[ModelT], data: Int8Data) -> tuple[str, ...]:
    """Operations by how much each, alone in int8, changes the logits of calibration images; most first."""
    arrays = [*data.calibration_arrays(SENSITIVITY_IMAGES)]
    exact = _logits(quantiser.engine(), iter(arrays))

    def change(name: str) -> float:
        model = quantiser.quantised([name], iter(arrays))
        return float(np.square(_logits(quantiser.engine(model), iter(arrays)) - exact).mean())

    return tuple(sorted(quantiser.operations, key=change, reverse=True))


def _accuracy(
    before: Evaluation,
    after: Evaluation,
    data: Int8Data,
    quantiser: Quantiser[ModelT],
    floats: tuple[str, ...],
) -> Int8Accuracy:
    agreement = 100 * float((before.predicted == after.predicted).mean())
    calibration = f"{quantity(len(data.calibration), 'image')} of {data.calibration.name}"
    comparison = compare_evaluations(before, after)
    return Int8Accuracy(
        before.score, after.score, comparison, agreement, calibration, len(quantiser.operations), floats
    )


def _refusal(best: Int8Accuracy, max_drop: float) -> str:
    one = 100 / best.after.n
    cure = f"allow --max-drop {best.drop:.2g}" if best.drop > one else "measure on more images with --verify"
    return (
        f"int8 loses {best.drop:.2f} points of top-1 ({best.before.top1:.2f} % -> {best.after.top1:.2f} % of "
        f"{quantity(best.after.n, 'image')}), more than {max_drop:g}: {cure}, or export float32"
    )


def _evaluation(engine: Engine, data: Int8Data) -> Evaluation:
    logits = torch.from_numpy(_logits(engine, data.batches(data.test)))
    return Evaluation.from_logits(logits, torch.from_numpy(data.test.labels), data.test)


def _logits(engine: Engine, arrays: Iterator[NDArray[np.uint8]]) -> NDArray[np.float32]:
    return np.concatenate([engine.logits(array) for array in arrays])


def _choose(images: Images, count: int) -> Images:
    """The `count` images with the smallest hashes of their names, in the order of the split."""
    if len(images) <= count:
        return images
    hashes = name_hashes([images.title(i) for i in range(len(images))])
    return images.subset(np.sort(np.argsort(hashes, kind="stable")[:count]))
