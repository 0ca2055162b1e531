"""One block letter by letter, with its arrows, its shortcut and its addition (He et al. 2015, fig. 2 and 5)."""

import xml.etree.ElementTree as ET
from collections.abc import Sequence
from dataclasses import dataclass, replace

from residua.report.column import ROUND, arrow, box, plus, tip
from residua.report.ink import Inks
from residua.report.letters import label
from residua.report.pieces import BOX, SMALL, TYPE
from residua.report.svg import Hand, breadth, shape, words
from residua.spec import describe
from residua.spec.arch import Arch
from residua.spec.block import Pool
from residua.spec.describe import Layer, Run

STEP = 9  # pixels between two boxes
CAPTION, ENTRY = 40, 24  # for word and count; for the arrow that brings x
BEND = 8  # radius of the shortcut's corners
ASIDE = 22  # pixels from the boxes to what stands on the shortcut


@dataclass(frozen=True, slots=True)
class Kind:
    """Blocks of a network that are spelled alike."""

    run: Run
    """The first of them."""
    count: int
    """How many there are."""
    total: int
    """Blocks of the whole network."""

    @property
    def main(self) -> list[Layer]:
        """Before, inside and after the brackets."""
        return [layer for layer in self.run.layers if layer.path != "shortcut"]

    @property
    def bridge(self) -> list[Layer]:
        """Around them."""
        return [layer for layer in self.run.layers if layer.path == "shortcut"]

    @property
    def pool(self) -> Pool:
        """Shape of every P and V."""
        assert self.run.block is not None
        return self.run.block.pool

    @property
    def skips(self) -> bool:
        """Whether there is a shortcut."""
        return self.run.block is not None and self.run.block.has_shortcut

    @property
    def caption(self) -> tuple[str, str]:
        """The word, and where it stands."""
        assert self.run.block is not None
        return self.run.block.word, f"{self.count} of {self.total} blocks"


def kinds(arch: Arch) -> tuple[Kind, ...]:
    """Every word of the stages with its way around, in the order of their places in a stage."""
    found: dict[tuple[str, str], Kind] = {}
    places: dict[tuple[str, str], list[int]] = {}
    inside = [run for run in describe.runs(arch) if 0 < run.part <= len(arch.stages)]
    for part in range(1, len(arch.stages) + 1):
        place = 0
        for run in (run for run in inside if run.part == part):
            assert run.block is not None
            name = run.block.word, "".join(layer.letter for layer in run.layers if layer.path == "shortcut")
            first = found.get(name, Kind(run, 0, sum(run.count for run in inside)))
            found[name] = replace(first, count=first.count + run.count)
            places.setdefault(name, []).extend((place, place + run.count - 1))
            place += run.count
    return tuple(found[name] for name in sorted(found, key=lambda n: (min(places[n]), max(places[n]))))


def size(kind: Kind) -> tuple[float, float]:
    """Width and height of its drawing, in pixels."""
    letters = max(len(kind.main), len(kind.bridge) + 1)
    high = CAPTION + ENTRY + letters * (BOX + STEP) + (BOX + 2 * STEP if kind.skips else STEP) + 12
    said = max(breadth(kind.caption[0], 13) * 1.1, breadth(kind.caption[1], SMALL + 1))
    return max(said, _wide(kind) + _aside(kind)), high


def draw(parent: ET.Element, kind: Kind, *, at: tuple[float, float], inks: Inks) -> None:
    """Draw it with its upper left corner at `at`."""
    x, y = at
    words(parent, kind.caption[0], (x, y + 12), hand=Hand(inks.ink, 13, weight=650))
    words(parent, kind.caption[1], (x, y + 28), hand=Hand(inks.quiet, SMALL + 1))
    middle, y = x + _wide(kind) / 2, y + CAPTION
    hue = inks.nets[(kind.run.part - 1) % 5]
    words(parent, "x", (middle, y + 8), hand=Hand(inks.ink, 13, anchor="middle", slanted=True))
    end, y, fork = y + 13, y + ENTRY + 4, 0.0
    path = "main"
    for layer in [*kind.main, None]:
        here = layer.path if layer else "main"
        if path == "main" and here == "residual":
            fork, y = end + 5, y + 6
        if path == "residual" and here == "main":
            end, y = _join(parent, kind, middle, (fork, end), inks), 0.0
            y = end + STEP + 3
        path = here
        if layer is None:
            break
        arrow(parent, middle, (end, y), colour=inks.ink)
        tone = hue if layer.letter in "CPVLZ" else inks.quiet
        box(parent, label(layer, kind.pool), (middle, y), wide=_wide(kind), hue=tone, ink=inks.ink)
        end, y = y + BOX, y + BOX + STEP
    arrow(parent, middle, (end, end + STEP + 5), colour=inks.ink)


def _wide(kind: Kind) -> float:
    return max(100.0, *(breadth(label(layer, kind.pool), TYPE) + 14 for layer in kind.main))


def _beside(kind: Kind) -> float:
    """Pixels across the boxes on the shortcut; 0 for the identity."""
    return max((breadth(label(layer, kind.pool), TYPE) + 14 for layer in kind.bridge), default=0)


def _aside(kind: Kind) -> float:
    """Pixels right of the boxes."""
    if not kind.skips:
        return 0
    return ASIDE + (_beside(kind) if kind.bridge else 10 + breadth("identity", SMALL + 1))


def _join(
    parent: ET.Element, kind: Kind, middle: float, span: tuple[float, float], inks: Inks
) -> float:
    """The way around from the fork, and the circle where it returns; the lower edge of the circle."""
    fork, end = span
    need = len(kind.bridge) * (BOX + STEP) + STEP
    joint = max(end + BOX, fork + need + BOX / 2)
    right = middle + _wide(kind) / 2 + ASIDE + (_beside(kind) / 2 if kind.bridge else 0)
    style = f"fill: none; stroke: {inks.ink}; stroke-width: 1.2" + ("; stroke-dasharray: 4 3" * bool(kind.bridge))
    path = (
        f"M{middle:.1f} {fork:.1f}H{right - BEND:.1f}q{BEND} 0 {BEND} {BEND}V{joint - BEND:.1f}"
        f"q0 {BEND} -{BEND} {BEND}H{middle + ROUND + 3:.1f}"
    )
    shape(parent, "path", {"d": path}, style=style)
    tip(parent, (middle + ROUND, joint), colour=inks.ink, left=True)
    _around(parent, kind, (right, (fork + joint) / 2), inks)
    arrow(parent, middle, (end, joint - ROUND), colour=inks.ink)
    plus(parent, (middle, joint), inks=inks)
    return joint + ROUND


def _around(parent: ET.Element, kind: Kind, at: tuple[float, float], inks: Inks) -> None:
    """What stands on the shortcut, around the middle of its height."""
    x, middle = at
    if not kind.bridge:
        words(parent, "identity", (x + 7, middle + 4), hand=Hand(inks.quiet, SMALL + 1))
        return
    y = middle - (len(kind.bridge) * (BOX + STEP) - STEP) / 2
    hue = inks.nets[(kind.run.part - 1) % 5]
    for layer in kind.bridge:
        wide = _beside(kind)
        cover = {"x": x - wide / 2, "y": y, "width": wide, "height": BOX, "rx": 3}
        shape(parent, "rect", cover, style=f"fill: {inks.paper}")
        tone = hue if layer.letter in "CPVLZ" else inks.quiet
        box(parent, label(layer, kind.pool), (x, y), wide=wide, hue=tone, ink=inks.ink)
        y += BOX + STEP


def total_size(some: Sequence[Kind], *, gap: float) -> tuple[float, float]:
    """Width and height of several in a row."""
    sizes = [size(kind) for kind in some]
    return sum(wide for wide, _ in sizes) + gap * (len(sizes) - 1), max(high for _, high in sizes)
