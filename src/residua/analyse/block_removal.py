"""Blocks removed from a trained network at will, fast enough to watch (after Veit et al. 2016).

The maps that some of the blocks read stay in memory, as many as `MAX_BYTES` allow, spread over the depth.
A removal changes nothing before the first removed block, so computing starts at the last of these maps that
is not behind it. Results stay in memory, too: going back on the slider computes nothing.
"""

import threading
from collections import OrderedDict

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from residua.analyse.blocks import stem_output
from residua.analyse.lesion import without_branches
from residua.errors import ConfigError
from residua.nn.network import Network

MAX_BYTES = 48 << 20
"""Memory for maps. Ours: a page may watch two networks, and the server stays below 300 MB."""
MAX_RESULTS = 256
"""Sets of removed blocks whose results stay in memory."""


class BlockRemoval:
    """A network without some of its blocks, on the same images again and again. Threads may share it."""

    def __init__(self, network: Network, inputs: Tensor, *, max_bytes: int = MAX_BYTES) -> None:
        """Compute the network as it is.

        Args:
            network: A trained network for images, in eval mode; it is not changed.
            inputs: (N, C, S, S) float, preprocessed, on the network's device.
            max_bytes: Memory for maps, in bytes.

        Raises:
            ConfigError: The network reads clips.
        """
        if network.arch.clip:
            raise ConfigError(f"{network.arch.name} reads clips: remove blocks of a network for images")
        self._network, self._inputs = network, inputs
        self._blocks = network.blocks()
        self._replacements = without_branches(network)
        self.names = tuple(network.block_names())
        """Blocks, in order: `stages.1.4`."""
        self.removable = tuple(replacement is not None for replacement in self._replacements)
        """Whether each block can be removed."""
        self._maps: dict[int, Tensor] = {}
        self._results: OrderedDict[frozenset[int], NDArray[np.float32]] = OrderedDict()
        self._lock = threading.Lock()
        with torch.inference_mode():
            self._keep_maps(max_bytes)

    def probabilities(self, removed: frozenset[int] = frozenset()) -> NDArray[np.float32]:
        """(N, classes) what the network predicts without the blocks `removed`, counted from 0.

        Raises:
            ConfigError: There is no such block, or it cannot be removed.
        """
        for number in removed:
            if not 0 <= number < len(self.names):
                raise ConfigError(f"no block {number}: {self._network.arch.name} has {len(self.names)}")
            if not self.removable[number]:
                raise ConfigError(
                    f"block {self.names[number]} cannot be removed: it changes the width and has no shortcut"
                )
        with self._lock:
            if removed not in self._results:
                with torch.inference_mode():
                    self._results[removed] = self._compute(removed)
                while len(self._results) > MAX_RESULTS:
                    self._results.popitem(last=False)
            self._results.move_to_end(removed)
            return self._results[removed]

    def _keep_maps(self, max_bytes: int) -> None:
        """Compute the network once, and keep the maps that every n-th block reads."""
        y, every = stem_output(self._network, self._inputs), 1
        for number, block in enumerate(self._blocks):
            if number % every == 0:
                self._maps[number] = y
            while sum(value.nbytes for value in self._maps.values()) > max_bytes:
                every *= 2
                self._maps = {
                    n: value for n, value in self._maps.items() if n % every == 0 and every <= number
                }
            y = block(y)
        self._results[frozenset()] = self._logits_to_probabilities(y)

    def _compute(self, removed: frozenset[int]) -> NDArray[np.float32]:
        first = min(removed)
        start = max((number for number in self._maps if number <= first), default=-1)
        y = stem_output(self._network, self._inputs) if start < 0 else self._maps[start]
        for number in range(max(start, 0), len(self._blocks)):
            module = self._replacements[number] if number in removed else self._blocks[number]
            assert module is not None
            y = module(y)
        return self._logits_to_probabilities(y)

    def _logits_to_probabilities(self, y: Tensor) -> NDArray[np.float32]:
        logits = self._network.forward_head(self._network.tail(y))
        probabilities: NDArray[np.float32] = torch.softmax(logits.float(), 1).cpu().numpy()
        return probabilities
