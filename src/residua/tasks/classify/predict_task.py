"""ClassifyPredict: trained networks that predict one class for each image."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path

from residua.data.decode import IMAGE
from residua.data.images import Images
from residua.data.inputs import Inputs
from residua.data.listing import SourceListing, evaluation_split, match_classes
from residua.data.open import open_evaluation_split
from residua.events import Event
from residua.measure.evaluate import Processes
from residua.measure.views import VIEWS, evaluate_view
from residua.predict.classifier import Classifier, load
from residua.predict.predictor import network_digest
from residua.tasks.classify.data_task import ClassifyData
from residua.tasks.classify.evaluations import ClassEvaluations, check_views
from residua.tasks.classify.picture_stream import predict_pictures
from residua.tasks.classify.predictions import ClassPredictions
from residua.tasks.predict_task import STANDARD, Examples, Inference, PredictOptions
from residua.tasks.run_data import run_dataset


class ClassifyPredict:
    """`residua.tasks.predict_task.PredictTask` of images."""

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
        self,
        paths: Sequence[Path],
        *,
        data: Examples | None,
        views: Sequence[str],
        weights: str,
        ensemble: bool,
        world: Processes,
        inference: Inference = STANDARD,
    ) -> ClassEvaluations:
        """Evaluate under each of `views`, by default with one centre crop."""
        check_views(paths, views, VIEWS)
        evaluations = []
        for path in paths:
            classifier = self.load(path, weights=weights, device=inference.device)
            images = self.examples(path, data, classifier.classes)
            for view in views or ("center",):
                evaluation = evaluate_view(
                    classifier,
                    images,
                    view,
                    world=world,
                    batch_size=inference.batch_size,
                    workers=inference.workers,
                )
                evaluations.append(replace(evaluation, network=str(path), weights=classifier.weights))
        return ClassEvaluations.of(evaluations, ensemble=ensemble)

    def digest(self, predictor: Classifier) -> str:
        """A digest of the network's weights."""
        return network_digest(predictor.network)

    def accelerated(
        self,
        predictor: Classifier,
        inputs: Inputs,
        options: PredictOptions,
        listen: Callable[[Event], None],
    ) -> Classifier:
        """The classifier with the engine that `options` name."""
        if options.engine == "torch":
            return predictor
        from residua.tasks.classify.fast_engine import with_engine  # other engines take a second to import

        return with_engine(predictor, inputs, options, listen)

    def predict(
        self, predictor: Classifier, inputs: Inputs, options: PredictOptions, *, start: int = 0
    ) -> Iterator[ClassPredictions]:
        """The likeliest classes of each image, batch by batch."""
        return predict_pictures(predictor, inputs, options, start=start)
