"""LatestModel: the network of the run that an image was tried on last.

The files of the run's states are part of its key, so a run that is being trained gives its newest network.
"""

from pathlib import Path
from typing import Any

from residua.serve.loading import load_model
from residua.serve.model import ServedModel

TOPK = 5
"""Classes of an image."""


class LatestModel:
    """The network that was used last."""

    def __init__(self) -> None:
        self._key: tuple[str, tuple[tuple[str, int], ...]] | None = None
        self._model: ServedModel | None = None

    def predict(self, run: Path, image: bytes) -> dict[str, Any]:
        """The likeliest classes, or the boxes, of an encoded image.

        Raises:
            DataError: The image cannot be read.
            CheckpointError: The run has no network yet, or it is damaged.
        """
        files = sorted((run / "checkpoints").glob("*.safetensors"))
        key = str(run), tuple((file.name, file.stat().st_mtime_ns) for file in files)
        if self._key != key or self._model is None:
            self._model, self._key = None, None
            self._model, self._key = load_model(run, engine="torch"), key
        (output,) = self._model.compute([self._model.read(image)])
        return self._model.describe(output, min(TOPK, len(self._model.classes)))
