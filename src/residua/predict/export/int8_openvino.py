"""int8 for OpenVINO, by NNCF: fake quantisers in the graph, which OpenVINO turns into int8 kernels."""

import logging
from collections.abc import Collection, Iterator
from contextlib import redirect_stdout
from io import StringIO
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from residua.errors import ConfigError
from residua.events import Listen
from residua.predict.engines.normalise import normalise_views
from residua.predict.engines.openvino import INSTALL, OpenVinoEngine
from residua.predict.export.facts import KEY, ExportFacts
from residua.predict.export.int8 import MAX_DROP, Int8Accuracy, Int8Data, quantise_within
from residua.predict.openvino_package import only_one_core, switch_telemetry_off

if TYPE_CHECKING:
    import openvino

WEIGHTED = ("Convolution", "GroupConvolution", "MatMul")
"""Operations with weights; the network begins with one of them, after any preprocessing in the graph."""
OTHERS = ("Add", "Multiply", "MaxPool", "AvgPool", "ReduceMean", "Concat")
"""Other operations that compute in int8, unless they add or multiply a constant: that is a bias or a norm."""


def int8_openvino(
    model: "openvino.Model", data: Int8Data, *, max_drop: float = MAX_DROP, listen: Listen
) -> tuple["openvino.Model", Int8Accuracy]:
    """A model of OpenVINO in int8.

    Args:
        model: The float32 model, which stays as it is.
        data: Images to calibrate and to measure.
        max_drop: Most top-1 accuracy that may be lost, in percentage points.
        listen: Hears what is being done.

    Returns:
        The model, whose facts name precision and calibration, and what int8 costs.

    Raises:
        ConfigError: NNCF is not installed.
        CheckpointError: More is lost.
        DataError: An image cannot be decoded.
    """
    quantised, accuracy = quantise_within(
        OpenVinoQuantiser(model, data), data, max_drop=max_drop, listen=listen
    )
    facts = data.facts.changed(precision="int8", calibration=accuracy.sentence())
    quantised.set_rt_info(_made_here(facts).to_text(), KEY)
    return quantised, accuracy


class OpenVinoQuantiser:
    """`Quantiser` of a model of OpenVINO.

    Attributes:
        operations: Names of the operations that can be quantised.
    """

    def __init__(self, model: "openvino.Model", data: Int8Data) -> None:
        self._model, self._data = model, data
        network = _network_operations(model)
        self.operations = tuple(each.get_friendly_name() for each in network if _computes_in_int8(each))
        before = {each.get_friendly_name() for each in model.get_ordered_ops()}
        self._preprocessing = sorted(before - {each.get_friendly_name() for each in network})

    def quantised(self, operations: Collection[str], arrays: Iterator[NDArray[np.uint8]]) -> "openvino.Model":
        """The model with these operations in int8."""
        nncf = import_nncf()
        floats = [name for name in self.operations if name not in operations]
        with only_one_core(), redirect_stdout(StringIO()):  # its bars are drawn there
            model: openvino.Model = nncf.quantize(
                self._model.clone(),
                nncf.Dataset([*arrays], self._input),
                subset_size=len(self._data.calibration),
                preset=nncf.QuantizationPreset.PERFORMANCE,
                ignored_scope=nncf.IgnoredScope(names=[*self._preprocessing, *floats], validate=False),
                advanced_parameters=_parameters(nncf),
            )
        return model

    def engine(self, model: "openvino.Model | None" = None) -> OpenVinoEngine:
        """A compiled model."""
        return OpenVinoEngine(model or self._model, self._data.input_preprocess)

    def _input(self, array: NDArray[np.uint8]) -> NDArray[Any]:
        preprocess = self._data.input_preprocess
        return array if preprocess is None else normalise_views(array, preprocess)


def import_nncf() -> Any:
    """The module `nncf`, which sends nothing and prints nothing.

    Raises:
        ConfigError: It is not installed.
    """
    switch_telemetry_off()
    # NNCF imports a module of torch that warns of a missing GPU wherever a compiler for one is installed.
    logging.getLogger("torch.utils.cpp_extension").setLevel(logging.ERROR)
    try:
        import nncf
    except ImportError:
        raise ConfigError(f"int8 for OpenVINO needs NNCF: {INSTALL}") from None
    nncf.set_log_level(logging.ERROR)
    return nncf


def _parameters(nncf: Any) -> Any:
    """7-bit weights, ranges from the smallest to the largest value, and no correction of biases.

    Of a real ResNet-20 for CIFAR-10 with 804 mistakes in 10,000 this made 816; NNCF's defaults, which correct
    biases, made 846 of it.
    """
    from nncf.quantization.range_estimator import RangeEstimatorParametersSet

    return nncf.AdvancedQuantizationParameters(
        overflow_fix=nncf.OverflowFix.ENABLE,
        activations_range_estimator_params=RangeEstimatorParametersSet.MINMAX,
        disable_bias_correction=True,
    )


def _network_operations(model: Any) -> list[Any]:
    """The operations from the first one with weights on: what comes before it is preprocessing."""
    reached: set[str] = set()
    network = []
    for operation in model.get_ordered_ops():
        is_first = operation.get_type_name() in WEIGHTED and _reads_constant(operation)
        if is_first or any(each.get_friendly_name() in reached for each in _sources(operation)):
            reached.add(operation.get_friendly_name())
            network.append(operation)
    return network


def _computes_in_int8(operation: Any) -> bool:
    kind = operation.get_type_name()
    is_sum = kind in ("Add", "Multiply")
    return kind in WEIGHTED or (kind in OTHERS and not (is_sum and _reads_constant(operation)))


def _reads_constant(operation: Any) -> bool:
    return any(each.get_type_name() == "Constant" for each in _sources(operation))


def _sources(operation: Any) -> list[Any]:
    return [value.get_node() for value in operation.input_values()]


def _made_here(facts: ExportFacts) -> ExportFacts:
    return facts.changed(made_with=f"{facts.made_with}, nncf {import_nncf().__version__}")
