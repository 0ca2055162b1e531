"""DetectPredict: trained networks that predict boxes in images."""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path

from residua.data.decode import IMAGE
from residua.data.inputs import Inputs
from residua.data.open import find_boxes
from residua.data.scenes import Scenes, match_box_classes
from residua.data.sources.table import parse_source
from residua.errors import ConfigError, DataError
from residua.measure.evaluate import Processes, evaluate
from residua.predict.predictor import network_digest, predict_files
from residua.tasks.detect.data_task import DetectData
from residua.tasks.detect.evaluation import WholeImages
from residua.tasks.detect.evaluations import BoxEvaluations
from residua.tasks.detect.predictions import BoxPredictions
from residua.tasks.detect.predictor import LEAST, BoxPredictor, load
from residua.tasks.detect.score import check_protocols
from residua.tasks.predict_task import EvaluationRequest, Examples, PredictOptions
from residua.tasks.run_data import run_dataset


class DetectPredict:
    """`residua.tasks.predict_task.EvaluateTask` of boxes."""

    media_type, options = IMAGE, frozenset({"draw"})

    def load(
        self, path: Path, *, weights: str = "auto", device: str = "auto", precision: str = "float32"
    ) -> BoxPredictor:
        """Load a BoxPredictor."""
        return load(path, weights=weights, device=device, precision=precision)

    def examples(self, path: Path, data: Examples | None, classes: tuple[str, ...]) -> tuple[Scenes, str]:
        """Open images with boxes, and name the protocol that their source is published with."""
        dataset = run_dataset(path, data, DetectData(), inputs="boxes", usage="--data voc:DIR or coco:DIR")
        if dataset is not None:
            return dataset.test, dataset.metric
        boxes = find_boxes(parse_source(str(data)).absolute())
        if boxes.faults:
            raise DataError(
                f"{len(boxes.faults)} of the boxes of {data} cannot be used, e.g. {boxes.faults[0].key}: "
                f"{boxes.faults[0].reason}; `residua data check {data}` lists them: remove them"
            )
        return match_box_classes(boxes.test or boxes.train, classes), boxes.metric

    def evaluate(
        self, paths: Sequence[Path], request: EvaluationRequest, *, world: Processes
    ) -> BoxEvaluations:
        """Evaluate under each of `views`, by default under the protocols that suit the source."""
        check_protocols(request.views)
        evaluations, inference = [], request.inference
        for path in paths:
            predictor = self.load(path, weights=request.weights, device=inference.device)
            scenes, metric = self.examples(path, request.data, predictor.classes)
            evaluation = evaluate(
                predictor, scenes, WholeImages(inference.workers, inference.batch_size), world=world
            )
            evaluations.append(
                replace(
                    evaluation,
                    network=str(path),
                    weights=predictor.weights,
                    protocols=request.views or _default_protocols(metric),
                )
            )
        return BoxEvaluations(tuple(evaluations))

    def digest(self, predictor: BoxPredictor) -> str:
        """A digest of the network's weights."""
        return network_digest(predictor.network)

    def predict(
        self, predictor: BoxPredictor, inputs: Inputs, options: PredictOptions, *, start: int = 0
    ) -> Iterator[BoxPredictions]:
        """The boxes of each image with a score of `options.least` or more, batch by batch."""
        many = partial(predictor.many, least=LEAST if options.least is None else options.least)
        size = options.batch_size or 1
        for first in range(start, len(inputs), size):
            batch = range(first, min(first + size, len(inputs)))
            outputs = predict_files(many, [inputs.item(i) for i in batch], batch_size=size)
            yield BoxPredictions.of(predictor, [inputs.title(i) for i in batch], outputs)


def _default_protocols(metric: str) -> tuple[str, ...]:
    """The protocol of a source, and the other of VOC's and COCO's, where COCO's can be computed."""
    voc = "voc2007" if metric == "voc2007" else "voc"
    try:
        check_protocols(("coco",))
    except ConfigError:
        return (voc,)
    return ("coco", voc) if metric == "coco" else (voc, "coco")
