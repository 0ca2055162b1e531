"""A study never touches what it studies: it works on a copy, and says so with an assertion."""

import copy
import hashlib
from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn

from residua.nn.network import Network


@contextmanager
def twin_of(network: Network, *, dtype: torch.dtype = torch.float32) -> Iterator[Network]:
    """A copy of `network` in eval mode and `dtype`, without gradients; `network` is as it was, asserted."""
    before = fingerprint(network)
    twin = copy.deepcopy(network).eval().requires_grad_(False).to(dtype)
    twin.set_grad_checkpointing(False)
    try:
        yield twin
    finally:
        assert fingerprint(network) == before, "a study changed the network"


def settled(network: Network, images: Tensor) -> Network:
    """A copy of a fresh `network` whose norms have counted the statistics of `images`, (N, C, H, W) float.

    Without that its eval mode means nothing: the norms would divide by one.
    """
    twin = copy.deepcopy(network).train()
    for module in twin.modules():
        if isinstance(module, nn.modules.batchnorm._BatchNorm):
            module.momentum = None  # the mean over all batches, which here is one
    with torch.no_grad(), torch.random.fork_rng(devices=[]):
        twin(images)
    return twin.eval()


def fingerprint(network: Network) -> str:
    """SHA-256 of every weight, running statistic, gradient, mode and hook of `network`."""
    digest = hashlib.sha256()
    for name, value in network.state_dict().items():
        digest.update(f"{name} {value.dtype} {tuple(value.shape)}".encode())
        digest.update(value.detach().cpu().contiguous().flatten().view(torch.uint8).numpy().tobytes())
    for name, parameter in network.named_parameters():
        held = None if parameter.grad is None else float(parameter.grad.double().sum())
        digest.update(f"{name} {parameter.requires_grad} {held}".encode())
    for name, module in network.named_modules():
        hooks = len(module._forward_hooks) + len(module._forward_pre_hooks) + len(module._backward_hooks)
        digest.update(f"{name} {module.training} {hooks}".encode())
    return digest.hexdigest()
