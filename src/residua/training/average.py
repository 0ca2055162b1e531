"""A running mean of the weights, and norms counted anew: what is computed beside the updates."""

import copy
from collections.abc import Iterable

import torch
from torch import Tensor, nn

from residua.data.batches import Batch
from residua.data.transforms import normalise
from residua.nn.clips import layout
from residua.nn.network import Network
from residua.spec.recipe import Averaging, Plan

NORMS = (nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d, nn.SyncBatchNorm)


class EmaWeights:
    """The mean of a network's weights and statistics over its updates: a network of its own, in eval mode."""

    def __init__(self, network: Network, how: Averaging) -> None:
        """Begin with the weights that `network` has."""
        self.network = copy.deepcopy(network).requires_grad_(False).eval()
        self._how = how

    def take(self, network: Network, step: int) -> None:
        """Move the mean towards `network` after update `step`, from 1, if it is time; with `back`, both ways.

        How far depends on the step alone, so that a resumed run does the same.
        """
        if step % self._how.every:
            return
        looks = step // self._how.every
        kept = min(self._how.ema_decay, (1 + looks) / (10 + looks))
        means, others = _floats(self.network), _floats(network)
        torch._foreach_lerp_(means, others, 1 - kept)
        for mine, other in _integers(self.network, network):
            mine.copy_(other)
        if self._how.lookahead:
            torch._foreach_copy_(others, means)


def recalibrate_batch_norms(network: Network, batches: Iterable[Batch], plan: Plan) -> None:
    """Replace the statistics of every batch norm by their plain mean over `batches`; the weights stay.

    This is what the released models of He et al. 2015 carry (their README). The network is left in eval mode.
    """
    norms = [layer for layer in network.modules() if isinstance(layer, NORMS)]
    if not norms:
        return
    held = [norm.momentum for norm in norms]
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
    for norm, momentum in zip(norms, held, strict=True):
        norm.momentum = momentum
    network.eval()


def _floats(network: nn.Module) -> list[Tensor]:
    return [value.detach() for value in network.state_dict().values() if value.is_floating_point()]


def _integers(network: nn.Module, other: nn.Module) -> list[tuple[Tensor, Tensor]]:
    pairs = zip(network.state_dict().values(), other.state_dict().values(), strict=True)
    return [pair for pair in pairs if not pair[0].is_floating_point()]
