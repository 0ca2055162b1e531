"""Tasks: classification, video and detection, each with its data, its training and its predictions.

A source or the file of a trained network decides the task. Each task implements three protocols, `DataTask`,
`LearnTask` and `PredictTask`; the functions here return the implementation. Tasks are imported when they are
first needed: the processes that decode clips import this package, and a network predicts without
`residua.training`.
"""

from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from residua.data.sources.table import Holds
    from residua.tasks.data_task import AnyDataTask
    from residua.tasks.predict_task import AnyEvaluateTask, AnyPredictTask
    from residua.training.learn_task import AnyLearnTask


def data_task_of(source: str) -> "AnyDataTask":
    """How the data of `source` are found and opened."""
    from residua.data.sources.table import holds

    match holds(source):
        case "boxes":
            from residua.tasks.detect.data_task import DetectData

            return DetectData()
        case "clips":
            from residua.tasks.video.data_task import VideoData

            return VideoData()
        case "images":
            from residua.tasks.classify.data_task import ClassifyData

            return ClassifyData()


def learn_task_of(source: str) -> "AnyLearnTask":
    """How networks are trained on the data of `source`."""
    from residua.data.sources.table import holds

    match holds(source):
        case "boxes":
            from residua.tasks.detect.learn_task import DetectLearn

            return DetectLearn()
        case "clips":
            from residua.tasks.video.learn_task import VideoLearn

            return VideoLearn()
        case "images":
            from residua.tasks.classify.learn_task import ClassifyLearn

            return ClassifyLearn()


def predict_task_of(paths: Sequence[Path], options: Collection[str] = ()) -> "AnyPredictTask":
    """How the trained networks at `paths` are loaded and used; for exported files without torch.

    Args:
        paths: Runs, saved folders, checkpoint files or exported files, all of one task.
        options: Names in `OPTIONS` that the user gave.

    Returns:
        The implementation of their task.

    Raises:
        ConfigError: The networks are of several tasks, or an option has no effect in theirs.
        CheckpointError: A file is damaged.
    """
    from residua.predict.exported import is_exported

    if not all(map(is_exported, paths)):
        return evaluate_task_of(paths, options)
    from residua.tasks.classify.exported_task import ExportedPredict

    task = ExportedPredict()
    _check_options(task, options)
    return task


def evaluate_task_of(paths: Sequence[Path], options: Collection[str] = ()) -> "AnyEvaluateTask":
    """How the trained networks at `paths` are loaded, used and evaluated; as `predict_task_of`."""
    from residua.errors import ConfigError
    from residua.predict.exported import is_exported

    inputs: list[Holds | None] = ["images" if is_exported(path) else _network_input(path) for path in paths]
    for path, each in zip(paths, inputs, strict=True):
        if (each or "images") != (inputs[0] or "images"):
            raise ConfigError(f"{path} is of another task than {paths[0]}: evaluate each on its own")
    task = _task_for(inputs[0] or "images")
    if inputs[0]:
        _check_options(task, options)
    return task


def _check_options(task: "AnyPredictTask", options: Collection[str]) -> None:
    """ConfigError for an option that has no effect in a task."""
    from residua.errors import ConfigError
    from residua.tasks.predict_task import OPTIONS

    for option in options:
        if option not in task.options:
            raise ConfigError(f"--{option} is for {OPTIONS[option]}: leave it out")


def _task_for(inputs: "Holds") -> "AnyEvaluateTask":
    match inputs:
        case "boxes":
            from residua.tasks.detect.predict_task import DetectPredict

            return DetectPredict()
        case "clips":
            from residua.tasks.video.predict_task import VideoPredict

            return VideoPredict()
        case "images":
            from residua.tasks.classify.predict_task import ClassifyPredict

            return ClassifyPredict()


def _network_input(path: Path) -> "Holds | None":
    """What the network at `path` was trained on; None where nothing says it, and loading will report why."""
    facts = _facts(path)
    if not facts:
        return None
    arch = facts.get("arch")
    clip = isinstance(arch, dict) and arch.get("clip")
    return "boxes" if facts.get("detector") else "clips" if clip else "images"


def _facts(path: Path) -> Mapping[str, Any]:
    """The metadata beside the weights at `path`; empty where they are missing or not ours."""
    from residua.files import read_file
    from residua.spec.record import parse_json
    from residua.weights.hub_folder import CONFIG
    from residua.weights.store import is_ours, read

    for name in ("recipe.json", CONFIG):
        if (path / name).is_file():
            try:
                plain = parse_json(read_file(path / name))
            except ValueError:
                return {}
            return plain if isinstance(plain, dict) else {}
    if path.exists():
        return read(path)[1] if path.is_file() and is_ours(path) else {}
    return _facts_of_name(str(path))


def _facts_of_name(text: str) -> Mapping[str, Any]:
    """The network of published weights by name, as the metadata of a file; empty for a missing path."""
    from residua.spec.record import to_plain
    from residua.weights import named

    return {"arch": to_plain(named.arch_of_name(text))} if named.is_trained(text) else {}
