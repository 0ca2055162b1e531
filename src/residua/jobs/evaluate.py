"""Evaluate trained networks on labelled data, one at a time or averaged."""

from collections.abc import Collection, Sequence
from pathlib import Path
from typing import Any, get_args

from residua import tasks
from residua.data.sources.objects import source_and_listing
from residua.errors import ConfigError
from residua.measure.evaluate import ALONE, Processes
from residua.runs.checkpoint import WeightsName
from residua.runs.run import Run
from residua.spec.record import nearest
from residua.tasks.predict_task import EvaluationRequest, Evaluations, Inference

Trained = Run | str | Path
"""A run, or the path of a run, a saved folder, a checkpoint file or an exported file."""
WEIGHTS = get_args(WeightsName)
"""Names of the weights that a run may have."""


def evaluate(
    trained: Trained | Sequence[Trained],
    *,
    data: object = None,
    views: Sequence[str] = (),
    weights: str = "auto",
    ensemble: bool = False,
    device: str = "auto",
    batch_size: int = 0,
    workers: int = 0,
    world: Processes = ALONE,
) -> list[Any]:
    """Evaluate trained networks and return their scores.

    Args:
        trained: One or several runs, saved folders, checkpoint files or exported files (`.onnx`, `.xml`).
        data: A source, or images with labels as `residua.train` takes them: `(X, y)`, a Dataset, ...; of two
            sets the second. None takes the test split of each run. Classes are matched by name.
        views: Protocols, e.g. `center`, `10crop`; of boxes `voc`, `coco`. By default images are shown
            once, and videos both as one clip and as thirty.
        weights: Of a run: `raw` (of the last step), `ema` (averaged), `best` (lowest test error); `auto` is
            `ema` where the run averages weights, else `raw`.
        ensemble: Average the probabilities of all networks.
        device: `cpu`, `cuda`, `cuda:1`, `mps`, or `auto` for the first accelerator, else the CPU.
        batch_size: Views, clips or images computed at once; 0 takes what suits their size.
        workers: Processes that load data; 0 loads in this process, -1 is one for each core.
        world: Processes that share the work; all return the same scores.

    Returns:
        One `Score`, or `BoxScore` of a detector, for each network and protocol; with `ensemble` one for
        each protocol.

    Raises:
        ConfigError: A protocol or weights do not exist, or the runs have different test splits.
        DataError: Examples cannot be used.
        CheckpointError: Weights cannot be used.
    """
    networks = [trained] if isinstance(trained, Run | str | Path) else list(trained)
    source, listing = (None, None) if data is None else source_and_listing(data)
    inference = inference_of(device, batch_size, workers)
    request = EvaluationRequest(listing or source, tuple(views), weights, ensemble, inference)
    return evaluate_networks(paths_of(networks), request, world=world).scores


def evaluate_networks(
    paths: Sequence[Path],
    request: EvaluationRequest = EvaluationRequest(),  # noqa: B008 - it is frozen
    *,
    options: Collection[str] = (),
    world: Processes = ALONE,
) -> Evaluations:
    """Evaluate trained networks and return scores and predictions.

    Args:
        paths: Runs, saved folders, checkpoint files or exported files.
        request: On which examples, and how.
        options: Names in `tasks.predict_task.OPTIONS` that the user gave.
        world: As in `evaluate`.

    Returns:
        The evaluations, network by network.

    Raises:
        ConfigError: As in `evaluate`, or an option has no effect on these networks.
        DataError: As in `evaluate`.
        CheckpointError: As in `evaluate`.
    """
    if request.weights not in WEIGHTS:
        raise ConfigError(f"no weights {request.weights!r}: {nearest(request.weights, WEIGHTS)}")
    task = tasks.evaluate_task_of(paths, [*options, *(["ensemble"] if request.ensemble else [])])
    return task.evaluate(paths, request, world=world)


def inference_of(device: str, batch_size: int, workers: int) -> Inference:
    """The device, the batch size and the workers of an evaluation, where -1 workers are one for each core.

    Raises:
        ConfigError: A number is out of range.
    """
    if workers == -1:
        from residua.training.processes.world import available_cores

        workers = available_cores()
    return Inference(device, batch_size, workers)


def paths_of(trained: Sequence[Trained]) -> list[Path]:
    """The path of each."""
    return [one.path if isinstance(one, Run) else Path(one) for one in trained]
