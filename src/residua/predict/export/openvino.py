"""A network as a model of OpenVINO, converted from torch's graph and not through ONNX."""

from typing import TYPE_CHECKING

from residua.predict.export.facts import KEY
from residua.predict.export.graph import ExportGraph, without_warnings
from residua.predict.openvino_package import import_openvino

if TYPE_CHECKING:
    import openvino


def convert_to_openvino(graph: ExportGraph) -> "openvino.Model":
    """A graph as a model of OpenVINO, with float32 weights. Its output is `logits`, float32 (n, classes).

    Raises:
        MissingPackageError: OpenVINO is not installed.
    """
    library = import_openvino()
    with without_warnings():
        model: openvino.Model = library.convert_model(graph.program)
    name, facts = graph.facts.takes, graph.made_with(f"openvino {library.__version__}").facts
    # The converter leaves height and width of the input free, but the network reads one size.
    model.reshape({0: [*graph.shape]})
    model.input(0).set_names({name})
    model.input(0).node.set_friendly_name(name)
    model.output(0).set_names({"logits"})
    model.set_rt_info(facts.to_text(), KEY)
    return model
