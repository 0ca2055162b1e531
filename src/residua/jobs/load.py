"""`residua.load`: the predictor of a trained network, whatever its task is."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

from residua import tasks
from residua.errors import ConfigError, missing_package

if TYPE_CHECKING:  # exported files need no torch
    from residua.predict.predictor import Predictor


def load(
    source: str | Path,
    *,
    weights: str = "auto",
    device: str = "auto",
    precision: str = "float32",
    engine: str = "torch",
    batch_size: int = 0,
) -> "Predictor[Any, Any]":
    """Load a trained network for images, clips or boxes.

    Args:
        source: A run directory (its newest state), a saved folder, a checkpoint file, or an exported file
            (.onnx, .xml), which needs no torch.
        weights: Of a run: `raw`, `ema` or `best`; `auto` is `ema` where the run averages weights, else `raw`.
        device: `cpu`, `cuda`, `mps`, or `auto` for the first accelerator, else the CPU.
        precision: `float32`, `bfloat16`, or `auto` for what the run's plan measured on the same kind of
            device.
        engine: Of a network for images, what computes: `torch`; `auto` for the fastest here, which takes
            about 20 seconds to measure the first time; or a name, e.g. `onnxruntime`
            (docs/how-to/engines.md).
        batch_size: Images that will be computed at once, for which an engine is chosen or compiled; 0 takes
            32, the batch of a list.

    Returns:
        A Classifier, which takes files, pictures or arrays; of a network for clips or boxes, the predictor of
        its task: `ClipPredictor` or `BoxPredictor`; of an exported file, an `ExportedClassifier`.

    Raises:
        CheckpointError: There is no network, or a byte of it changed since it was written.
        ConfigError: The device, the precision, the engine or the name of the weights cannot be used.
        MissingPackageError: The network needs a package that is not installed.
    """
    path = Path(source)
    try:
        task = tasks.predict_task_of([path])
        predictor: Predictor[Any, Any] = task.load(path, weights=weights, device=device, precision=precision)
    except ImportError as error:
        raise missing_package(error) or error from None
    return predictor if engine == "torch" else _with_engine(predictor, engine, batch_size)


def _with_engine(predictor: Any, engine: str, batch_size: int) -> Any:
    """A classifier of torch on another engine."""
    from residua.predict.classifier import Classifier
    from residua.predict.picture_classifier import BATCH_SIZE

    if not isinstance(predictor, Classifier):
        reason = "it is for networks of torch that classify images"
        raise ConfigError(f"engine {engine!r}: {reason}: leave it out")
    return predictor.with_engine(engine, batch_size=batch_size or BATCH_SIZE)
