"""`residua.load`: the predictor of a trained network, whatever its task is."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

from residua import tasks
from residua.errors import missing_package

if TYPE_CHECKING:  # exported files need no torch
    from residua.predict.predictor import Predictor


def load(
    source: str | Path, *, weights: str = "auto", device: str = "auto", precision: str = "float32"
) -> "Predictor[Any, Any]":
    """Load a trained network for images, clips or boxes.

    Args:
        source: A run directory (its newest state), a saved folder, a checkpoint file, or an exported file
            (.onnx, .xml, .pt2); ONNX and OpenVINO files need no torch.
        weights: Of a run: `raw`, `ema` or `best`; `auto` is `ema` where the run averages weights, else `raw`.
        device: `cpu`, `cuda`, `mps`, or `auto` for the first accelerator, else the CPU.
        precision: `float32`, `bfloat16`, or `auto` for what the run's plan measured on the same kind of
            device.

    Returns:
        A Classifier, which takes files, pictures or arrays; of a network for clips or boxes, the predictor of
        its task: `ClipPredictor` or `BoxPredictor`; of an exported file, an `ExportedClassifier`.

    Raises:
        CheckpointError: There is no network, or a byte of it changed since it was written.
        ConfigError: The device, the precision or the name of the weights cannot be used.
        MissingPackageError: The network needs a package that is not installed.
    """
    path = Path(source)
    try:
        task = tasks.predict_task_of([path])
        predictor: Predictor[Any, Any] = task.load(path, weights=weights, device=device, precision=precision)
    except ImportError as error:
        raise missing_package(error) or error from None
    return predictor
