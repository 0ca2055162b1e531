"""Arch -> its layers in the order data meets them, each with the map it reads and writes; no torch."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Literal

from residua.spec.arch import Arch, Head
from residua.spec.block import Block, Conv, Fork, Pool
from residua.spec.word import POOLS, SHAPED

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
    frames: int = 1
    """Frames of the map that comes out, of all segments together; 1 for an image."""

    @property
    def params(self) -> int:
        """Learnable numbers."""
        if self.letter == "N":
            return 2 * self.width
        if self.letter not in "CL":
            return 0
        return self.conv.out * self._reads + self.conv.out * self.conv.bias

    @property
    def outputs(self) -> int:
        """Numbers that come out for one image or clip."""
        return self.conv.out * self.size**2 * self.frames

    @property
    def macs(self) -> int:
        """Multiply-adds for one image or clip, of convolutions and linear layers only."""
        return self.outputs * self._reads if self.letter in "CL" else 0

    @property
    def _reads(self) -> int:
        """Numbers that one number of the output is a sum of."""
        return (self.width // self.conv.groups) * self.conv.kernel**2 * self.conv.time


@dataclass(frozen=True, slots=True)
class BlockRepeat:
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


def layers(arch: Arch, *, size: int = 0) -> list[Layer]:
    """Every layer of `arch` in order, for images of `size` pixels; 0 takes the size it was drawn for.

    ValueError when a map would shrink to nothing.
    """
    return [layer for run in block_repeats(arch, size=size) for layer in run.layers * run.count]


def block_repeats(arch: Arch, *, size: int = 0) -> list[BlockRepeat]:
    """The same, equal blocks in a row taken together: a thousand layers are a dozen runs."""
    found = list(_walk(arch, size or arch.preprocess.size))
    return [_of_all(run, arch.segments) for run in found] if arch.segments > 1 else found


def _of_all(run: BlockRepeat, segments: int) -> BlockRepeat:
    ways = tuple(tuple(replace(la, frames=la.frames * segments) for la in way) for way in run.ways)
    return replace(run, ways=ways)


@dataclass(frozen=True, slots=True)
class _Map:
    """What lies between two layers of one segment."""

    width: int
    size: int
    frames: int


def _walk(arch: Arch, size: int) -> Iterator[BlockRepeat]:
    frames = arch.clip.frames if arch.clip else 1
    at = _Map(arch.channels * size**2, 1, 1) if arch.is_flat else _Map(arch.channels, size, frames)
    for part, blocks in enumerate(((arch.stem,), *arch.stages)):
        held = {side.block: side for side in arch.sides if side.stage + 1 == part}
        index = 0
        while index < len(blocks):
            block, fork = blocks[index], at
            found = _branches(block, part, at)
            at = _Map(block.out(at.width), found[-1][-1].size, found[-1][-1].frames)
            _check_left(arch, found)
            first = index
            index += 1
            while at == fork and block in blocks[index : index + 1] and index - 1 not in held:
                index += 1
            yield BlockRepeat(part, block, found, index - first)
            if side := held.get(index - 1):
                yield BlockRepeat(part, None, (tuple(_side(arch, side.stem, side.head, part, at)),), 1)
    end = len(arch.stages) + 1
    tail = _spell(arch.tail, (), Pool(), end, "main", at)
    yield BlockRepeat(end, None, ((*tail, *_last(arch, arch.head, end, "main", at.width)),), 1)


def _check_left(arch: Arch, ways: tuple[tuple[Layer, ...], ...]) -> None:
    if min(layer.size for way in ways for layer in way) < 1:
        raise ValueError(f"{arch.name} shrinks its map to nothing: give larger images")
    if min(layer.frames for way in ways for layer in way) < 1:
        raise ValueError(f"{arch.name} shrinks its clip to nothing: give more frames")


def _last(arch: Arch, head: Head, part: int, path: Path, width: int) -> Iterator[Layer]:
    outs = tuple(Conv(out, 1, bias=True) for out in (*head.widths, arch.classes))
    yield from _spell(head.word, outs, Pool(), part, path, _Map(width * head.grid**2, 1, 1))


def _side(arch: Arch, stem: Block, head: Head, part: int, at: _Map) -> Iterator[Layer]:
    yield from _spell(stem.word, stem.convs, stem.pool, part, "side", at)
    yield from _last(arch, head, part, "side", stem.out(at.width))


def _branches(block: Block | Fork, part: int, at: _Map) -> tuple[tuple[Layer, ...], ...]:
    if isinstance(block, Block):
        return (tuple(_block(block, part, at)),)
    found = tuple(tuple(_spell(way.word, way.convs, way.pool, part, "branch", at)) for way in block.branches)
    if len(ends := {way[-1].size for way in found}) > 1:
        raise ValueError(f"{block.word!r} ends in maps of {sorted(ends)} pixels: pad them alike")
    if len(ends := {way[-1].frames for way in found}) > 1:
        raise ValueError(f"{block.word!r} ends in clips of {sorted(ends)} frames: step alike")
    return found


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
            end = (around[-1].size, around[-1].frames) if around else (fork.size, fork.frames)
            if end[0] != at.size:
                raise ValueError(
                    f"{block.word!r} ends in a map of {at.size} pixels, its shortcut in {end[0]}: "
                    "pad them alike"
                )
            if end[1] != at.frames:
                raise ValueError(
                    f"{block.word!r} ends in a clip of {at.frames} frames, its shortcut in {end[1]}: "
                    "step alike"
                )
            if gate := block.gate(fork.width):
                yield from _spell("C", (gate,), block.pool, part, "gate", fork)


def _spell(
    word: str, convs: tuple[Conv, ...], pool: Pool, part: int, path: Path, at: _Map
) -> Iterator[Layer]:
    unread, width, size, frames = iter(convs), at.width, at.size, at.frames
    for letter in word.replace(" ", ""):
        conv = next(unread) if letter in SHAPED else Conv(width, 1)
        window = conv if letter in "CZ" else pool if letter in POOLS else None
        if window:
            size, frames = window.side(size), window.length(frames)
        yield Layer(part, path, letter, width, conv, size, frames)
        width = conv.out
