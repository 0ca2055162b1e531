"""ExportedPredict: exported files that predict one class for each image; it needs no torch."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from residua.data.decode import IMAGE
from residua.data.inputs import Inputs
from residua.errors import ConfigError
from residua.predict.exported import ExportedClassifier, load_exported
from residua.tasks.classify.picture_stream import BATCH_SIZE, predict_pictures
from residua.tasks.classify.predictions import ClassPredictions
from residua.tasks.predict_task import PredictOptions


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
        classifier = load_exported(path, in_batches=True)
        if classifier.facts.arch.clip:
            raise ConfigError(f"{path} reads clips: predict from the run that it was made from")
        return classifier

    def digest(self, predictor: ExportedClassifier) -> str:
        """A digest of the weights, and of what the file does with them."""
        facts = predictor.facts
        return f"{facts.digest} {facts.takes} {facts.precision}"

    def predict(
        self, predictor: ExportedClassifier, inputs: Inputs, options: PredictOptions, *, start: int = 0
    ) -> Iterator[ClassPredictions]:
        """The likeliest classes of each image, batch by batch."""
        return predict_pictures(predictor, inputs, batched(predictor, options), start=start)


def batched(classifier: ExportedClassifier, options: PredictOptions) -> PredictOptions:
    """The options with the batch size that suits a file, unless they name one.

    A graph that reads whole images gets one at a time: photographs differ in size, and may be large.
    """
    size = options.batch_size or (1 if classifier.facts.takes == "images" else BATCH_SIZE)
    return replace(options, batch_size=size)
