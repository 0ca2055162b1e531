"""ONNX Runtime on the CPU: a file or a model in memory as an engine; it needs no torch.

All threads compute one batch together; or, with `split`, each of them computes a part of the batch alone.
Threads that do not wait for each other after every layer are faster where others use the machine, too.
"""

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from residua.errors import CheckpointError, ConfigError
from residua.nn.processor import usable_cores
from residua.predict.engines.normalise import normalise_views
from residua.spec.preprocess import Preprocess

INSTALL = "pip install 'residua[onnx]'"
"""What brings ONNX Runtime."""


class OnnxRuntimeEngine:
    """An ONNX model whose output is logits, in a session of ONNX Runtime.

    Attributes:
        name: How people read it.
        preprocess: How views become the input of the model; None where it reads images as they are.
        session: The session.
    """

    def __init__(
        self,
        model: str | Path | bytes,
        preprocess: Preprocess | None,
        *,
        threads: int = 0,
        split: bool = False,
        name: str = "onnxruntime",
    ) -> None:
        """Prepare the model for this machine.

        Args:
            model: A file, or its bytes.
            preprocess: How views become its input, normalised float32 (n, C, S, S); None where the
                model reads images as they are.
            threads: Threads that compute; 0 takes one for each core that this process may use.
            split: Whether each thread computes a part of the batch alone.
            name: How people read the engine.

        Raises:
            ConfigError: ONNX Runtime is not installed.
            CheckpointError: The model is damaged, or this version of ONNX Runtime cannot compute it.
        """
        self.name, self.preprocess = name, preprocess
        threads = threads or usable_cores()
        self.session = _session(model, threads=1 if split else threads)
        self._input = self.session.get_inputs()[0].name
        self._parts = threads if split else 1
        self._pool = ThreadPoolExecutor(self._parts, "residua-onnxruntime")

    def logits(self, views: NDArray[np.uint8]) -> NDArray[np.float32]:
        """The logits of views; see `Engine`. A model that reads images takes them here, (n, H, W, C)."""
        parts = min(self._parts, len(views))
        if parts == 1:
            return self._run(views)
        return np.concatenate([*self._pool.map(self._run, np.array_split(views, parts))])

    def _run(self, views: NDArray[np.uint8]) -> NDArray[np.float32]:
        """The logits of views, computed from the calling thread."""
        inputs = views if self.preprocess is None else normalise_views(views, self.preprocess)
        logits: NDArray[np.float32] = self.session.run(None, {self._input: inputs})[0]
        return logits


def import_onnxruntime() -> Any:
    """The module `onnxruntime`. ConfigError where it is not installed."""
    try:
        import onnxruntime
    except ImportError:
        raise ConfigError(f"ONNX Runtime is not installed: {INSTALL}") from None
    return onnxruntime


def _session(model: str | Path | bytes, *, threads: int) -> Any:
    """A session on the CPU, in which so many threads compute one batch together."""
    onnxruntime = import_onnxruntime()
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.log_severity_level = 3  # errors alone: it warns of each constant that it computes beforehand
    try:
        source = model if isinstance(model, bytes) else str(model)
        # A file of a few bytes may describe a constant of any size. The exporter has folded ours already.
        return onnxruntime.InferenceSession(
            source, options, providers=["CPUExecutionProvider"], disabled_optimizers=["ConstantFolding"]
        )
    except Exception as error:  # its errors have no common class but Exception
        where = "the model in memory" if isinstance(model, bytes) else model
        cause = " ".join(str(error).split())[:200]
        raise CheckpointError(f"{where} cannot be used by ONNX Runtime ({cause}): export it again") from None
