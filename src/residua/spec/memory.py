"""What a training step keeps in memory, block by block, and which blocks to compute twice so that it fits.

A network is a row of units: the stem, every block, and the tail with the head. All sizes are bytes.
"""

import math
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import accumulate
from typing import Literal

from residua.spec.arch import Arch
from residua.spec.walk import Layer, block_repeats

Precision = Literal["float32", "bfloat16"]
WIDTH = {"float32": 4, "bfloat16": 2}
"""Bytes of one number of a map. Weights, gradients and momenta stay float32."""
INDEX = 8
"""Bytes of the index that a max-pool keeps for each number it puts out."""
PASSING = 4
"""Maps, each as large as the largest of a unit, that live for a moment while the unit runs backward: what it
put out, the gradient of that, and a gradient before and after a layer."""
UNITS = {"": 1, "K": 1 << 10, "M": 1 << 20, "G": 1 << 30, "T": 1 << 40}


@dataclass(frozen=True, slots=True)
class Unit:
    """What one stem, block or head costs in a training step, in bytes for the whole batch."""

    reads: int
    """The map it reads."""
    keeps_read: bool
    """Whether backward needs that map: its own layers do, or the activation that wrote it."""
    inner: int
    """What it keeps for backward besides the map it reads and the map it puts out."""
    passing: int
    """What it needs for a moment while it runs."""
    macs: int
    """Multiply-adds of its forward pass: what computing it twice costs."""


@dataclass(frozen=True, slots=True)
class MemorySchedule:
    """Which units are computed twice, and what that costs."""

    segments: tuple[tuple[int, int], ...]
    """(first, one past the last) unit of each stretch that keeps only what it reads; the rest keeps all."""
    peak: int
    """Most bytes of maps that live at one time."""
    recomputed_share: float
    """Share of the multiply-adds of a forward pass that is computed twice."""


def units(arch: Arch, *, batch: int, precision: Precision = "float32", size: int = 0) -> list[Unit]:
    """Every unit of `arch` for `batch` images of `size` pixels; 0 takes the size it was drawn for.

    What auxiliary classifiers keep is counted with the head, for it is never computed twice.
    """
    frames = arch.clip.total if arch.clip else 1
    found, reads = list[Unit](), arch.channels * (size or arch.preprocess.size) ** 2 * frames
    width, wrote, aside = WIDTH[precision] * batch, False, 0
    for ways in _ways_by_unit(arch, size):
        maps = _Maps(reads)
        out = maps.together([way for way in ways if way[0].path != "side"])
        for way in ways:
            if way[0].path == "side":
                side = _Maps(maps.sizes[out])
                side.through(way)
                aside += side.inside(0) * width + side.indices * INDEX * batch
                maps.kept |= {out} if 0 in side.kept else set()
        inner = maps.inside(0, out) * width + maps.indices * INDEX * batch
        if arch.has_time and precision == "bfloat16":  # torch's autocast pools clips in float32
            inner += maps.pooled * WIDTH["float32"] * batch + maps.padded * width
        keeps_read = wrote or 0 in maps.kept
        macs = sum(layer.macs for way in ways for layer in way) * batch
        found.append(Unit(reads * width, keeps_read, inner, PASSING * max(maps.sizes) * width, macs))
        reads, wrote = maps.sizes[out], out in maps.kept
    return [*found[:-1], replace(found[-1], inner=found[-1].inner + aside)]


def _ways_by_unit(arch: Arch, size: int) -> list[list[list[Layer]]]:
    """The ways through each unit; an auxiliary classifier is one more way of the block it stands behind."""
    found: list[list[list[Layer]]] = []
    for run in block_repeats(arch, size=size):
        for _ in range(run.count):
            ways = [list(way) for way in run.ways]
            if ways[0][0].path == "side":
                found[-1] += ways
            else:
                found.append(ways)
    return found


class _Maps:
    """The maps of one unit, numbered as they are made; 0 is the one it reads. Sizes in numbers per image."""

    def __init__(self, reads: int) -> None:
        self.sizes, self.kept = [reads], set[int]()
        self.indices = self.pooled = self.padded = 0

    def inside(self, *but: int) -> int:
        """Numbers kept per image, without the maps `but`."""
        return sum(self.sizes[number] for number in self.kept - set(but))

    def together(self, ways: Sequence[Sequence[Layer]]) -> int:
        """The number of the map that all `ways` put out, stacked if there are several."""
        outs = [self.through(way) for way in ways]
        return outs[0] if len(outs) == 1 else self._new(sum(self.sizes[out] for out in outs))

    def through(self, layers: Sequence[Layer]) -> int:
        """The number of the map that comes out of one way."""
        at = fork = 0
        ends: dict[str, int] = {}
        path = layers[0].path if layers else "main"
        for layer in layers:
            if layer.path != path:
                if path == "main":
                    fork = at
                ends[path] = at
                at = self._join(ends, fork) if layer.path == "main" else fork
            path = layer.path
            at = self._layer(layer, at)
        ends[path] = at
        return at if path in ("main", "branch", "side") else self._join(ends, fork)

    def _join(self, ends: Mapping[str, int], fork: int) -> int:
        """The sum of residual and shortcut; a gate keeps both, itself and what it leaves open."""
        size = self.sizes[ends["residual"]]
        if "gate" in ends:
            self.kept |= {ends["residual"], ends.get("shortcut", fork), self._new(size), self._new(size)}
        return self._new(size)

    def _layer(self, layer: Layer, at: int) -> int:
        reads = layer.width * layer.frames
        if layer.letter in "LAD" and layer.size == 1 and self.sizes[at] != reads:
            at = self._new(reads)  # the head averages the map first
        out = self._new(layer.outputs)
        if layer.letter in "CNPVLR":  # the gradient needs what was read
            self.kept.add(at)
        if layer.letter in "AD":  # what was put out; the noise of a dropout is as large
            self.kept.add(out)
        if layer.letter == "R":  # squares, their mean and its power
            self.kept |= {self._new(layer.outputs) for _ in range(3)}
        if layer.letter == "C" and (layer.conv.time, layer.conv.pace, layer.frames) == (3, 1, 2):
            self.padded += 2 * self.sizes[at]  # `letters_clip.ClipConv` writes its zeros out
        if layer.letter == "P":
            self.indices += layer.outputs
            self.pooled += self.sizes[at]
        return out

    def _new(self, size: int) -> int:
        self.sizes.append(size)
        return len(self.sizes) - 1


def unlimited(every: Sequence[Unit]) -> MemorySchedule:
    """Nothing is computed twice."""
    kept = sum(unit.inner + unit.reads * unit.keeps_read for unit in every)
    return MemorySchedule((), kept + max(unit.passing for unit in every), 0.0)


@dataclass(frozen=True, slots=True)
class _Cut:
    """The best way to cut the units before one into segments."""

    start: int
    """Where the last segment starts."""
    held: float
    """Bytes that all segments hold together while later units run; infinite when no cut fits."""
    peak: float
    """Most bytes at one time, in the backward pass of any segment."""


def schedule(every: Sequence[Unit], limit: int) -> MemorySchedule | None:
    """The schedule with the least computed twice whose peak is at most `limit`; None when there is none.

    The last units keep everything: their segment would be recomputed at once. The units before them are cut
    into segments by dynamic programming. While a segment runs backward, the maps that it and all segments
    before it read are held, and everything inside it; so the best cut before a unit is the one that holds
    least there, whatever comes after. Exact among the schedules that keep a tail of the network whole,
    which is where keeping is cheapest, because maps shrink along a network.
    """
    inside = [0, *accumulate(unit.inner + unit.reads * unit.keeps_read for unit in every)]
    passing = list(accumulate((unit.passing for unit in reversed(every)), max))[::-1]
    cuts = [_Cut(0, 0, 0)]
    for stop in range(len(every)):
        if stop:
            cuts.append(_cut(every, inside, limit, cuts))
        last = cuts[stop].held + inside[-1] - inside[stop] + passing[stop]
        if last <= limit:
            again = sum(unit.macs for unit in every[:stop]) / max(1, sum(unit.macs for unit in every))
            return MemorySchedule(_segments(cuts), int(max(last, cuts[stop].peak)), again)
    return None


def _cut(every: Sequence[Unit], inside: Sequence[int], limit: int, cuts: Sequence[_Cut]) -> _Cut:
    best, stop, passing = _Cut(0, math.inf, math.inf), len(cuts), 0
    for start in reversed(range(stop)):
        unit = every[start]
        passing = max(passing, unit.passing)
        within = inside[stop] - inside[start] - unit.reads * unit.keeps_read + passing
        if within > limit:
            break
        held = cuts[start].held + unit.reads
        if held + within <= limit and held <= best.held:  # of equals the longest: fewer, same work
            best = _Cut(start, held, max(cuts[start].peak, held + within))
    return best


def _segments(cuts: Sequence[_Cut]) -> tuple[tuple[int, int], ...]:
    found, stop = [], len(cuts) - 1
    while stop:
        found.append((cuts[stop].start, stop))
        stop = cuts[stop].start
    return tuple(reversed(found))


def tightest(every: Sequence[Unit]) -> MemorySchedule:
    """The schedule of the smallest peak, to a thousandth."""
    found = unlimited(every)
    low, high = max(unit.passing for unit in every), found.peak
    while high - low > max(1, high // 1000):
        middle = (low + high) // 2
        tried = schedule(every, middle)
        if tried:
            found, high = tried, tried.peak
        else:
            low = middle
    return found


def largest(most: int, fits: Callable[[int], bool]) -> int:
    """The largest number from 1 to `most` that `fits`, which larger ones do not; 0 when none does."""
    low, high = 0, most + 1
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if fits(middle) else (low, middle)
    return low


def parse_bytes(text: str) -> int:
    """Bytes of `4GiB`, `500M` or `123456`. ValueError for anything else."""
    match = re.fullmatch(r"(\d+(?:\.\d+)?)\s*([KMGT]?)(i?B)?", text.strip(), re.IGNORECASE)
    if not match or not (found := int(float(match[1]) * UNITS[match[2].upper()])):
        raise ValueError(f"{text!r} is no amount of memory: give one such as 4GiB or 800MiB")
    return found


def in_words(amount: float) -> str:
    """`amount` bytes as people read them: `3.4 GiB`."""
    return f"{amount / UNITS['G']:.2f} GiB" if amount >= UNITS["G"] else f"{amount / UNITS['M']:.0f} MiB"
