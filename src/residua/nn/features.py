"""The maps of chosen stages, for detection, video and analysis."""

from collections.abc import Sequence

from torch import Tensor, nn

from residua.nn.network import Network, map_indices


class Features(nn.Module):
    """Images (N, C, H, W) -> one map per chosen index: 0 is the stem, i the i-th stage; -1 the last stage.

    Of clips, maps as `Network` has them.

    `channels` and `reductions` say how wide each map is, and how many times smaller than the image.
    """

    def __init__(self, network: Network, out_indices: Sequence[int] | None = None) -> None:
        """ValueError when an index names no stage."""
        super().__init__()
        self.network = network
        self.indices = map_indices(network.arch, out_indices)
        self.channels = tuple(network.arch.widths()[i] for i in self.indices)
        self.reductions = tuple(network.arch.strides()[i] for i in self.indices)

    def forward(self, x: Tensor) -> list[Tensor]:
        """The chosen maps, in the order they were asked for; the tail is applied to the last stage's."""
        found = self.network.forward_intermediates(x, self.indices, norm=True, intermediates_only=True)
        assert isinstance(found, list)
        return found
