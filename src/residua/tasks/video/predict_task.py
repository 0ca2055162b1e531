"""VideoPredict: trained networks that predict one class for each video."""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

from residua.data.images import Images
from residua.data.inputs import Inputs
from residua.data.listing import match_classes
from residua.data.open import open_evaluation_split
from residua.data.video import clips
from residua.data.video.clips import ClipFrames
from residua.measure.evaluate import Processes, evaluate
from residua.measure.views import CLIP_VIEWS
from residua.predict.predictor import network_digest, predict_files
from residua.tasks.classify.evaluations import ClassEvaluations, check_views
from residua.tasks.predict_task import EvaluationRequest, Examples, PredictOptions
from residua.tasks.run_data import run_dataset
from residua.tasks.video.data_task import VideoData
from residua.tasks.video.predictions import ClipPredictions
from residua.tasks.video.predictor import ClipPredictor, load
from residua.tasks.video.protocol import MAX_CLIPS, ClipProtocol, describe_clips, frame_rate


class VideoPredict:
    """`residua.tasks.predict_task.EvaluateTask` of videos."""

    media_type, options = clips.CLIP, frozenset({"topk", "ensemble", "timeline", "sort-into"})

    def load(
        self, path: Path, *, weights: str = "auto", device: str = "auto", precision: str = "float32"
    ) -> ClipPredictor:
        """Load a ClipPredictor."""
        return load(path, weights=weights, device=device, precision=precision)

    def examples(self, path: Path, data: Examples | None, classes: tuple[str, ...]) -> Images:
        """Open labelled videos."""
        dataset = run_dataset(path, data, VideoData(), inputs="clips", usage="--data video:DIR")
        if dataset is None:
            return open_evaluation_split(str(data), classes=classes, holds="clips")
        return match_classes(dataset.test, classes, owner="the network")

    def evaluate(
        self, paths: Sequence[Path], request: EvaluationRequest, *, world: Processes
    ) -> ClassEvaluations:
        """Evaluate with one clip of each video and with thirty, always: one number alone misleads."""
        check_views(paths, request.views, CLIP_VIEWS)
        evaluations, inference = [], request.inference
        for path in paths:
            predictor = self.load(path, weights=request.weights, device=inference.device)
            arch, images = predictor.network.arch, self.examples(path, request.data, predictor.classes)
            frames, fps = ClipFrames(images, arch.preprocess), frame_rate(images)
            for name in CLIP_VIEWS:
                protocol = ClipProtocol(name, inference.workers, most_clips=inference.batch_size or MAX_CLIPS)
                evaluation = evaluate(predictor, frames, protocol, world=world)
                clip = describe_clips(arch, fps, name)
                evaluations.append(
                    replace(evaluation, network=str(path), weights=predictor.weights, clip=clip)
                )
        return ClassEvaluations.of(evaluations, ensemble=request.ensemble)

    def digest(self, predictor: ClipPredictor) -> str:
        """A digest of the network's weights."""
        return network_digest(predictor.network)

    def predict(
        self, predictor: ClipPredictor, inputs: Inputs, options: PredictOptions, *, start: int = 0
    ) -> Iterator[ClipPredictions]:
        """The likeliest classes of each video, and its timeline, video by video."""
        topk = min(options.topk, len(predictor.classes))
        for i in range(start, len(inputs)):
            title = inputs.title(i)
            output = predict_files(predictor.many, [Path(title)], batch_size=1)
            yield ClipPredictions.of([title], output, topk=topk, least=options.least)
