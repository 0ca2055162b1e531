"""Layer responses: how strongly each 3x3 layer responds (He et al. 2015, fig. 7)."""

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import pairwise
from statistics import fmean

import torch
from torch import Tensor, nn

from residua.analyse.copies import working_copy
from residua.analyse.study import Colours, Needs, Study, Subject, by_network, depth_series
from residua.errors import ConfigError
from residua.nn.network import Network
from residua.report.chart import plot
from residua.report.page import Figure

BATCH = 250
"""Images in a batch."""


@dataclass(frozen=True, slots=True)
class Responses:
    """Standard deviation of the output of every 3x3 layer, in the order of the forward pass."""

    layers: tuple[str, ...]
    """Where each was measured: the norm after the convolution, or the convolution if no norm follows it."""
    deviations: tuple[float, ...]
    """Over images, channels and positions, before activation and addition."""

    @property
    def sorted(self) -> tuple[float, ...]:
        """The same numbers, the largest first: the lower panel of the figure."""
        return tuple(sorted(self.deviations, reverse=True))


def layer_responses(network: Network, images: Tensor) -> Responses:
    """Measure the standard deviation of every 3x3 layer's output, in eval mode.

    Args:
        network: Any network with a 3x3 convolution.
        images: (N, C, H, W) float, preprocessed.

    Returns:
        One deviation a layer; layers on shortcuts and in auxiliary heads are left out.

    Raises:
        ConfigError: the network has no 3x3 layer.
    """
    with working_copy(network) as work, torch.inference_mode():
        modules = list(_measured_modules(work))
        if not modules:
            raise ConfigError(f"{network.arch.name} has no 3x3 layer: choose another network")
        sums = {name: torch.zeros(3, dtype=torch.float64) for name, _ in modules}

        def add_hook(name: str, module: nn.Module) -> None:
            def add(_: nn.Module, __: tuple[Tensor, ...], out: Tensor) -> None:
                y = out.double()
                sums[name] += torch.stack([y.sum(), y.square().sum(), y.new_tensor(out.numel())]).cpu()

            module.register_forward_hook(add)

        for name, module in modules:
            add_hook(name, module)
        for batch in torch.split(images, BATCH):
            work(batch)
    deviations = []
    for name, _ in modules:
        total, squares, count = sums[name].tolist()
        deviations.append(max(squares / count - (total / count) ** 2, 0.0) ** 0.5)
    return Responses(tuple(name for name, _ in modules), tuple(deviations))


def response_plots(
    results: Mapping[str, Responses], colours: Colours, *, highest: float = math.inf
) -> tuple[str, str]:
    """The two panels of He et al. 2015, fig. 7.

    Args:
        results: By network.
        colours: Of each network.
        highest: Largest deviation that is shown; larger ones are cut off.

    Returns:
        SVG text of the deviations in the order of the layers, and of the same sorted.
    """
    y = "standard deviation of the response"
    in_order = depth_series({name: one.deviations for name, one in results.items()}, colours)
    by_size = depth_series({name: one.sorted for name, one in results.items()}, colours)
    return (
        plot(in_order, x="3×3 layer, in the order of the network", y=y, highest=highest),
        plot(by_size, x="3×3 layer, by size of its response", y=y, highest=highest),
    )


def draw(results: Mapping[str, Responses], colours: Colours) -> tuple[Figure, ...]:
    """Both panels."""
    in_order, by_size = response_plots(results, colours)
    means = _means(results)
    return (
        Figure(in_order, "Layers in the order of the forward pass.", f"Responses by layer. Mean: {means}."),
        Figure(by_size, "The same responses, the largest first.", f"Responses by size. Mean: {means}."),
    )


def summarise(results: Mapping[str, Responses]) -> str:
    """The mean over layers."""
    return f"Mean deviation of a 3×3 layer's response: {_means(results)}."


def _means(results: Mapping[str, Responses]) -> str:
    return by_network({name: f"{fmean(one.deviations):.2f}" for name, one in results.items()})


def _measured_modules(network: Network) -> Iterator[tuple[str, nn.Module]]:
    """Every 3x3 convolution off the shortcuts, or the norm directly after it."""
    for path, sequence in network.named_modules():
        is_aside = path.endswith("shortcut") or path.startswith("sides.")
        if not isinstance(sequence, nn.Sequential) or is_aside:
            continue
        layers = [*sequence.named_children(), ("", nn.Identity())]
        for (name, layer), (next_name, following) in pairwise(layers):
            if isinstance(layer, nn.Conv2d) and layer.kernel_size == (3, 3):
                is_normed = isinstance(following, nn.BatchNorm2d)
                yield f"{path}.{next_name if is_normed else name}", following if is_normed else layer


def _measure(subject: Subject) -> Responses:
    return layer_responses(subject.network, subject.inputs)


STUDY = Study(
    "responses",
    title="Layer responses",
    measures="standard deviation of each 3×3 layer's output, after its norm, before activation and addition",
    source="He et al. 2015, fig. 7",
    needs=Needs.IMAGES,
    measure=_measure,
    draw=draw,
    summarise=summarise,
    explain="Each point is one 3×3 layer: the standard deviation of its output for these images, after "
    "its norm and before activation and addition, as in He et al. 2015, fig. 7. In that figure "
    "residual networks respond less strongly than plain ones, and the deeper ones less per layer: "
    "each branch changes its input only a little. Where no norm follows a convolution before the "
    "addition, as at the end of a pre-activation branch, the convolution itself is measured.",
)
