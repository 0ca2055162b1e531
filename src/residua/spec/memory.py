"""Memory of a training step, by arithmetic on words, and gradient checkpointing that fits it into a limit.

A network is a list of units: the stem, every block, and the tail with the head. The forward pass keeps maps
(activations) for the backward pass:

    reads ->[ unit: keeps `inner` ]-> reads of the next unit ->[ unit ]-> ... ->[ head ]

1. `list_units` walks the layers of every unit and adds up what each kind of layer keeps.
2. `keep_everything` gives the peak of a plain step.
3. `cheapest_within` divides the first units into segments, which keep only their input and are computed again
   in the backward pass, so that the peak stays within a limit and the least is computed twice.

`residua.nn.memory` runs the segments. Sizes are bytes for the whole batch unless a name says otherwise.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import accumulate
from typing import Literal

from residua.spec.arch import Arch
from residua.spec.walk import Layer, block_repeats

Precision = Literal["float32", "bfloat16"]
BYTES = {"float32": 4, "bfloat16": 2}
"""Bytes of one number of a map. Weights, gradients and momenta are always float32."""
INDEX_BYTES = 8
"""Bytes of the index that a max-pool keeps for each number of its output."""
TRANSIENT_MAPS = 4
"""Maps, each as large as the largest of a unit, that exist for a moment while the unit runs backward: its
output, the gradient of that, and the gradients before and after one layer."""


@dataclass(frozen=True, slots=True)
class Unit:
    """Memory and arithmetic of one stem, block or head in a training step."""

    reads: int
    """Size of its input map."""
    keeps_read: bool
    """Whether backward needs that map: a layer of the unit does, or the activation that computed it."""
    inner: int
    """Size of what it keeps for backward besides its input and output map."""
    transient: int
    """Size of what exists only while it runs backward."""
    macs: int
    """Multiply-adds of its forward pass, which computing it twice costs once more."""


@dataclass(frozen=True, slots=True)
class MemorySchedule:
    """Which units are computed twice, and the memory and arithmetic that follow."""

    segments: tuple[tuple[int, int], ...]
    """(first, one past the last) unit of each segment, which keeps only its input; other units keep all."""
    peak: int
    """Most bytes of maps that exist at one time."""
    recomputed_share: float
    """Share of the multiply-adds of a forward pass that is computed twice."""


def list_units(arch: Arch, *, batch: int, precision: Precision = "float32", size: int = 0) -> list[Unit]:
    """Every unit of a network in order.

    What auxiliary classifiers keep is counted with the head, because it is never computed twice.

    Args:
        arch: The network.
        batch: Images or clips of a step.
        precision: Type of the maps.
        size: Side of the images, in pixels; 0 takes that of `arch`.
    """
    frames = arch.clip.total if arch.clip else 1
    reads = arch.channels * (size or arch.preprocess.size) ** 2 * frames
    width, was_kept, side_bytes = BYTES[precision] * batch, False, 0
    listed = list[Unit]()
    for ways in _ways_by_unit(arch, size):
        maps = _Maps(reads)
        out = maps.together([way for way in ways if way[0].path != "side"])
        for way in ways:
            if way[0].path == "side":
                side = _Maps(maps.sizes[out])
                side.through(way)
                side_bytes += side.kept_size(0) * width + side.indices * INDEX_BYTES * batch
                maps.kept_maps |= {out} if 0 in side.kept_maps else set()
        inner = maps.kept_size(0, out) * width + maps.indices * INDEX_BYTES * batch
        if arch.has_time and precision == "bfloat16":  # torch's autocast pools clips in float32
            inner += maps.pooled * BYTES["float32"] * batch + maps.padded * width
        keeps_read = was_kept or 0 in maps.kept_maps
        macs = sum(layer.macs for way in ways for layer in way) * batch
        transient = TRANSIENT_MAPS * max(maps.sizes) * width
        listed.append(Unit(reads * width, keeps_read, inner, transient, macs))
        reads, was_kept = maps.sizes[out], out in maps.kept_maps
    return [*listed[:-1], replace(listed[-1], inner=listed[-1].inner + side_bytes)]


def _ways_by_unit(arch: Arch, size: int) -> list[list[list[Layer]]]:
    """The ways through each unit; an auxiliary classifier is one more way of the block before it."""
    units: list[list[list[Layer]]] = []
    for repeat in block_repeats(arch, size=size):
        for _ in range(repeat.count):
            ways = [list(way) for way in repeat.ways]
            if ways[0][0].path == "side":
                units[-1] += ways
            else:
                units.append(ways)
    return units


class _Maps:
    """The maps of one unit, numbered in order; 0 is its input. Sizes are values per image."""

    def __init__(self, reads: int) -> None:
        self.sizes, self.kept_maps = [reads], set[int]()
        self.indices = self.pooled = self.padded = 0

    def kept_size(self, *without: int) -> int:
        """Values kept per image, not counting the maps `without`."""
        return sum(self.sizes[number] for number in self.kept_maps - set(without))

    def together(self, ways: Sequence[Sequence[Layer]]) -> int:
        """The number of the map that all `ways` compute, stacked if there are several."""
        outs = [self.through(way) for way in ways]
        return outs[0] if len(outs) == 1 else self._new(sum(self.sizes[out] for out in outs))

    def through(self, layers: Sequence[Layer]) -> int:
        """The number of the last map of one way."""
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
        """The sum of residual and shortcut; a gate keeps both, itself and one minus itself."""
        size = self.sizes[ends["residual"]]
        if "gate" in ends:
            self.kept_maps |= {ends["residual"], ends.get("shortcut", fork), self._new(size), self._new(size)}
        return self._new(size)

    def _layer(self, layer: Layer, at: int) -> int:
        reads = layer.width * layer.frames
        if layer.letter in "LAD" and layer.size == 1 and self.sizes[at] != reads:
            at = self._new(reads)  # the head averages the map first
        out = self._new(layer.outputs)
        if layer.letter in "CNPVLR":  # the gradient needs the input
            self.kept_maps.add(at)
        if layer.letter in "AD":  # it needs the output; the mask of a dropout is as large
            self.kept_maps.add(out)
        if layer.letter == "R":  # and the squares, their mean and its power
            self.kept_maps |= {self._new(layer.outputs) for _ in range(3)}
        if layer.letter == "C" and (layer.conv.time, layer.conv.pace, layer.frames) == (3, 1, 2):
            self.padded += 2 * self.sizes[at]  # `letters_clip.ClipConv` writes its zeros out
        if layer.letter == "P":
            self.indices += layer.outputs
            self.pooled += self.sizes[at]
        return out

    def _new(self, size: int) -> int:
        self.sizes.append(size)
        return len(self.sizes) - 1


def keep_everything(units: Sequence[Unit]) -> MemorySchedule:
    """The schedule of a plain step, which computes nothing twice."""
    peak = sum(unit.inner + unit.reads * unit.keeps_read for unit in units)
    return MemorySchedule((), peak + max(unit.transient for unit in units), 0.0)


@dataclass(frozen=True, slots=True)
class _Cut:
    """The best division of all units before some unit into segments."""

    start: int
    """First unit of the last segment."""
    inputs: float
    """Bytes of the inputs of all segments, kept while later units run; infinite where no division fits."""
    peak: float
    """Most bytes at one time, in the backward pass of any segment."""


def cheapest_within(units: Sequence[Unit], limit: int) -> MemorySchedule | None:
    """The schedule that fits a limit and computes the least twice.

    The last units keep everything: a segment there would be computed again at once. The units before them are
    divided into segments by dynamic programming. While a segment runs backward, three things exist: its
    input, the inputs of all segments before it, and everything inside it. So the best division of the units
    before some unit is the one whose inputs are smallest, whatever comes after. The result is exact among
    schedules that keep the last units whole, which is where keeping is cheapest, because maps shrink along a
    network.

    Args:
        units: As `list_units` gives them.
        limit: Most bytes of maps at one time.

    Returns:
        The schedule; None if none fits.
    """
    inside = [0, *accumulate(unit.inner + unit.reads * unit.keeps_read for unit in units)]
    transient = list(accumulate((unit.transient for unit in reversed(units)), max))[::-1]
    cuts = [_Cut(0, 0, 0)]
    for stop in range(len(units)):
        if stop:
            cuts.append(_cut(units, inside, limit, cuts))
        last = cuts[stop].inputs + inside[-1] - inside[stop] + transient[stop]
        if last <= limit:
            recomputed = sum(unit.macs for unit in units[:stop]) / max(1, sum(unit.macs for unit in units))
            return MemorySchedule(_segments(cuts), int(max(last, cuts[stop].peak)), recomputed)
    return None


def _cut(units: Sequence[Unit], inside: Sequence[int], limit: int, cuts: Sequence[_Cut]) -> _Cut:
    """The best division of the units before number `len(cuts)`; `cuts` are those of all earlier units."""
    best, stop, transient = _Cut(0, math.inf, math.inf), len(cuts), 0
    for start in reversed(range(stop)):
        unit = units[start]
        transient = max(transient, unit.transient)
        within = inside[stop] - inside[start] - unit.reads * unit.keeps_read + transient
        if within > limit:
            break
        inputs = cuts[start].inputs + unit.reads
        if inputs + within <= limit and inputs <= best.inputs:  # of equals the longest: fewer, same work
            best = _Cut(start, inputs, max(cuts[start].peak, inputs + within))
    return best


def _segments(cuts: Sequence[_Cut]) -> tuple[tuple[int, int], ...]:
    segments, stop = [], len(cuts) - 1
    while stop:
        segments.append((cuts[stop].start, stop))
        stop = cuts[stop].start
    return tuple(reversed(segments))


def smallest_peak(units: Sequence[Unit]) -> MemorySchedule:
    """The schedule with the smallest peak, to a thousandth of it."""
    best = keep_everything(units)
    low, high = max(unit.transient for unit in units), best.peak
    while high - low > max(1, high // 1000):
        middle = (low + high) // 2
        if fitting := cheapest_within(units, middle):
            best, high = fitting, fitting.peak
        else:
            low = middle
    return best


def largest_fitting(most: int, fits: Callable[[int], bool]) -> int:
    """The largest number from 1 to `most` for which `fits` is true, 0 if none; `fits` must be monotonic."""
    low, high = 0, most + 1
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if fits(middle) else (low, middle)
    return low
