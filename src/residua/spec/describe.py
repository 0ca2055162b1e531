"""Arch -> its layers, what they cost, and the paper's architecture table; arithmetic on words, no torch."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import groupby
from typing import Literal

from residua.spec.arch import Arch
from residua.spec.block import POOLS, Block, Conv, Pool

Path = Literal["main", "residual", "shortcut"]


@dataclass(frozen=True, slots=True)
class Layer:
    """One letter of a network, with the map it reads and the map it writes."""

    part: int
    """0 is the stem, i the i-th stage, and one more than the stages the head."""
    path: Path
    """Before or after the brackets, inside them, or around them."""
    letter: str
    """What it is."""
    width: int
    """Channels that come in."""
    conv: Conv
    """Its shape; `width` channels and kernel 1 for letters without one."""
    size: int
    """Side of the map that comes out, in pixels."""

    @property
    def params(self) -> int:
        """Learnable numbers."""
        if self.letter == "N":
            return 2 * self.width
        if self.letter not in "CL":
            return 0
        weights = self.conv.out * (self.width // self.conv.groups) * self.conv.kernel**2
        return weights + self.conv.out * (self.conv.bias or self.letter == "L")

    @property
    def outputs(self) -> int:
        """Numbers that come out for one image."""
        return self.conv.out * self.size**2

    @property
    def macs(self) -> int:
        """Multiply-adds for one image, of convolutions and linear layers only."""
        if self.letter not in "CL":
            return 0
        return self.outputs * (self.width // self.conv.groups) * self.conv.kernel**2


@dataclass(frozen=True, slots=True)
class Cost:
    """What a network costs for one image."""

    params: int
    """Learnable numbers, norms and biases included."""
    macs: int
    """Multiply-adds of convolutions and linear layers; the papers call them FLOPs."""
    activations: int
    """Numbers that convolutions and linear layers put out."""


@dataclass(frozen=True, slots=True)
class Row:
    """One line of the paper's architecture table."""

    part: str
    """`conv1`, `conv2_x`, ... as in He et al. 2015, table 1; `head`."""
    size: int
    """Side of the map that comes out, in pixels."""
    layers: str
    """Kernels and widths of a block, and how often it comes: `[3×3, 64; 3×3, 64] × 2`."""
    words: str
    """The same in letters."""
    macs: int
    """Multiply-adds for one image."""


def layers(arch: Arch, *, size: int = 0) -> list[Layer]:
    """Every layer of `arch` in order, for images of `size` pixels; 0 takes the size it was drawn for.

    ValueError when a map would shrink to nothing.
    """
    return list(_walk(arch, size or arch.preprocess.size))


def cost(arch: Arch, *, size: int = 0) -> Cost:
    """What one image of `size` pixels costs; 0 takes the size `arch` was drawn for."""
    every = layers(arch, size=size)
    outputs = sum(layer.outputs for layer in every if layer.letter in "CL")
    return Cost(sum(layer.params for layer in every), sum(layer.macs for layer in every), outputs)


def main_path_activations(arch: Arch) -> int:
    """Activations in the stages that no shortcut skips: what stands between an early map and a late one."""
    last = len(arch.stages)
    return sum(la.letter == "A" and la.path == "main" and 0 < la.part <= last for la in layers(arch))


def receptive_field(arch: Arch) -> int:
    """Side, in pixels, of the square that one cell of the last map can see."""
    field, step = 1, 1
    for block in (arch.stem, *arch.blocks()):
        convs = iter(block.convs)
        for letter in block.word:
            window: Conv | Pool | None = (
                next(convs) if letter == "C" else block.pool if letter in POOLS else None
            )
            if window:
                field += (window.kernel - 1) * step
                step *= window.stride
    return field


def table(arch: Arch, *, size: int = 0) -> list[Row]:
    """The architecture table of the paper: one row for the stem, each stage and the head."""
    every = layers(arch, size=size)
    rows = []
    for part, blocks in enumerate(((arch.stem,), *arch.stages)):
        mine = [layer for layer in every if layer.part == part]
        name = f"conv{part + 1}" + ("_x" if part else "")
        macs = sum(layer.macs for layer in mine)
        rows.append(Row(name, mine[-1].size, _shapes(blocks), _words(blocks), macs))
    tail = [layer for layer in every if layer.part > len(arch.stages)]
    linear = " → ".join(str(layer.conv.out) for layer in tail if layer.letter == "L")
    word = f"{arch.tail} {arch.head.word}".strip()
    rows.append(Row("head", 1, f"average pool, {linear}-d fc", word, sum(layer.macs for layer in tail)))
    return rows


def _shapes(blocks: tuple[Block, ...]) -> str:
    texts = ["; ".join(_window(block, i) for i in range(len(block.word))) for block in blocks]
    texts = ["; ".join(part for part in text.split("; ") if part) for text in texts]
    return _counted(f"[{text}]" for text in texts)


def _window(block: Block, at: int) -> str:
    letter = block.word[at]
    if letter == "C":
        conv = block.convs[block.word[:at].count("C")]
        groups = f", {conv.groups} groups" if conv.groups > 1 else ""
        return f"{conv.kernel}×{conv.kernel}, {conv.out}{groups}"
    if letter in POOLS:
        return f"{block.pool.kernel}×{block.pool.kernel} {'max' if letter == 'P' else 'average'} pool"
    return ""


def _words(blocks: tuple[Block, ...]) -> str:
    return _counted(block.word for block in blocks)


def _counted(texts: Iterable[str]) -> str:
    runs = [(text, len(list(same))) for text, same in groupby(texts)]
    return ", ".join(f"{text} × {count}" if count > 1 else text for text, count in runs)


def _walk(arch: Arch, size: int) -> Iterator[Layer]:
    width = arch.channels
    for part, blocks in enumerate(((arch.stem,), *arch.stages)):
        for block in blocks:
            found = list(_block(block, part, width, size))
            yield from found
            width, size = block.out(width), found[-1].size
            if size < 1:
                raise ValueError(f"{arch.name} shrinks its map to nothing: give larger images")
    head = len(arch.stages) + 1
    yield from _spell(arch.tail, (), Pool(), head, "main", width, size)
    outs = tuple(Conv(out, 1) for out in (*arch.head.widths, arch.classes))
    yield from _spell(arch.head.word, outs, Pool(), head, "main", width * arch.head.grid**2, 1)


def _block(block: Block, part: int, width: int, size: int) -> Iterator[Layer]:
    paths: tuple[Path, ...] = ("main", "residual", "main")
    for (word, convs), path in zip(block.parts(), paths, strict=True):
        fork, fork_size = width, size
        for layer in _spell(word, convs, block.pool, part, path, width, size):
            yield layer
            width, size = layer.conv.out, layer.size
        if path == "residual" and block.has_shortcut:
            bridge, shapes = block.bridge(fork)
            yield from _spell(bridge, shapes, block.pool, part, "shortcut", fork, fork_size)


def _spell(
    word: str, convs: tuple[Conv, ...], pool: Pool, part: int, path: Path, width: int, size: int
) -> Iterator[Layer]:
    unread = iter(convs)
    for letter in word.replace(" ", ""):
        conv = next(unread) if letter in "CZL" else Conv(width, 1)
        if letter in "CZ":
            size = (size + 2 * (conv.kernel // 2) - conv.kernel) // conv.stride + 1
        elif letter in POOLS:
            size = (size + 2 * pool.padding - pool.kernel) // pool.stride + 1
        yield Layer(part, path, letter, width, conv, size)
        width = conv.out


def plain_numbers(arch: Arch) -> dict[str, int]:
    """The numbers people compare networks by, in the order tables show them."""
    found = cost(arch)
    return {
        "params": found.params,
        "macs": found.macs,
        "activations": found.activations,
        "input": arch.preprocess.size,
        "depth": arch.depth(),
        "receptive_field": receptive_field(arch),
        "main_path_activations": main_path_activations(arch),
    }
