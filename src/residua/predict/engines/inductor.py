"""torch.compile with inductor: the whole network as generated code, for one batch size.

Larger batches are cut into such batches, and the network as it is computes the rest. With `freezing` the
weights are constants of the code, in the order of memory in which its convolutions read them fastest.
"""

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from residua.nn.network import Network
from residua.predict.engines.torch_eager import TorchEngine
from residua.predict.predictor import autocast, network_inputs
from residua.spec.recipe import Plan

MAX_AUTOTUNE = {"max_autotune": True, "triton.cudagraphs": True, "coordinate_descent_tuning": True}
"""Options of torch.compile for a GPU: kernels are chosen by measuring, and launched as one graph."""


class InductorEngine:
    """A network compiled for one batch size, under a plan.

    Attributes:
        name: How people read it.
        batch_size: Views that the code computes at once.
    """

    def __init__(
        self, network: Network, plan: Plan, *, batch_size: int, options: dict[str, Any], name: str
    ) -> None:
        """Copy the network and compile it, which takes from 10 seconds to minutes.

        Args:
            network: The network, which stays as it is.
            plan: Device, memory format, precision and threads.
            batch_size: Views that are computed at once.
            options: Options of torch.compile, e.g. `{"freezing": True}`.
            name: How people read the engine.

        Raises:
            Exception: Whatever torch.compile raises where it has no compiler, or cannot compile the network.
        """
        self.name, self.batch_size = name, batch_size
        self._eager = TorchEngine(network, plan, name=name)
        self._compiled = torch.compile(self._eager.network, dynamic=False, fullgraph=True, options=options)
        preprocess = network.preprocess
        shape = (batch_size, preprocess.channels, preprocess.size, preprocess.size)
        self._compute(np.zeros(shape, np.uint8))

    def logits(self, views: NDArray[np.uint8]) -> NDArray[np.float32]:
        """The logits of views; see `Engine`."""
        whole = len(views) - len(views) % self.batch_size
        starts = range(0, whole, self.batch_size)
        parts = [self._compute(views[start : start + self.batch_size]) for start in starts]
        if whole < len(views):
            parts.append(self._eager.logits(views[whole:]))
        return np.concatenate(parts)

    @torch.no_grad()  # freezing does not accept tensors of inference mode
    def _compute(self, views: NDArray[np.uint8]) -> NDArray[np.float32]:
        """The logits of as many views as the code is for."""
        eager = self._eager
        inputs = network_inputs(torch.from_numpy(views), eager.network.preprocess, eager.plan)
        with autocast(eager.plan):
            logits: Tensor = self._compiled(inputs)
        rows: NDArray[np.float32] = logits.float().cpu().numpy()
        return rows
