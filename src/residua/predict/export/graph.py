"""ExportGraph: a network with folded norms, traced by torch.export; every target is written from it."""

import hashlib
import logging
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.export import Dim, ExportedProgram

from residua.errors import ConfigError
from residua.nn.network import Network
from residua.predict.engines.folding import fold_norms
from residua.predict.export.facts import ExportFacts, Takes
from residua.predict.export.in_graph import NetworkOfImages
from residua.version import __version__
from residua.weights.load import head_keys

EXAMPLES = 2
"""Inputs in the example that is traced. With one, torch.export makes the batch a constant 1."""
AXES = {"inputs": ("n",), "images": ("n", "height", "width")}
"""What a graph takes -> names of the leading axes that are free."""

Compute = Callable[[NDArray[Any]], NDArray[np.float32]]
"""Arrays as the graph takes them -> logits (n, classes)."""


@dataclass(frozen=True, slots=True)
class ExportGraph:
    """A network as a graph of torch, and what its file says of itself."""

    program: ExportedProgram
    """The graph; its input is named by `facts.takes`, its output is the logits."""
    shape: tuple[int, ...]
    """Shape of the input; -1 for an axis that is free."""
    facts: ExportFacts
    """Network, preprocessing, classes, digest and versions."""

    @property
    def weight_bytes(self) -> int:
        """Size of all weights and constants."""
        return sum(value.nbytes for value in [*self.program.state_dict.values(), *_constants(self.program)])

    def made_with(self, versions: str) -> "ExportGraph":
        """The same graph; its facts also name the library that writes the file, e.g. `onnx 1.23.2`."""
        return replace(self, facts=self.facts.changed(made_with=f"{self.facts.made_with}, {versions}"))


def export_graph(network: Network, *, takes: Takes = "inputs") -> ExportGraph:
    """Trace a network.

    Args:
        network: With a last layer; it stays as it is.
        takes: What the graph reads.

    Returns:
        The graph. Its batch is free; so are, of `images`, height and width.

    Raises:
        ConfigError: The graph shall read images, and the network reads clips or bands.
        ValueError: The network has no last layer.
    """
    if not head_keys(network):
        raise ValueError(f"{network.arch.name} has no last layer: reset_classifier(n) makes one")
    if takes == "images" and (network.arch.clip or network.preprocess.colour == "bands"):
        kind = "clips" if network.arch.clip else "bands"
        raise ConfigError(f"{network.arch.name} reads {kind}: leave --with-preprocessing out")
    folded, _ = fold_norms(network)
    module, example = _MODULES[takes](folded.cpu().float()), _example(network, takes)
    free = [Dim(name, min=1) for name in AXES[takes]]
    with torch.no_grad(), without_warnings():
        program = torch.export.export(module, (example,), dynamic_shapes={takes: dict(enumerate(free))})
    for node in program.graph.nodes:  # lines and folders of this machine's Python
        node.meta.pop("stack_trace", None)
    shape = (*[-1] * len(free), *example.shape[len(free) :])
    return ExportGraph(program, shape, _facts(network, takes))


class NetworkOfInputs(nn.Module):
    """A network whose input has the name that it has in a file."""

    def __init__(self, network: Network) -> None:
        super().__init__()
        self.network = network

    def forward(self, inputs: Tensor) -> Tensor:
        """Normalised inputs (n, C, ..., S, S) -> logits (n, classes)."""
        logits: Tensor = self.network(inputs)
        return logits


_MODULES: dict[Takes, Callable[[Network], nn.Module]] = {"inputs": NetworkOfInputs, "images": NetworkOfImages}
"""What a graph takes -> the module that is traced."""


def _example(network: Network, takes: Takes) -> Tensor:
    """Inputs or images as the network reads them."""
    preprocess, clip = network.preprocess, network.arch.clip
    if takes == "images":
        side = preprocess.resize + 1  # images of the network's own size would be a special case
        return torch.zeros(EXAMPLES, side, side + 1, preprocess.channels, dtype=torch.uint8)
    frames = (clip.total,) if clip else ()
    return torch.zeros(EXAMPLES, preprocess.channels, *frames, preprocess.size, preprocess.size)


def _facts(network: Network, takes: Takes) -> ExportFacts:
    origin = network.pretrained_from
    return ExportFacts(
        network.arch,
        network.preprocess,
        network.classes,
        weights_digest(network),
        takes,
        licence=origin.licence if origin else "",
        origin=origin.text if origin else "",
        made_with=f"residua {__version__}, torch {torch.__version__}",
    )


@contextmanager
def without_warnings() -> Iterator[None]:
    """Keep back the warnings of exporters and compilers, which are for their developers."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        logging.disable(logging.WARNING)
        try:
            yield
        finally:
            logging.disable(logging.NOTSET)


def weights_digest(network: nn.Module) -> str:
    """SHA-256 of the names, types, shapes and values of all weights and buffers, in hexadecimal."""
    digest = hashlib.sha256()
    for name, value in sorted(network.state_dict().items()):
        digest.update(f"{name} {value.dtype} {tuple(value.shape)}\n".encode())
        digest.update(value.cpu().contiguous().flatten().view(torch.uint8).numpy())
    return digest.hexdigest()


def _constants(program: ExportedProgram) -> list[Tensor]:
    return [value for value in program.constants.values() if isinstance(value, Tensor)]
