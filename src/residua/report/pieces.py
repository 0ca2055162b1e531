"""A network cut into what a figure draws: boxes, what skips them, and how much room they take."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import groupby

from residua.report.letters import label
from residua.report.svg import breadth
from residua.spec import describe
from residua.spec.arch import Arch
from residua.spec.block import Pool, split_word

BOX, GAP = 20, 8  # pixels: height of a box, and between two of one block
FORK, JOINT = 11, 17  # above the boxes of a block, where the shortcut leaves; below them, where it returns
LOOSE = 4  # above and below a box of the stem and of the head
FRAME = 7  # around what is drawn once and there often
TYPE, SMALL = 11.5, 10  # of the boxes; of what stands beside them
BULGE = 32  # how far a shortcut swings out
GUTTER = 74  # left of the boxes: sides of maps, and how often a block comes
SHOWN = "CPVLDR"
"""Letters that are boxes; norms and activations are left to the view of one block."""
LAST = 1000
"""Part of every head, so that heads stand side by side below networks of any number of stages."""


@dataclass(frozen=True, slots=True)
class Piece:
    """What one block draws, or several equal ones."""

    part: int
    """0 is the stem, i the i-th stage, LAST the head."""
    size: int
    """Side of the map that comes out, in pixels."""
    ways: tuple[tuple[str, ...], ...]
    """What its boxes say, from top to bottom; of a fork, one tuple for each branch."""
    skipped: tuple[int, int] | None
    """First box that the shortcut skips, and the first it does not; None where nothing is skipped."""
    beside: tuple[str, ...]
    """What happens on the shortcut; nothing on the identity."""
    count: int
    """How many equal blocks it stands for."""
    loose: bool
    """Whether it keeps close to its neighbours: stem, head, what a block does to the size of its map."""

    @property
    def margins(self) -> tuple[float, float]:
        """Pixels above and below its boxes."""
        frame = FRAME if self.count > 1 else 0
        return (LOOSE, LOOSE) if self.loose else (FORK + frame, JOINT + frame)

    @property
    def height(self) -> float:
        """Pixels from one piece to the next."""
        rows = max(len(way) for way in self.ways)
        split = 2 * JOINT if len(self.ways) > 1 else 0
        return sum(self.margins) + rows * BOX + max(0, rows - 1) * GAP + split


@dataclass(frozen=True, slots=True)
class Column:
    """A network cut into pieces, and how wide they are."""

    arch: Arch
    """The network."""
    pieces: tuple[Piece, ...]
    """From the image to the classes."""

    @property
    def boxes(self) -> float:
        """Pixels across the boxes."""
        return max(126.0, *(sum(way_widths(piece)) + GAP * (len(piece.ways) - 1) for piece in self.pieces))

    @property
    def right(self) -> float:
        """Pixels right of the boxes."""
        said = [line for piece in self.pieces for line in piece.beside]
        skips = any(piece.skipped for piece in self.pieces)
        return (BULGE + max((breadth(line, SMALL) + 10 for line in said), default=4)) if skips else 12

    @property
    def width(self) -> float:
        """Pixels from the gutter to the last word."""
        return GUTTER + self.boxes + self.right


def cut(arch: Arch, *, fold: bool) -> Column:
    """`arch` in pieces; with `fold`, those in a row that look alike are one."""
    found: list[Piece] = []
    for run in describe.runs(arch):
        for piece in _head(arch, run) if run.block is None else _block(run):
            found += [piece] * run.count
    if fold:
        found = [replace(piece, count=len(list(same))) for piece, same in groupby(found)]
    return Column(arch, tuple(found))


def rows(made: Column) -> int:
    """Boxes below one another."""
    return sum(max(len(way) for way in piece.ways) for piece in made.pieces)


def _block(run: describe.Run) -> Iterator[Piece]:
    assert run.block is not None
    pool = run.block.pool
    main = [layer for layer in run.layers if layer.path != "shortcut"]
    shown = [layer for layer in main if layer.letter in SHOWN]
    if not run.block.has_shortcut:
        loose = run.part == 0 or len({layer.size for layer in shown}) > 1
        for size, layers in groupby(shown, lambda layer: layer.size):
            way = tuple(label(layer, pool) for layer in layers)
            yield Piece(run.part, size, (way,), None, (), 1, loose)
        return
    before, inside, _ = (sum(letter in SHOWN for letter in part) for part in split_word(run.block.word))
    way = tuple(label(layer, pool) for layer in shown)
    skipped = before, before + inside
    yield Piece(run.part, main[-1].size, (way,), skipped, _beside(run), 1, False)


def _beside(run: describe.Run) -> tuple[str, ...]:
    pool = run.block.pool if run.block else Pool()
    bridge = [layer for layer in run.layers if layer.path == "shortcut"]
    return tuple(label(layer, pool) for layer in bridge if layer.letter in SHOWN + "Z")


def _head(arch: Arch, run: describe.Run) -> Iterator[Piece]:
    grid = arch.head.grid
    first = "average pool" if grid == 1 else f"average to {grid} × {grid}"
    for said in (first, *(label(layer, Pool()) for layer in run.layers if layer.letter in SHOWN)):
        yield Piece(LAST, 1, ((said,),), None, (), 1, True)


def way_widths(piece: Piece) -> list[float]:
    """Pixels across the boxes of each way."""
    return [max((breadth(said, TYPE) for said in way), default=0) + 14 for way in piece.ways]
