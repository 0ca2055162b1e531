"""What it costs to remove, swap or shuffle blocks of a trained network (after Veit et al. 2016)."""

import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn

from residua.analyse.copies import twin_of
from residua.analyse.gradients import joined
from residua.analyse.layers import is_stack, taken_apart
from residua.nn.blocks import ResidualBlock
from residua.nn.network import Network
from residua.spec.block import Block, Fork

BATCH = 250
"""Images at once."""
DRAWS = 5
"""Random choices of blocks that are averaged."""
SEED = 0
"""Of those choices."""


@dataclass(frozen=True, slots=True)
class Lesions:
    """Error, in percent, of a network that was harmed without being trained again; nan where it cannot be."""

    names: tuple[str, ...]
    """Blocks, in order: `stages.1.4`."""
    whole: float
    """Error of the network as it is."""
    n: int
    """Images."""
    removed: tuple[float, ...]
    """Error without each block; nan where its shape changes and nothing could carry x around it."""
    swapped: tuple[float, ...]
    """Error with each block and the next of its kind in each other's place; nan for the last of its kind."""
    dropped: tuple[tuple[int, float], ...]
    """Blocks removed at once, chosen at random, and the mean error."""
    shuffled: tuple[tuple[float, float], ...]
    """Kendall's tau between the old and the new order of blocks within their kind, and the error."""


class Bypass(nn.Module):
    """What is left of a block without its residual branch: after(shortcut(before(x)))."""

    def __init__(self, block: ResidualBlock) -> None:
        """The block's own layers."""
        super().__init__()
        self.block = block

    def forward(self, x: Tensor) -> Tensor:
        """x by the shortcut alone."""
        fork = self.block.before(x)
        assert self.block.shortcut is not None
        around = self.block.shortcut(fork)
        return joined(self.block, fork, torch.zeros_like(around), around)


def lesion_study(network: Network, images: Tensor, labels: Tensor) -> Lesions:
    """Errors for `images`, normalised (N, C, H, W), and `labels` (N,), in eval mode.

    A block with a shortcut loses its residual branch; one without is taken out whole, which is possible where
    width and size stay. Only blocks that are spelled alike and see equal maps change places. A network that
    skips nothing, and all of whose blocks change width or size (VGG), is taken apart into its layers first.
    """
    with twin_of(network) as twin, torch.inference_mode():
        if is_stack(twin) and not any(stays for *_, stays in _kinds(twin)):
            taken_apart(twin)
        names = tuple(
            f"stages.{s}.{b}" for s, stage in enumerate(twin.arch.stages) for b in range(len(stage))
        )
        ward = _Ward(twin, images, labels)
        whole = ward.error()
        removed = tuple(ward.error({i: ward.without(i)}) for i in range(len(names)))
        swapped = tuple(ward.error(ward.exchanged(i)) for i in range(len(names)))
        chance = np.random.default_rng(SEED)
        dropped = tuple(ward.dropped(chance))
        shuffled = tuple(ward.shuffled(chance))
    return Lesions(names, whole, len(labels), removed, swapped, dropped, shuffled)


class _Ward:
    """A copy of a network whose blocks are replaced for the length of one measurement."""

    def __init__(self, network: Network, images: Tensor, labels: Tensor) -> None:
        self.network, self.labels = network, labels
        self.portions = list(zip(torch.split(images, BATCH), torch.split(labels, BATCH), strict=True))
        self.places = [(stage, name) for stage in network.stages for name, _ in stage.named_children()]
        self.blocks = [module for stage in network.stages for module in stage.children()]
        self.kinds = _kinds(network)

    def error(self, changes: dict[int, nn.Module | None] | None = None) -> float:
        """Percent wrong while block i is `changes[i]`; nan where a change is None."""
        changes = changes or {}
        if any(module is None for module in changes.values()):
            return math.nan
        for i, module in changes.items():
            self._put(i, module)
        try:
            wrong = 0
            for some, truth in self.portions:
                wrong += int((self.network(some).argmax(1) != truth).sum())
        finally:
            for i in changes:
                self._put(i, self.blocks[i])
        return 100 * wrong / len(self.labels)

    def without(self, i: int) -> nn.Module | None:
        """What stands in for block `i` when it is removed; None where nothing can."""
        block = self.blocks[i]
        if isinstance(block, ResidualBlock) and block.residual is not None:
            return Bypass(block)
        return nn.Identity() if self.kinds[i][3] else None

    def exchanged(self, i: int) -> dict[int, nn.Module | None]:
        """Block `i` and the next of its kind, each in the other's place."""
        after = next((j for j in range(i + 1, len(self.blocks)) if self.kinds[j] == self.kinds[i]), None)
        return {i: None} if after is None else {i: self.blocks[after], after: self.blocks[i]}

    def dropped(self, chance: np.random.Generator) -> Iterator[tuple[int, float]]:
        """Errors without one, two, ... blocks, at most 10 counts."""
        able = [i for i in range(len(self.blocks)) if self.without(i) is not None]
        counts = sorted({round(c) for c in np.linspace(1, len(able), min(10, len(able)))})
        for count in counts:
            chosen = [chance.choice(able, count, replace=False).tolist() for _ in range(DRAWS)]
            yield count, float(np.mean([self.error({i: self.without(i) for i in some}) for some in chosen]))

    def shuffled(self, chance: np.random.Generator) -> Iterator[tuple[float, float]]:
        """Errors after more and more exchanges of blocks of a kind, with Kendall's tau."""
        from scipy.stats import kendalltau

        able = [i for i, kind in enumerate(self.kinds) if self.kinds.count(kind) > 1]
        for times in (1, 2, 4, 8, 16, 32) if able else ():
            order = list(range(len(self.blocks)))
            for _ in range(times):
                i = int(chance.choice(able))
                j = int(chance.choice([k for k in able if self.kinds[k] == self.kinds[i] and k != i]))
                order[i], order[j] = order[j], order[i]
            moved = {i: self.blocks[j] for i, j in enumerate(order) if i != j}
            yield float(kendalltau(range(len(order)), order).statistic), self.error({**moved})

    def _put(self, i: int, module: nn.Module | None) -> None:
        assert module is not None
        stage, name = self.places[i]
        setattr(stage, name, module)


def _kinds(network: Network) -> list[tuple[int, Block | Fork, int, bool]]:
    """Stage, block, width and whether width and size stay: equal for blocks that can change places."""
    arch = network.arch
    width, found = arch.widths()[0], []
    for number, stage in enumerate(arch.stages):
        for block in stage:
            found.append((number, block, width, block.stride() == 1 and block.out(width) == width))
            width = block.out(width)
    return found
