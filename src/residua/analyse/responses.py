"""How strongly each 3x3 layer answers: the layer-response analysis of He et al. 2015, fig. 7."""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise

import torch
from torch import Tensor, nn

from residua.analyse.copies import twin_of
from residua.nn.network import Network

BATCH = 250
"""Images at once."""


@dataclass(frozen=True, slots=True)
class Responses:
    """Standard deviation of the output of every 3x3 layer, in the order data meets them."""

    layers: tuple[str, ...]
    """Where each was measured: the norm behind the convolution, or the convolution where none follows it."""
    deviations: tuple[float, ...]
    """Over images, channels and places, before activation and addition."""

    @property
    def sorted(self) -> tuple[float, ...]:
        """The same numbers, the largest first: the lower panel of the figure."""
        return tuple(sorted(self.deviations, reverse=True))


def layer_responses(network: Network, images: Tensor) -> Responses:
    """Deviations for `images`, normalised (N, C, H, W), in eval mode. ValueError without a 3x3 layer."""
    with twin_of(network) as twin, torch.inference_mode():
        measured = list(_places(twin))
        if not measured:
            raise ValueError(f"{network.arch.name} has no 3x3 layer: choose another network")
        sums = {name: torch.zeros(3, dtype=torch.float64) for name, _ in measured}

        def listen(name: str, module: nn.Module) -> None:
            def add(_: nn.Module, __: tuple[Tensor, ...], out: Tensor) -> None:
                values = out.double()
                sums[name] += torch.stack(
                    [values.sum(), values.square().sum(), torch.tensor(out.numel())]
                ).cpu()

            module.register_forward_hook(add)

        for name, module in measured:
            listen(name, module)
        for some in torch.split(images, BATCH):
            twin(some)
    found = []
    for name, _ in measured:
        total, squares, count = sums[name].tolist()
        found.append(max(squares / count - (total / count) ** 2, 0.0) ** 0.5)
    return Responses(tuple(name for name, _ in measured), tuple(found))


def _places(network: Network) -> Iterator[tuple[str, nn.Module]]:
    """Every 3x3 convolution off the shortcuts, or the norm that follows it before anything else does."""
    for path, stretch in network.named_modules():
        if not isinstance(stretch, nn.Sequential) or path.endswith("shortcut") or path.startswith("sides."):
            continue
        layers = [*stretch.named_children(), ("", nn.Identity())]
        for (name, layer), (after, follower) in pairwise(layers):
            if isinstance(layer, nn.Conv2d) and layer.kernel_size == (3, 3):
                is_normed = isinstance(follower, nn.BatchNorm2d)
                yield f"{path}.{after if is_normed else name}", follower if is_normed else layer
