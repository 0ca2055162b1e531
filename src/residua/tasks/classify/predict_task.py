"""ClassifyPredict: trained networks that predict one class for each image."""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from residua.data.decode import IMAGE
from residua.data.images import Images
from residua.data.inputs import Inputs
from residua.data.listing import SourceListing, evaluation_split, match_classes
from residua.data.open import open_evaluation_split
from residua.measure.evaluate import Processes
from residua.measure.evaluation import Evaluation
from residua.measure.views import VIEWS, evaluate_view
from residua.predict.classifier import Classifier, load
from residua.predict.exported import is_exported
from residua.predict.predictor import network_digest
from residua.tasks.classify.data_task import ClassifyData
from residua.tasks.classify.evaluations import ClassEvaluations, check_views
from residua.tasks.classify.exported_task import ExportedPredict, batched
from residua.tasks.classify.picture_stream import predict_pictures, probability_rows, readable
from residua.tasks.classify.predictions import ClassPredictions
from residua.tasks.predict_task import EvaluationRequest, Examples, PredictOptions
from residua.tasks.run_data import run_dataset

CENTER = "center"
"""The view of images by default, and the only one of exported files."""


class ClassifyPredict:
    """`residua.tasks.predict_task.EvaluateTask` of images."""

    media_type, options = IMAGE, frozenset({"topk", "ensemble", "sort-into", "tta", "engine"})

    def load(
        self, path: Path, *, weights: str = "auto", device: str = "auto", precision: str = "float32"
    ) -> Classifier:
        """Load a Classifier."""
        return load(path, weights=weights, device=device, precision=precision)

    def examples(self, path: Path, data: Examples | None, classes: tuple[str, ...]) -> Images:
        """Open labelled images."""
        if isinstance(data, SourceListing):
            return match_classes(evaluation_split(data), classes, owner="the network")
        dataset = run_dataset(path, data, ClassifyData(), inputs="images", usage="--data with images")
        if dataset is None:
            return open_evaluation_split(str(data), classes=classes)
        return match_classes(dataset.test, classes, owner="the network")

    def evaluate(
        self, paths: Sequence[Path], request: EvaluationRequest, *, world: Processes
    ) -> ClassEvaluations:
        """Evaluate under each of `views`, by default with one centre crop."""
        check_views(paths, request.views, VIEWS)
        evaluations: list[Evaluation] = []
        networks = [path for path in paths if not is_exported(path)]
        for path in paths:
            if is_exported(path):  # on the test images of a run beside it, where there is one
                evaluations.append(self._evaluate_exported(path, [*networks, path][0], request, world))
            else:
                evaluations += self._evaluate_network(path, request, world)
        return ClassEvaluations.of(evaluations, ensemble=request.ensemble)

    def _evaluate_network(
        self, path: Path, request: EvaluationRequest, world: Processes
    ) -> Iterator[Evaluation]:
        """Under each of the views."""
        inference = request.inference
        classifier = self.load(path, weights=request.weights, device=inference.device)
        images = self.examples(path, request.data, classifier.classes)
        for view in request.views or (CENTER,):
            evaluation = evaluate_view(
                classifier,
                images,
                view,
                world=world,
                batch_size=inference.batch_size,
                workers=inference.workers,
            )
            yield replace(evaluation, network=str(path), weights=classifier.weights)

    def _evaluate_exported(
        self, path: Path, owner: Path, request: EvaluationRequest, world: Processes
    ) -> Evaluation:
        """On the examples of `owner`, under the one view of an exported file, which may cut it itself."""
        check_views([path], request.views, (CENTER,))
        inference = request.inference
        classifier = ExportedPredict().load(path, weights=request.weights, device=inference.device)
        images = self.examples(owner, request.data, classifier.classes)
        own = images.subset(np.arange(world.rank, len(images), world.size))
        options = PredictOptions(batch_size=inference.batch_size, workers=inference.workers or -1)
        batches = probability_rows(classifier, Inputs((own,)), batched(classifier, options))
        rows = [readable(row) for batch in batches for row in batch]
        gathered = world.gather(rows)
        evaluation = Evaluation.from_probabilities(np.stack(gathered), images)
        return replace(evaluation, network=str(path), weights=classifier.facts.precision, protocol=CENTER)

    def digest(self, predictor: Classifier) -> str:
        """A digest of the network's weights."""
        return network_digest(predictor.network)

    def predict(
        self, predictor: Classifier, inputs: Inputs, options: PredictOptions, *, start: int = 0
    ) -> Iterator[ClassPredictions]:
        """The likeliest classes of each image, batch by batch."""
        return predict_pictures(predictor, inputs, options, start=start)
