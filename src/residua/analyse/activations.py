"""Activations on the main path, between an early map and a late one (Duta et al. 2020, 2.1)."""

from collections.abc import Mapping
from dataclasses import dataclass

from residua.analyse.study import Colours, Needs, Study, Subject, by_network
from residua.report.bars import bar_chart
from residua.report.page import Figure
from residua.spec.arch import Arch
from residua.spec.change import with_order
from residua.spec.describe import main_path_activations, unskipped_activations
from residua.spec.orders import ORDERS


@dataclass(frozen=True, slots=True)
class MainPath:
    """How many activations no shortcut skips."""

    stages: tuple[int, ...]
    """In each stage."""
    orders: tuple[tuple[str, int], ...]
    """In each order of He et al. 2016, fig. 4, for the same network; empty for a plain one."""

    @property
    def total(self) -> int:
        """In all stages."""
        return sum(self.stages)


def main_path(arch: Arch) -> MainPath:
    """Count the activations of `arch` that no shortcut skips, in the words of its blocks."""
    stages = tuple(sum(map(unskipped_activations, stage)) for stage in arch.stages)
    if arch.is_flat or len(arch.residual_blocks()) < len(arch.blocks()):
        return MainPath(stages, ())
    return MainPath(
        stages, tuple((letter, main_path_activations(with_order(arch, letter))) for letter in ORDERS)
    )


def draw(results: Mapping[str, MainPath], colours: Colours) -> tuple[Figure, ...]:
    """For each network, activations by stage, and of the same network in other orders."""
    figures = []
    for name, one in results.items():
        stages = [(f"stage {number}", count) for number, count in enumerate(one.stages, 1)]
        orders = [(f"in order {letter}", count) for letter, count in one.orders]
        labels, counts = zip(*stages, ("as it is", one.total), *orders, strict=True)
        svg = bar_chart(labels, tuple(map(float, counts)), unit="")
        figures.append(Figure(svg, f"{name}: activations on the main path.", f"{name} has {one.total}."))
    return tuple(figures)


def summarise(results: Mapping[str, MainPath]) -> str:
    """The total of each network."""
    totals = {name: str(one.total) for name, one in results.items()}
    return f"Activations that no shortcut skips: {by_network(totals)}."


def _measure(subject: Subject) -> MainPath:
    return main_path(subject.arch)


STUDY = Study(
    "activations",
    title="Activations on the main path",
    measures="activations that no shortcut skips, by stage, and in the five orders",
    source="Duta et al. 2020, 2.1",
    needs=Needs.NOTHING,
    measure=_measure,
    draw=draw,
    summarise=summarise,
    explain="The activations are counted in the words of the network. The original order has one after "
    "every addition, so their number grows with depth. Pre-activation (order e) moves them into "
    "the branches; ResStage keeps one a stage (Duta et al. 2020, 2.1). The orders are those of He "
    "et al. 2016, fig. 4.",
)
