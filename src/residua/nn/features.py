"""The maps of chosen stages, for detection, video and analysis."""

from collections.abc import Sequence

from torch import Tensor, nn

from residua.nn.network import Network


class Features(nn.Module):
    """Images (N, C, H, W) -> one map per chosen index: 0 is the stem, i the i-th stage; -1 the last stage.

    `channels` and `reductions` say how wide each map is, and how many times smaller than the image.
    """

    def __init__(self, network: Network, out_indices: Sequence[int] | None = None) -> None:
        """ValueError when an index names no stage."""
        super().__init__()
        count = len(network.stages) + 1
        chosen = range(count) if out_indices is None else out_indices
        for index in chosen:
            if not -count <= index < count:
                raise ValueError(f"out_indices has {index}: {network.arch.name} has maps 0 to {count - 1}")
        self.network = network
        self.indices = tuple(index % count for index in chosen)
        self.channels = tuple(network.arch.widths()[i] for i in self.indices)
        self.reductions = tuple(network.arch.strides()[i] for i in self.indices)

    def forward(self, x: Tensor) -> list[Tensor]:
        """The chosen maps, in the order they were asked for; the tail is applied to the last stage's."""
        maps = [self.network.stem(x)]
        for stage in self.network.stages:
            maps.append(stage(maps[-1]))
        maps[-1] = self.network.tail(maps[-1])
        return [maps[index] for index in self.indices]
