"""Copies of a network to work on, so that a study never changes the network it is given."""

import copy
import hashlib
from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor

from residua.nn.letters import BATCH_NORMS
from residua.nn.network import Network


@contextmanager
def working_copy(network: Network, *, dtype: torch.dtype = torch.float32) -> Iterator[Network]:
    """Copy a network for the length of a `with` block, and assert that the network itself did not change.

    Args:
        network: The network under study; its weights, statistics, gradients, modes and hooks are compared.
        dtype: Of the copy.

    Yields:
        The copy: in eval mode, without gradients and without gradient checkpointing.
    """
    before = fingerprint(network)
    work = copy.deepcopy(network).eval().requires_grad_(False).to(dtype)
    work.set_grad_checkpointing(False)
    try:
        yield work
    finally:
        assert fingerprint(network) == before, "a study changed the network"


def recalibrated_copy(network: Network, images: Tensor) -> Network:
    """Copy an untrained network and give its batch norms the statistics of some images.

    Without them its eval mode means nothing, for the norms would divide by one.

    Args:
        network: A network with fresh weights.
        images: (N, C, H, W) float, preprocessed; one batch.

    Returns:
        The copy, in eval mode.
    """
    work = copy.deepcopy(network).train()
    for module in work.modules():
        if isinstance(module, BATCH_NORMS):
            module.momentum = None  # the mean over all batches, which here is one
    with torch.no_grad(), torch.random.fork_rng(devices=[]):
        work(images)
    return work.eval()


def fingerprint(network: Network) -> str:
    """SHA-256 of every weight, running statistic, gradient, mode and hook of `network`."""
    digest = hashlib.sha256()
    for name, value in network.state_dict().items():
        digest.update(f"{name} {value.dtype} {tuple(value.shape)}".encode())
        digest.update(value.detach().cpu().contiguous().flatten().view(torch.uint8).numpy().tobytes())
    for name, parameter in network.named_parameters():
        gradient = None if parameter.grad is None else float(parameter.grad.double().sum())
        digest.update(f"{name} {parameter.requires_grad} {gradient}".encode())
    for name, module in network.named_modules():
        hooks = len(module._forward_hooks) + len(module._forward_pre_hooks) + len(module._backward_hooks)
        digest.update(f"{name} {module.training} {hooks}".encode())
    return digest.hexdigest()
