"""Lesion study: what it costs to remove, swap or shuffle blocks of a trained network (Veit et al. 2016)."""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from statistics import median

import numpy as np
import torch
from torch import Tensor, nn

from residua.analyse.blocks import is_plain_stack, split_into_layers, stem_output
from residua.analyse.copies import working_copy
from residua.analyse.study import Colours, Needs, Study, Subject, depth_series, percent
from residua.nn.blocks import ResidualBlock
from residua.nn.network import Network
from residua.report.chart import Series, plot
from residua.report.page import Figure
from residua.spec.block import Block, Fork

Changes = Mapping[int, nn.Module | None]
"""Number of a block -> what stands in its place; None where nothing can."""

BATCH = 64
"""Images in a batch: their maps fit into the caches of a processor core."""
DRAWS = 5
"""Random choices of blocks that are averaged."""
SEED = 0
"""Of those choices."""
EXCHANGES = (1, 2, 4, 8, 16, 32)
"""Exchanges of two blocks before each error of a shuffled network."""


@dataclass(frozen=True, slots=True)
class Lesions:
    """Error of a network whose blocks were changed, in percent, not trained again; nan if impossible."""

    names: tuple[str, ...]
    """Blocks, in order: `stages.1.4`."""
    whole: float
    """Error of the network as it is."""
    n: int
    """Images."""
    removed: tuple[float, ...]
    """Error without each block; nan if its shape changes and no shortcut could carry x around it."""
    swapped: tuple[float, ...]
    """Error after each block and the next of its kind swap places; nan for the last of its kind."""
    dropped: tuple[tuple[int, float], ...]
    """Number of blocks removed at random, and the mean error."""
    shuffled: tuple[tuple[float, float], ...]
    """Kendall's tau between the old and the new order of blocks within their kind, and the error."""


class ShortcutOnly(nn.Module):
    """A residual block without its residual branch: after(shortcut(before(x)))."""

    def __init__(self, block: ResidualBlock) -> None:
        super().__init__()
        self.block = block

    def forward(self, x: Tensor) -> Tensor:
        """The block's output for a residual of 0."""
        fork = self.block.before(x)
        assert self.block.shortcut is not None
        shortcut = self.block.shortcut(fork)
        return self.block.merge(fork, torch.zeros_like(shortcut), shortcut)


def lesion_study(network: Network, images: Tensor, labels: Tensor) -> Lesions:
    """Measure errors after blocks are removed, swapped and shuffled, in eval mode.

    A block with a shortcut loses its residual branch. A block without one is removed whole, which is possible
    if it keeps width and size. Only blocks that are spelled alike and get equal maps swap places. A network
    without shortcuts, all of whose blocks change width or size (VGG), is split into its layers first.

    Args:
        network: Any trained network.
        images: (N, C, H, W) float, preprocessed.
        labels: (N,) int.

    Returns:
        Errors in percent.
    """
    with working_copy(network) as work, torch.inference_mode():
        if is_plain_stack(work) and not any(keeps_shape for *_, keeps_shape in _block_kinds(work)):
            split_into_layers(work)
        names = tuple(work.block_names())
        editor, generator = _BlockEditor(work, images, labels), np.random.default_rng(SEED)
        dropped, shuffled = [*editor.choices(generator)], [*editor.shuffles(generator)]
        changed: list[Changes] = [{}, *({i: editor.without(i)} for i in range(len(names)))]
        changed += [editor.swapped(i) for i in range(len(names))]
        changed += [dict(zip(choice, map(editor.without, choice), strict=True)) for choice in dropped]
        errors = iter(editor.errors([*changed, *(changes for _, changes in shuffled)]))
        whole, removed, swapped = next(errors), take(errors, len(names)), take(errors, len(names))
        averaged = tuple((len(choice), float(np.mean(take(errors, DRAWS)))) for choice in dropped[::DRAWS])
        disorder = tuple((tau, error) for (tau, _), error in zip(shuffled, errors, strict=True))
    return Lesions(names, whole, len(labels), removed, swapped, averaged, disorder)


def take(errors: Iterator[float], count: int) -> tuple[float, ...]:
    """The next so many errors."""
    return tuple(islice(errors, count))


def without_branches(network: Network) -> list[nn.Module | None]:
    """What replaces each block of a network when it is removed; None where nothing can.

    Args:
        network: The network, whose modules the replacements share.

    Returns:
        For a block with a shortcut, the block without its residual branch; for another one the identity, if
        it keeps width and size.
    """
    replacements: list[nn.Module | None] = []
    for block, (*_, keeps_shape) in zip(network.blocks(), _block_kinds(network), strict=True):
        if isinstance(block, ResidualBlock) and block.residual is not None:
            replacements.append(ShortcutOnly(block))
        else:
            replacements.append(nn.Identity() if keeps_shape else None)
    return replacements


class _BlockEditor:
    """Computes a network with other blocks in the place of some of its own."""

    def __init__(self, network: Network, images: Tensor, labels: Tensor) -> None:
        self.network, self.labels = network, labels
        self.batches = list(zip(torch.split(images, BATCH), torch.split(labels, BATCH), strict=True))
        self.blocks = network.blocks()
        self.kinds = _block_kinds(network)
        self.replacements = without_branches(network)

    def errors(self, changed: Sequence[Changes]) -> list[float]:
        """Percent wrong with each of some changes: block i is `changes[i]`; nan if one of these is None.

        Nothing differs before the first changed block, so what it reads is computed once for all changes.
        """
        wrong = [0] * len(changed)
        starts = [min(changes, default=len(self.blocks)) for changes in changed]
        is_possible = [None not in changes.values() for changes in changed]
        for batch, labels in self.batches:
            x = stem_output(self.network, batch)
            for place in range(len(self.blocks) + 1):
                for number in (i for i, start in enumerate(starts) if start == place and is_possible[i]):
                    wrong[number] += int((self._logits(x, place, changed[number]).argmax(1) != labels).sum())
                if place < len(self.blocks):
                    x = self.blocks[place](x)
        rates = (100 * count / len(self.labels) for count in wrong)
        return [rate if possible else math.nan for rate, possible in zip(rates, is_possible, strict=True)]

    def _logits(self, x: Tensor, start: int, changes: Changes) -> Tensor:
        """Logits from the input `x` of block `start`."""
        for i, block in enumerate(self.blocks[start:], start):
            x = (changes.get(i) or block)(x)
        return self.network.forward_head(self.network.tail(x))

    def without(self, i: int) -> nn.Module | None:
        """What replaces block `i` when it is removed; None if nothing can."""
        return self.replacements[i]

    def swapped(self, i: int) -> Changes:
        """Block `i` and the next of its kind in each other's place."""
        other = next((j for j in range(i + 1, len(self.blocks)) if self.kinds[j] == self.kinds[i]), None)
        return {i: None} if other is None else {i: self.blocks[other], other: self.blocks[i]}

    def choices(self, generator: np.random.Generator) -> Iterator[list[int]]:
        """Blocks to remove together: DRAWS choices of one, two, ... blocks, for at most 10 counts."""
        removable = [i for i in range(len(self.blocks)) if self.without(i) is not None]
        counts = sorted({round(c) for c in np.linspace(1, len(removable), min(10, len(removable)))})
        for count in counts:
            yield from (generator.choice(removable, count, replace=False).tolist() for _ in range(DRAWS))

    def shuffles(self, generator: np.random.Generator) -> Iterator[tuple[float, Changes]]:
        """More and more exchanges of blocks of a kind, each with Kendall's tau."""
        from scipy.stats import kendalltau

        movable = [i for i, kind in enumerate(self.kinds) if self.kinds.count(kind) > 1]
        for times in EXCHANGES if movable else ():
            order = list(range(len(self.blocks)))
            for _ in range(times):
                i = int(generator.choice(movable))
                alike = [k for k in movable if self.kinds[k] == self.kinds[i] and k != i]
                j = int(generator.choice(alike))
                order[i], order[j] = order[j], order[i]
            moved = {i: self.blocks[j] for i, j in enumerate(order) if i != j}
            yield float(kendalltau(range(len(order)), order).statistic), moved


def draw(results: Mapping[str, Lesions], colours: Colours) -> tuple[Figure, ...]:
    """Error without each block, without several, and after shuffles."""
    removed = depth_series({name: one.removed for name, one in results.items()}, colours, kind="both")
    levels = tuple(
        Series("", ((1.0, one.whole), (float(len(one.removed)), one.whole)), "guide")
        for one in results.values()
    )
    dropped = tuple(
        Series(name, ((0, one.whole), *one.dropped), "both", colours.get(name, -1))
        for name, one in results.items()
    )
    figures = [
        Figure(
            plot((*removed, *levels), x="block that was removed", y="error (%)"),
            "Error without one block. The dashed line is the whole network.",
            f"Median: {_medians(results)}.",
        ),
        Figure(
            plot(dropped, x="blocks removed at random", y="error (%)"),
            f"Error without several blocks, the mean of {DRAWS} random choices.",
            "The error grows with the number of removed blocks.",
        ),
    ]
    shuffled = tuple(
        Series(name, _by_disorder(one.shuffled), "dots", colours.get(name, -1))
        for name, one in results.items()
        if one.shuffled
    )
    if shuffled:
        svg = plot(shuffled, x="disorder of the blocks (1 − Kendall's τ)", y="error (%)")
        caption = "Error after blocks of one kind swapped places; 0 is the order they were trained in."
        figures.append(Figure(svg, caption, "The error grows with disorder."))
    return tuple(figures)


def summarise(results: Mapping[str, Lesions]) -> str:
    """The error of the whole network, and the median without one block."""
    return f"Median error: {_medians(results)}."


def _medians(results: Mapping[str, Lesions]) -> str:
    texts = []
    for name, one in results.items():
        errors = [error for error in one.removed if not math.isnan(error)]
        if errors:
            texts.append(f"{name} {percent(one.whole)} whole, {percent(median(errors))} without a block")
    return "; ".join(texts)


def _by_disorder(shuffled: tuple[tuple[float, float], ...]) -> tuple[tuple[float, float], ...]:
    return tuple((1 - tau, error) for tau, error in sorted(shuffled, reverse=True))


def _block_kinds(network: Network) -> list[tuple[int, Block | Fork, int, bool]]:
    """Stage, block, width, and whether width and size stay: equal for blocks that can swap places."""
    arch = network.arch
    width, kinds = arch.widths()[0], []
    for number, stage in enumerate(arch.stages):
        for block in stage:
            kinds.append((number, block, width, block.stride() == 1 and block.out(width) == width))
            width = block.out(width)
    return kinds


def _measure(subject: Subject) -> Lesions:
    return lesion_study(subject.network, subject.inputs, subject.labels)


STUDY = Study(
    "lesion",
    title="Lesion study: what one block is worth",
    measures="error without a block, without several, with blocks swapped or shuffled; no retraining",
    source="after Veit et al. 2016",
    needs=Needs.TRAINING,
    measure=_measure,
    draw=draw,
    summarise=summarise,
    explain="Blocks are removed from the trained network, which is not trained again (after Veit et al. "
    "2016). A residual block loses its branch and keeps its shortcut. The other blocks still get "
    "nearly the maps they were trained on, so one missing block costs little, except at the start "
    "of a stage. In a plain network the output of one block is all that the next one gets, and "
    "removing a block ruins it. Blocks that change the width cannot be removed from a plain "
    "network, and are missing from its line. All blocks of VGG do, so single layers are removed "
    "from it.",
)
