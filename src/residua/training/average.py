"""Averages beside the updates: the moving average of the weights, and recalibrated batch norms."""

import copy
from collections.abc import Iterable

import torch
from torch import Tensor, nn

from residua.data.batches import Batch
from residua.data.transforms import normalise
from residua.nn.clips import layout
from residua.nn.letters import BATCH_NORMS
from residua.nn.network import Network
from residua.spec.recipe import Averaging, Plan


class EmaWeights:
    """The exponential moving average of a network's weights and statistics, as a network in eval mode."""

    def __init__(self, network: Network, averaging: Averaging) -> None:
        """Start from the weights of `network`."""
        self.network = copy.deepcopy(network).requires_grad_(False).eval()
        self._averaging = averaging

    def update(self, network: Network, step: int) -> None:
        """Move the average towards the weights after update `step`, from 1, if an update is due.

        With `lookahead` the network continues from the average. The decay depends on the step alone, so that
        a resumed run computes the same average.
        """
        if step % self._averaging.every:
            return
        updates = step // self._averaging.every
        decay = min(self._averaging.ema_decay, (1 + updates) / (10 + updates))
        means, values = _float_tensors(self.network), _float_tensors(network)
        torch._foreach_lerp_(means, values, 1 - decay)
        for mine, other in _integer_tensors(self.network, network):
            mine.copy_(other)
        if self._averaging.lookahead:
            torch._foreach_copy_(values, means)


def recalibrate_batch_norms(network: Network, batches: Iterable[Batch], plan: Plan) -> None:
    """Replace the statistics of every batch norm by their plain mean over `batches`; weights stay.

    The released models of He et al. 2015 carry such statistics (their README). The network is left in eval
    mode.

    Args:
        network: The network on the plan's device.
        batches: Batches of training images.
        plan: Device, precision and memory format.
    """
    norms = [layer for layer in network.modules() if isinstance(layer, BATCH_NORMS)]
    if not norms:
        return
    momenta = [norm.momentum for norm in norms]
    device = torch.device(plan.device)
    network.eval()
    for norm in norms:
        norm.reset_running_stats()
        norm.momentum = None  # torch then takes the plain mean
        norm.train()
    with torch.no_grad(), torch.autocast(device.type, torch.bfloat16, enabled=plan.precision == "bfloat16"):
        for batch in batches:
            images = normalise(batch.images.to(device, non_blocking=True), network.preprocess)
            network(images.contiguous(memory_format=layout(plan.memory_format, images.ndim)))
    for norm, momentum in zip(norms, momenta, strict=True):
        norm.momentum = momentum
    network.eval()


def _float_tensors(network: nn.Module) -> list[Tensor]:
    return [value.detach() for value in network.state_dict().values() if value.is_floating_point()]


def _integer_tensors(network: nn.Module, other: nn.Module) -> list[tuple[Tensor, Tensor]]:
    pairs = zip(network.state_dict().values(), other.state_dict().values(), strict=True)
    return [pair for pair in pairs if not pair[0].is_floating_point()]
