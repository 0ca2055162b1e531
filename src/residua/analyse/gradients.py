"""Gradient flow: how large the gradient of the loss is at every depth, as training sees it."""

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from residua.analyse.copies import working_copy
from residua.analyse.study import Colours, Needs, Study, Subject, by_network, depth_series
from residua.errors import ConfigError
from residua.nn.network import Network
from residua.report.chart import plot
from residua.report.page import Figure


@dataclass(frozen=True, slots=True)
class Gradients:
    """Gradient norms by depth; finite and above 0 in a network that can be trained."""

    signals: tuple[float, ...]
    """Norm of the loss's gradient at the input of each block: root mean square over images."""
    layers: tuple[str, ...]
    """Convolutions off the shortcuts, in order."""
    weights: tuple[float, ...]
    """Norm of the loss's gradient by the weights of each, divided by the norm of those weights."""


def gradient_norms(network: Network, images: Tensor, labels: Tensor) -> Gradients:
    """Measure gradient norms in train mode, on one batch.

    Args:
        network: Any network.
        images: (N, C, H, W) float, preprocessed, N >= 2.
        labels: (N,) int.

    Returns:
        Norms at the blocks and at the convolutions.

    Raises:
        ConfigError: there are fewer than two images, which have no batch statistics.
    """
    if len(images) < 2:
        raise ConfigError(f"{len(images)} image: give at least 2, for batch norm needs a batch")
    with working_copy(network) as work, torch.random.fork_rng(devices=[]), torch.enable_grad():
        torch.manual_seed(0)  # dropout
        work.train().requires_grad_(True)
        inputs: list[Tensor] = []

        def record_input(_: nn.Module, arguments: tuple[Tensor, ...]) -> None:
            arguments[0].retain_grad()
            inputs.append(arguments[0])

        for block in work.blocks():
            block.register_forward_pre_hook(record_input)
        torch.autograd.backward(cross_entropy(work.forward_head(work.forward_features(images)), labels))
        signals = []
        for x in inputs:
            assert x.grad is not None
            by_image = x.grad.flatten(1).norm(dim=1) * len(images)  # the loss is a mean over images
            signals.append(float(by_image.square().mean().sqrt()))
        convs = [
            (name, module)
            for name, module in work.named_modules()
            if isinstance(module, nn.Conv2d) and ".shortcut." not in name and not name.startswith("sides.")
        ]
        weights = []
        for _, conv in convs:
            assert conv.weight.grad is not None
            weights.append(float(conv.weight.grad.norm() / conv.weight.detach().norm()))
    return Gradients(tuple(signals), tuple(name for name, _ in convs), tuple(weights))


def draw(results: Mapping[str, Gradients], colours: Colours) -> tuple[Figure, ...]:
    """Norms at the inputs of blocks, and of the weights' gradients."""
    signals = depth_series({name: one.signals for name, one in results.items()}, colours)
    weights = depth_series({name: one.weights for name, one in results.items()}, colours)
    y = "gradient norm at the block's input, per image"
    return (
        Figure(
            plot(signals, x="block", y=y, logarithmic=True),
            "Gradient at the input of each block.",
            f"First block over last block: {_ratios(results)}.",
        ),
        Figure(
            plot(weights, x="convolution", y="gradient norm / weight norm", logarithmic=True),
            "Gradient of each convolution's weights, relative to the weights.",
            "Gradient norms over weight norms, by convolution.",
        ),
    )


def summarise(results: Mapping[str, Gradients]) -> str:
    """The first block's norm over the last one's."""
    return f"Gradient norm at the first block divided by the norm at the last: {_ratios(results)}."


def _ratios(results: Mapping[str, Gradients]) -> str:
    ratios = {name: one.signals[0] / max(one.signals[-1], 1e-300) for name, one in results.items()}
    return by_network({name: f"{ratio:.2g}" for name, ratio in ratios.items()})


def _measure(subject: Subject) -> Gradients:
    return gradient_norms(subject.network, subject.inputs, subject.labels)


STUDY = Study(
    "gradients",
    title="Gradient flow",
    measures="norm of the loss's gradient at each block's input and by each convolution, in train mode",
    source="He et al. 2015, 4.1",
    needs=Needs.IMAGES,
    measure=_measure,
    draw=draw,
    summarise=summarise,
    explain="A line that falls steeply to the left would mean vanishing gradients; one that rises to the "
    "left would mean exploding gradients. For plain networks with batch norm, He et al. 2015, 4.1 "
    "report healthy backward norms, and argue that vanishing gradients are unlikely to be why the "
    "deeper ones train worse. The gradient is measured in train mode, on one batch.",
)
