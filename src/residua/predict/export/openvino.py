"""A network as a model of OpenVINO, converted from torch's graph and not through ONNX."""

from typing import TYPE_CHECKING

from residua.nn.network import Network
from residua.predict.export.facts import KEY, Takes
from residua.predict.export.graph import ExportGraph, export_graph, without_warnings
from residua.predict.openvino_package import import_openvino

if TYPE_CHECKING:
    import openvino


def openvino_model(network: Network, *, takes: Takes = "inputs") -> "openvino.Model":
    """A network as a model of OpenVINO, with float32 weights.

    Args:
        network: With a last layer.
        takes: What the graph reads, and the name of its input. Its output is `logits`, float32 (n, classes).

    Raises:
        MissingPackageError: OpenVINO is not installed.
        ValueError: The network has no last layer.
    """
    return convert_to_openvino(export_graph(network, takes=takes))


def convert_to_openvino(graph: ExportGraph) -> "openvino.Model":
    """A graph as a model of OpenVINO; raises as `openvino_model`."""
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
