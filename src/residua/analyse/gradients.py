"""How large the gradient of the loss is at every depth, as training would see it."""

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from residua.analyse.copies import twin_of
from residua.nn.blocks import ResidualBlock
from residua.nn.network import Network


@dataclass(frozen=True, slots=True)
class Gradients:
    """Norms by depth; finite and not zero in a network that can learn."""

    signals: tuple[float, ...]
    """Of the loss by the input of each block, the first to the last: root mean square over images."""
    layers: tuple[str, ...]
    """Convolutions off the shortcuts, in order."""
    weights: tuple[float, ...]
    """Of the loss by the weights of each, divided by the norm of those weights."""


def gradient_norms(network: Network, images: Tensor, labels: Tensor) -> Gradients:
    """Norms for `images`, normalised (N, C, H, W), and their `labels` (N,), in train mode, one batch.

    ValueError for fewer than two images, which have no batch statistics.
    """
    if len(images) < 2:
        raise ValueError(f"{len(images)} image: give at least 2, for norms look at the whole batch")
    with twin_of(network) as twin, torch.random.fork_rng(devices=[]), torch.enable_grad():
        torch.manual_seed(0)  # dropout
        twin.train().requires_grad_(True)
        inputs: list[Tensor] = []

        def keep(_: nn.Module, given: tuple[Tensor, ...]) -> None:
            given[0].retain_grad()
            inputs.append(given[0])

        for block in blocks(twin):
            block.register_forward_pre_hook(keep)
        torch.autograd.backward(cross_entropy(twin.forward_head(twin.forward_features(images)), labels))
        signals = []
        for x in inputs:
            assert x.grad is not None
            each = x.grad.flatten(1).norm(dim=1) * len(images)  # the loss is a mean over images
            signals.append(float(each.square().mean().sqrt()))
        convs = [
            (name, module)
            for name, module in twin.named_modules()
            if isinstance(module, nn.Conv2d) and ".shortcut." not in name and not name.startswith("sides.")
        ]
        weights = []
        for _, conv in convs:
            assert conv.weight.grad is not None
            weights.append(float(conv.weight.grad.norm() / conv.weight.detach().norm()))
    return Gradients(tuple(signals), tuple(name for name, _ in convs), tuple(weights))


def start(network: Network, images: Tensor) -> Tensor:
    """What the first block reads: the map, or the vectors, behind the stem."""
    y: Tensor = network.stem(images.flatten(1) if network.arch.is_flat else images)
    return y


def joined(block: ResidualBlock, fork: Tensor, residual: Tensor, shortcut: Tensor) -> Tensor:
    """What comes out of `block` where `residual` and `shortcut` of the map `fork` meet."""
    both = residual + shortcut if block.join is None else block.join(fork, residual, shortcut)
    y: Tensor = block.after(both)
    return y


def blocks(network: Network) -> list[nn.Module]:
    """Every block of every stage, in order."""
    return [block for stage in network.stages for block in stage.children()]
