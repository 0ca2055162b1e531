"""Layers of an Arch in the order of the forward pass, each with the map it reads and the map it writes."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Literal

from residua.errors import ConfigError
from residua.spec.arch import Arch, Head
from residua.spec.block import Block, Conv, Fork, Pool
from residua.spec.word import PADS, POOLS, SHAPED

Path = Literal["main", "residual", "shortcut", "gate", "branch", "side"]


@dataclass(frozen=True, slots=True)
class Layer:
    """One letter of a network, with the map it reads and the map it writes."""

    part: int
    """0 is the stem, i the i-th stage, and one more than the stages the head."""
    path: Path
    """`main` is before and after the brackets, `residual` inside, `shortcut` around them; `branch` is of a
fork, `side` of an auxiliary head."""
    letter: str
    """Its letter in the word."""
    width: int
    """Channels of the input."""
    conv: Conv
    """Its shape; `width` channels and kernel 1 for letters that have none."""
    size: int
    """Side of the output map, in pixels."""
    frames: int = 1
    """Frames of the output map, of all segments together; 1 for an image."""

    @property
    def params(self) -> int:
        """Learnable values."""
        if self.letter == "N":
            return 2 * self.width
        if self.letter not in "CL":
            return 0
        return self.conv.out * self._reads + self.conv.out * self.conv.bias

    @property
    def outputs(self) -> int:
        """Values of the output for one image or clip."""
        return self.conv.out * self.size**2 * self.frames

    @property
    def macs(self) -> int:
        """Multiply-adds for one image or clip, of convolutions and linear layers only."""
        return self.outputs * self._reads if self.letter in "CL" else 0

    @property
    def _reads(self) -> int:
        """Products that one value of the output sums."""
        return (self.width // self.conv.groups) * self.conv.kernel**2 * self.conv.time


@dataclass(frozen=True, slots=True)
class BlockRepeat:
    """Equal blocks in a row on maps of one shape, taken together; the tail with the head is one, too."""

    part: int
    """0 is the stem, i the i-th stage, and one more than the stages the tail with the head."""
    block: Block | Fork | None
    """The block; None for tail and head, and for an auxiliary head."""
    ways: tuple[tuple[Layer, ...], ...]
    """The layers of one block: one sequence, or one per branch of a fork."""
    count: int
    """Number of blocks."""

    @property
    def layers(self) -> tuple[Layer, ...]:
        """All layers of one block, in order."""
        return tuple(layer for way in self.ways for layer in way)


def layers(arch: Arch, *, size: int = 0) -> list[Layer]:
    """Every layer of `arch` in order.

    Args:
        arch: The network.
        size: Side of the images, in pixels; 0 takes that of `arch`.

    Raises:
        ConfigError: A map would shrink to nothing, or the paths of a block do not end in equal maps.
    """
    return [layer for repeat in block_repeats(arch, size=size) for layer in repeat.layers * repeat.count]


def block_repeats(arch: Arch, *, size: int = 0) -> list[BlockRepeat]:
    """The same with equal blocks in a row taken together: a thousand layers are a dozen values.

    Arguments and errors are those of `layers`.
    """
    repeats = list(_walk(arch, size or arch.preprocess.size))
    return [_for_segments(repeat, arch.segments) for repeat in repeats] if arch.segments > 1 else repeats


def _for_segments(repeat: BlockRepeat, segments: int) -> BlockRepeat:
    ways = tuple(tuple(replace(la, frames=la.frames * segments) for la in way) for way in repeat.ways)
    return replace(repeat, ways=ways)


@dataclass(frozen=True, slots=True)
class _Map:
    """Shape of the map between two layers of one segment."""

    width: int
    size: int
    frames: int


def _walk(arch: Arch, size: int) -> Iterator[BlockRepeat]:
    frames = arch.clip.frames if arch.clip else 1
    at = _Map(arch.channels * size**2, 1, 1) if arch.is_flat else _Map(arch.channels, size, frames)
    for part, blocks in enumerate(((arch.stem,), *arch.stages)):
        sides = {side.block: side for side in arch.sides if side.stage + 1 == part}
        index = 0
        while index < len(blocks):
            block, fork = blocks[index], at
            branches = _branches(block, part, at)
            at = _Map(block.out(at.width), branches[-1][-1].size, branches[-1][-1].frames)
            _check_sizes(arch, branches)
            first = index
            index += 1
            while at == fork and block in blocks[index : index + 1] and index - 1 not in sides:
                index += 1
            yield BlockRepeat(part, block, branches, index - first)
            if side := sides.get(index - 1):
                yield BlockRepeat(part, None, (tuple(_side(arch, side.stem, side.head, part, at)),), 1)
    end = len(arch.stages) + 1
    tail = _spell(arch.tail, (), Pool(), end, "main", at)
    yield BlockRepeat(end, None, ((*tail, *_last(arch, arch.head, end, "main", at.width)),), 1)


def _check_sizes(arch: Arch, ways: tuple[tuple[Layer, ...], ...]) -> None:
    if min(layer.size for way in ways for layer in way) < 1:
        raise ConfigError(f"{arch.name} shrinks its map to nothing: give larger images")
    if min(layer.frames for way in ways for layer in way) < 1:
        raise ConfigError(f"{arch.name} shrinks its clip to nothing: give more frames")


def _last(arch: Arch, head: Head, part: int, path: Path, width: int) -> Iterator[Layer]:
    outs = tuple(Conv(out, 1, bias=True) for out in (*head.widths, arch.classes))
    yield from _spell(head.word, outs, Pool(), part, path, _Map(width * head.grid**2, 1, 1))


def _side(arch: Arch, stem: Block, head: Head, part: int, at: _Map) -> Iterator[Layer]:
    yield from _spell(stem.word, stem.convs, stem.pool, part, "side", at)
    yield from _last(arch, head, part, "side", stem.out(at.width))


def _branches(block: Block | Fork, part: int, at: _Map) -> tuple[tuple[Layer, ...], ...]:
    if isinstance(block, Block):
        return (tuple(_block(block, part, at)),)
    branches = tuple(
        tuple(_spell(way.word, way.convs, way.pool, part, "branch", at)) for way in block.branches
    )
    if len(ends := {way[-1].size for way in branches}) > 1:
        raise ConfigError(f"{block.word!r} ends in maps of {sorted(ends)} pixels: pad them alike")
    if len(ends := {way[-1].frames for way in branches}) > 1:
        raise ConfigError(f"{block.word!r} ends in clips of {sorted(ends)} frames: step alike")
    return branches


def _block(block: Block, part: int, at: _Map) -> Iterator[Layer]:
    paths: tuple[Path, ...] = ("main", "residual", "main")
    for (word, convs), path in zip(block.parts(), paths, strict=True):
        fork = at
        for layer in _spell(word, convs, block.pool, part, path, at):
            yield layer
            at = _Map(layer.conv.out, layer.size, layer.frames)
        if path == "residual" and block.has_shortcut:
            bridge, shapes = block.bridge(fork.width)
            around = list(_spell(bridge, shapes, block.pool, part, "shortcut", fork))
            yield from around
            _check_end(block, at, "shortcut", around[-1] if around else fork)
            if gate := block.gate(fork.width):
                (gate_layer,) = _spell("C", (gate,), block.pool, part, "gate", fork)
                _check_end(block, at, "gate", gate_layer)
                yield gate_layer


def _check_end(block: Block, residual: _Map, path: str, end: _Map | Layer) -> None:
    """ConfigError where another path of `block` ends in a map of another size than its residual."""
    if end.size != residual.size:
        raise ConfigError(
            f"{block.word!r} ends in a map of {residual.size} pixels, its {path} in {end.size}: "
            "pad them alike"
        )
    if end.frames != residual.frames:
        raise ConfigError(
            f"{block.word!r} ends in a clip of {residual.frames} frames, its {path} in {end.frames}: "
            "step alike"
        )


def _spell(
    word: str, convs: tuple[Conv, ...], pool: Pool, part: int, path: Path, at: _Map
) -> Iterator[Layer]:
    unread, width, size, frames = iter(convs), at.width, at.size, at.frames
    for letter in word.replace(" ", ""):
        conv = next(unread) if letter in SHAPED else Conv(width, 1)
        window = conv if letter in ("C", *PADS) else pool if letter in POOLS else None
        if window:
            size, frames = window.side(size), window.length(frames)
        yield Layer(part, path, letter, width, conv, size, frames)
        width = conv.out
