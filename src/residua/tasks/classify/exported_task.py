"""ExportedPredict: exported files that predict one class for each image; it needs no torch."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

from residua.data.decode import IMAGE
from residua.data.inputs import Inputs
from residua.errors import ConfigError
from residua.events import Event
from residua.predict.exported import ExportedClassifier, load_exported
from residua.tasks.classify.picture_stream import BATCH_SIZE, predict_pictures
from residua.tasks.classify.predictions import ClassPredictions
from residua.tasks.predict_task import STANDARD, Examples, Inference, PredictOptions

if TYPE_CHECKING:
    from residua.measure.evaluate import Processes


class ExportedPredict:
    """`residua.tasks.predict_task.PredictTask` of exported files."""

    media_type, options = IMAGE, frozenset({"topk", "sort-into", "tta"})

    def load(
        self, path: Path, *, weights: str = "auto", device: str = "auto", precision: str = "float32"
    ) -> ExportedClassifier:
        """Load an ExportedClassifier. ConfigError for other weights, devices or precisions: it has one."""
        for name, value, known in (
            ("weights", weights, ("auto",)),
            ("device", device, ("auto", "cpu")),
            ("precision", precision, ("auto", "float32")),
        ):
            if value not in known:
                raise ConfigError(f"{name} is {value!r}, and {path} is an exported file: give {known[0]}")
        return load_exported(path)

    def examples(self, path: Path, data: Examples | None, classes: tuple[str, ...]) -> NoReturn:
        """ConfigError: an exported file is not evaluated."""
        raise ConfigError(f"{path} is an exported file: evaluate the run that it was made from")

    def evaluate(
        self,
        paths: Sequence[Path],
        *,
        data: Examples | None,
        views: Sequence[str],
        weights: str,
        ensemble: bool,
        world: "Processes",
        inference: Inference = STANDARD,
    ) -> NoReturn:
        """ConfigError: an exported file is not evaluated."""
        self.examples(paths[0], data, ())

    def digest(self, predictor: ExportedClassifier) -> str:
        """A digest of the weights, and of what the file does with them."""
        facts = predictor.facts
        return f"{facts.digest} {facts.takes} {facts.precision}"

    def accelerated(
        self,
        predictor: ExportedClassifier,
        inputs: Inputs,
        options: PredictOptions,
        listen: Callable[[Event], None],
    ) -> ExportedClassifier:
        """The predictor itself: it has one engine."""
        return predictor

    def predict(
        self, predictor: ExportedClassifier, inputs: Inputs, options: PredictOptions, *, start: int = 0
    ) -> Iterator[ClassPredictions]:
        """The likeliest classes of each image, batch by batch."""
        # a graph that reads whole images gets one at a time: photographs differ in size, and may be large
        size = options.batch_size or (1 if predictor.facts.takes == "images" else BATCH_SIZE)
        return predict_pictures(predictor, inputs, replace(options, batch_size=size), start=start)
