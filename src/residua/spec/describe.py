"""Arch -> its layers, what they cost, and the paper's architecture table; arithmetic on words, no torch."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import groupby
from typing import Literal

from residua.spec.arch import Arch, Head, ways
from residua.spec.block import POOLS, SHAPED, Block, Conv, Fork, Pool

Path = Literal["main", "residual", "shortcut", "gate", "branch", "side"]


@dataclass(frozen=True, slots=True)
class Layer:
    """One letter of a network, with the map it reads and the map it writes."""

    part: int
    """0 is the stem, i the i-th stage, and one more than the stages the head."""
    path: Path
    """Before or after the brackets, inside them, around them; a gate, a fork's branch, an auxiliary head."""
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
        return weights + self.conv.out * self.conv.bias

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
class Run:
    """Equal blocks that follow each other on maps of one shape; a head with its tail is one of its own."""

    part: int
    """0 is the stem, i the i-th stage, and one more than the stages the tail with the head."""
    block: Block | Fork | None
    """What each of them is; None for tail and head, and for an auxiliary head."""
    ways: tuple[tuple[Layer, ...], ...]
    """The layers of one of them; of a fork, those of each branch."""
    count: int
    """How many there are."""

    @property
    def layers(self) -> tuple[Layer, ...]:
        """All layers of one of them, in order."""
        return tuple(layer for way in self.ways for layer in way)


@dataclass(frozen=True, slots=True)
class Cost:
    """What a network costs for one image, auxiliary heads included."""

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
    return [layer for run in runs(arch, size=size) for layer in run.layers * run.count]


def runs(arch: Arch, *, size: int = 0) -> list[Run]:
    """The same, equal blocks in a row taken together: a thousand layers are a dozen runs."""
    return list(_walk(arch, size or arch.preprocess.size))


def cost(arch: Arch, *, size: int = 0) -> Cost:
    """What one image of `size` pixels costs; 0 takes the size `arch` was drawn for."""
    params = macs = outputs = 0
    for run in runs(arch, size=size):
        params += run.count * sum(layer.params for layer in run.layers)
        macs += run.count * sum(layer.macs for layer in run.layers)
        outputs += run.count * sum(layer.outputs for layer in run.layers if layer.letter in "CL")
    return Cost(params, macs, outputs)


def main_path_activations(arch: Arch) -> int:
    """Activations in the stages that no shortcut skips: what stands between an early map and a late one."""
    inside = [(run.block, run.count) for run in runs(arch) if run.block and run.part]
    return sum(count * unskipped_activations(block) for block, count in inside)


def unskipped_activations(block: Block | Fork) -> int:
    """Activations of `block` that no shortcut skips; of a fork, those of the branch that has most."""
    return max(_unskipped(way).count("A") for way in ways(block))


def _unskipped(block: Block) -> str:
    (before, _), (inside, _), (after, _) = block.parts()
    return before + after if block.has_shortcut else before + inside + after


def receptive_field(arch: Arch) -> int:
    """Side, in pixels, of the square that one cell of the last map can see; 0 in a flat network."""
    if arch.is_flat:
        return 0
    field, step = 1, 1
    for block, count in [(run.block, run.count) for run in runs(arch) if run.block]:
        reach, stride = max(_reach(way) for way in ways(block)), block.stride()
        for _ in range(count):
            field += step * reach
            step *= stride
    return field


def _reach(block: Block) -> int:
    """By how many pixels of its input, above one, `block` sees."""
    reach, step, convs = 0, 1, iter(block.convs)
    for letter in block.word:
        window: Conv | Pool | None = next(convs) if letter == "C" else block.pool if letter in POOLS else None
        if window:
            reach += (window.kernel - 1) * step
            step *= window.stride
    return reach


def table(arch: Arch, *, size: int = 0) -> list[Row]:
    """The architecture table of the paper: one row for the stem, each stage, the head and auxiliary heads."""
    every = layers(arch, size=size)
    rows = []
    for part, blocks in enumerate(((arch.stem,), *arch.stages)):
        mine = [layer for layer in every if layer.part == part and layer.path != "side"]
        name = ("layer" if arch.is_flat else "conv") + f"{part + 1}" + ("_x" if part else "")
        macs = sum(layer.macs for layer in mine)
        shapes, words = _counted(map(_shapes, blocks)), _counted(block.word for block in blocks)
        rows.append(Row(name, mine[-1].size, shapes, words, macs))
    tail = [layer for layer in every if layer.part > len(arch.stages)]
    word = f"{arch.tail} {arch.head.word}".strip()
    rows.append(Row("head", 1, _head(arch.head, arch), word, sum(layer.macs for layer in tail)))
    sides = [layer for layer in every if layer.path == "side"]
    if sides:
        texts = _counted(f"{_shapes(side.stem)}; {_head(side.head, arch)}" for side in arch.sides)
        words = _counted(f"{side.stem.word} {side.head.word}" for side in arch.sides)
        rows.append(Row("sides", 1, texts, words, sum(layer.macs for layer in sides)))
    return rows


def _head(head: Head, arch: Arch) -> str:
    linear = " → ".join(map(str, (*head.widths, arch.classes)))
    return f"{linear}-d fc" if arch.is_flat else f"average pool, {linear}-d fc"


def _shapes(block: Block | Fork) -> str:
    texts = ["; ".join(filter(None, (_window(way, i) for i in range(len(way.word))))) for way in ways(block)]
    return f"[{' | '.join(texts)}]"


def _window(block: Block, at: int) -> str:
    letter = block.word[at]
    if letter in SHAPED:
        conv = block.convs[sum(block.word[:at].count(shaped) for shaped in SHAPED)]
        groups = f", {conv.groups} groups" if conv.groups > 1 else ""
        return f"{conv.out}-d fc" if letter == "L" else f"{conv.kernel}×{conv.kernel}, {conv.out}{groups}"
    if letter in POOLS:
        return f"{block.pool.kernel}×{block.pool.kernel} {'max' if letter == 'P' else 'average'} pool"
    return ""


def _counted(texts: Iterable[str]) -> str:
    runs = [(text, len(list(same))) for text, same in groupby(texts)]
    return ", ".join(f"{text} × {count}" if count > 1 else text for text, count in runs)


def _walk(arch: Arch, size: int) -> Iterator[Run]:
    width = arch.channels * size**2 if arch.is_flat else arch.channels
    size = 1 if arch.is_flat else size
    for part, blocks in enumerate(((arch.stem,), *arch.stages)):
        held = {side.block: side for side in arch.sides if side.stage + 1 == part}
        index = 0
        while index < len(blocks):
            block, fork = blocks[index], (width, size)
            found = _branches(block, part, width, size)
            width, size = block.out(width), found[-1][-1].size
            if min(layer.size for way in found for layer in way) < 1:
                raise ValueError(f"{arch.name} shrinks its map to nothing: give larger images")
            first = index
            index += 1
            while (width, size) == fork and block in blocks[index : index + 1] and index - 1 not in held:
                index += 1
            yield Run(part, block, found, index - first)
            if side := held.get(index - 1):
                yield Run(part, None, (tuple(_side(arch, side.stem, side.head, part, width, size)),), 1)
    end = len(arch.stages) + 1
    tail = _spell(arch.tail, (), Pool(), end, "main", width, size)
    yield Run(end, None, ((*tail, *_last(arch, arch.head, end, "main", width)),), 1)


def _last(arch: Arch, head: Head, part: int, path: Path, width: int) -> Iterator[Layer]:
    outs = tuple(Conv(out, 1, bias=True) for out in (*head.widths, arch.classes))
    yield from _spell(head.word, outs, Pool(), part, path, width * head.grid**2, 1)


def _side(arch: Arch, stem: Block, head: Head, part: int, width: int, size: int) -> Iterator[Layer]:
    yield from _spell(stem.word, stem.convs, stem.pool, part, "side", width, size)
    yield from _last(arch, head, part, "side", stem.out(width))


def _branches(block: Block | Fork, part: int, width: int, size: int) -> tuple[tuple[Layer, ...], ...]:
    if isinstance(block, Block):
        return (tuple(_block(block, part, width, size)),)
    found = tuple(
        tuple(_spell(way.word, way.convs, way.pool, part, "branch", width, size)) for way in block.branches
    )
    if len(ends := {way[-1].size for way in found}) > 1:
        raise ValueError(f"{block.word!r} ends in maps of {sorted(ends)} pixels: pad them alike")
    return found


def _block(block: Block, part: int, width: int, size: int) -> Iterator[Layer]:
    paths: tuple[Path, ...] = ("main", "residual", "main")
    for (word, convs), path in zip(block.parts(), paths, strict=True):
        fork, fork_size = width, size
        for layer in _spell(word, convs, block.pool, part, path, width, size):
            yield layer
            width, size = layer.conv.out, layer.size
        if path == "residual" and block.has_shortcut:
            bridge, shapes = block.bridge(fork)
            around = list(_spell(bridge, shapes, block.pool, part, "shortcut", fork, fork_size))
            yield from around
            if (end := around[-1].size if around else fork_size) != size:
                raise ValueError(
                    f"{block.word!r} ends in a map of {size} pixels, its shortcut in {end}: pad them alike"
                )
            if gate := block.gate(fork):
                yield from _spell("C", (gate,), block.pool, part, "gate", fork, fork_size)


def _spell(
    word: str, convs: tuple[Conv, ...], pool: Pool, part: int, path: Path, width: int, size: int
) -> Iterator[Layer]:
    unread = iter(convs)
    for letter in word.replace(" ", ""):
        conv = next(unread) if letter in SHAPED else Conv(width, 1)
        if letter in "CZ":
            size = conv.side(size)
        elif letter in POOLS:
            size = pool.side(size)
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
