"""Activations on the main path: what stands between an early map and a late one (Duta et al. 2020, 2.1)."""

from dataclasses import dataclass

from residua.spec.arch import Arch
from residua.spec.change import with_order
from residua.spec.describe import main_path_activations, unskipped_activations
from residua.spec.orders import ORDERS


@dataclass(frozen=True, slots=True)
class MainPath:
    """Activations that no shortcut skips."""

    stages: tuple[int, ...]
    """How many stand in each stage."""
    orders: tuple[tuple[str, int], ...]
    """The same network in each order of He et al. 2016, fig. 4, with its count; empty for a plain one."""

    @property
    def total(self) -> int:
        """How many stand in all stages."""
        return sum(self.stages)


def main_path(arch: Arch) -> MainPath:
    """Counted in the words of `arch`; no weights needed."""
    stages = tuple(sum(map(unskipped_activations, stage)) for stage in arch.stages)
    if arch.is_flat or len(arch.residual_blocks()) < len(arch.blocks()):
        return MainPath(stages, ())
    return MainPath(
        stages, tuple((letter, main_path_activations(with_order(arch, letter))) for letter in ORDERS)
    )
