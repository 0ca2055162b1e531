"""A small network for exports: it names its classes, and the weights it began from."""

import torch

from residua.nn.network import Network, build
from residua.spec.provenance import Provenance
from small import arch, randomise_norms

ORIGIN = Provenance("resnet18.tests.v1", "MIT", "0" * 64)
CLASSES = ("a", "b\u00e9", "c")


def sample_network() -> Network:
    """The same network each time; it is in training mode, as after training."""
    torch.manual_seed(0)
    network = build(arch()).train()
    randomise_norms(network)
    network.class_names, network.pretrained_from = CLASSES, ORIGIN
    return network
