"""torch as it is, layer by layer: the engine that all others are compared with, on any device."""

import copy

import numpy as np
import torch
from numpy.typing import NDArray

from residua.nn.device import place_network
from residua.nn.network import Network
from residua.predict.predictor import compute_logits
from residua.spec.recipe import Plan


class TorchEngine:
    """A network of torch under a plan.

    Attributes:
        name: How people read it.
        network: A copy of the network, in eval mode, placed as `plan` says.
        plan: Device, memory format, precision and threads.
    """

    def __init__(self, network: Network, plan: Plan, *, name: str) -> None:
        """Copy the network and place it.

        Args:
            network: The network, which stays as it is.
            plan: Device, memory format, precision and threads.
            name: How people read the engine.
        """
        self.name, self.plan = name, plan
        self.network = place_network(copy.deepcopy(network), plan).eval()

    def logits(self, views: NDArray[np.uint8]) -> NDArray[np.float32]:
        """The logits of views; see `Engine`."""
        logits: NDArray[np.float32] = (
            compute_logits(self.network, torch.from_numpy(views), self.plan).cpu().numpy()
        )
        return logits
