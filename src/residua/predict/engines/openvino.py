"""OpenVINO on the CPU: a file or a model in memory as an engine; it needs no torch.

With the hint `latency` all threads compute one batch together. With `throughput` there are several streams,
each of which computes a part of the batch with threads of its own. OpenVINO normalises inside the graph.
A model that is compiled for one batch size spends no time on shapes, which matters for small networks; other
sizes are computed by a second compilation, made when the first of them comes.
"""

from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from numpy.typing import NDArray

from residua.errors import CheckpointError, ConfigError
from residua.predict.engines.normalise import normalise_views
from residua.predict.openvino_package import import_openvino, openvino_core
from residua.spec.preprocess import Preprocess

if TYPE_CHECKING:
    import openvino

Hint = Literal["latency", "throughput"]
"""What OpenVINO is to be fast at."""
INSTALL = "pip install 'residua[openvino]'"
"""What brings OpenVINO."""


class OpenVinoEngine:
    """An OpenVINO model whose output is logits, compiled for this machine.

    Attributes:
        name: How people read it.
        preprocess: How views become the input of the model; None where it reads images as they are.
        compiled: The model as OpenVINO compiled it, for `batch_size` where that was given.
    """

    def __init__(
        self,
        model: "str | Path | bytes | openvino.Model",
        preprocess: Preprocess | None,
        *,
        hint: Hint = "latency",
        precision: Literal["float32", "fastest"] = "float32",
        threads: int = 0,
        batch_size: int = 0,
        name: str = "openvino",
    ) -> None:
        """Compile the model for this machine.

        Args:
            model: The .xml file with its .bin file beside it, an .onnx file or its bytes, or a model,
                which is copied.
            preprocess: How views become its input, normalised float32 (n, C, S, S); None where the
                model reads images as they are.
            hint: What OpenVINO is to be fast at.
            precision: `fastest` lets OpenVINO compute in bfloat16 where the processor has units for it.
            threads: Threads that compute; 0 lets OpenVINO choose.
            batch_size: Views that most calls have, for the hint `latency`; 0 for any number.
            name: How people read the engine.

        Raises:
            ConfigError: OpenVINO is not installed.
            CheckpointError: The model is damaged, or this version of OpenVINO cannot compute it.
        """
        self.name, self.preprocess = name, preprocess
        settings: dict[str, Any] = {"PERFORMANCE_HINT": hint.upper()}
        if precision == "float32":
            settings["INFERENCE_PRECISION_HINT"] = "f32"
        if threads:
            settings["INFERENCE_NUM_THREADS"] = threads
        self._model, self._settings = _prepared(model, preprocess), settings
        is_fixed = hint == "latency" and preprocess is not None
        self._batch_size = batch_size if is_fixed else 0
        self.compiled = _compile(self._model, settings, self._batch_size)
        self._requests = _requests_of(self.compiled)
        self._other_requests: list[Any] = [] if self._batch_size else self._requests

    def logits(self, views: NDArray[np.uint8]) -> NDArray[np.float32]:
        """The logits of views; see `Engine`. A model that reads images takes them here, (n, H, W, C)."""
        if self.preprocess is not None and self.preprocess.mean_image:
            return self._run(normalise_views(views, self.preprocess))
        return self._run(views)

    def _run(self, inputs: NDArray[Any]) -> NDArray[np.float32]:
        """The first output for inputs, of which each stream computes a part."""
        requests = self._requests_for(len(inputs))
        parts = np.array_split(inputs, min(len(requests), len(inputs)))
        requests = requests[: len(parts)]
        for request, part in zip(requests, parts, strict=True):
            request.start_async([np.ascontiguousarray(part)], share_inputs=False)
        for request in requests:
            request.wait()
        return np.concatenate([request.get_output_tensor(0).data for request in requests])

    def _requests_for(self, count: int) -> list[Any]:
        """The requests that compute so many views."""
        if count == self._batch_size:
            return self._requests[:1]
        if not self._other_requests:
            self._other_requests = _requests_of(_compile(self._model, self._settings, 0))
        return self._other_requests


def _requests_of(compiled: Any) -> list[Any]:
    """One request for each stream of a compiled model; they are waited for one by one."""
    count = compiled.get_property("OPTIMAL_NUMBER_OF_INFER_REQUESTS")
    return [compiled.create_infer_request() for _ in range(count)]


def _prepared(model: Any, preprocess: Preprocess | None) -> Any:
    """A model of our own, which reads uint8 unless a mean image is subtracted before."""
    try:
        core = openvino_core()
    except ImportError:
        raise ConfigError(f"OpenVINO is not installed: {INSTALL}") from None
    try:
        network = _read(core, model) if isinstance(model, str | Path | bytes) else model.clone()
        if preprocess is not None and not preprocess.mean_image:
            network = _with_normalisation(network, preprocess)
        return network
    except RuntimeError as error:
        raise _unusable(model, error) from None


def _compile(network: Any, settings: dict[str, Any], batch_size: int) -> Any:
    """A prepared model compiled for the CPU, for one batch size or, with 0, for all."""
    try:
        if batch_size:
            network = network.clone()
            network.reshape([batch_size, *list(network.input(0).partial_shape)[1:]])
        return openvino_core().compile_model(network, "CPU", settings)
    except RuntimeError as error:
        raise _unusable(network, error) from None


def _unusable(model: Any, error: RuntimeError) -> CheckpointError:
    where = model if isinstance(model, str | Path) else "the model in memory"
    cause = " ".join(str(error).split())[:200]
    return CheckpointError(f"{where} cannot be used by OpenVINO ({cause}): export it again")


def _read(core: Any, model: str | Path | bytes) -> Any:
    """The model in a file, or in the bytes of an ONNX file."""
    return core.read_model(model if isinstance(model, bytes) else str(model))


def _with_normalisation(model: Any, preprocess: Preprocess) -> Any:
    """A model that reads uint8 (n, C, S, S) and normalises it first."""
    from openvino.preprocess import PrePostProcessor

    library = import_openvino()
    steps, layout = PrePostProcessor(model), library.Layout("NCHW")
    steps.input().tensor().set_element_type(library.Type.u8).set_layout(layout)
    steps.input().model().set_layout(layout)
    mean, std = ([255 * value for value in values] for values in (preprocess.mean, preprocess.std))
    steps.input().preprocess().convert_element_type(library.Type.f32).mean(mean).scale(std)
    return steps.build()
