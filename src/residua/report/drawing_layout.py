"""A network cut into what a figure draws: boxes, what skips them, and how much room they take."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import groupby

from residua.report.drawing_labels import label
from residua.report.svg import text_width
from residua.spec.arch import Arch
from residua.spec.block import Block, Fork, Join, Pool
from residua.spec.walk import BlockRepeat, block_repeats
from residua.spec.word import split_word

BOX, GAP = 20, 8  # pixels: height of a box, and between two of one block
FORK, JOINT = 11, 17  # above the boxes of a block, where the shortcut leaves; below them, where it returns
LOOSE = 4  # above and below a box of the stem and of the head
RAIL = 8  # from the boxes of a fork to the line that joins its ways
FRAME = 7  # around what is drawn once and there often
TYPE, SMALL, TITLE = 11.5, 10, 15  # of the boxes; of what stands beside them; of the name above
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
    beside: tuple[str, ...] = ()
    """What stands right of the boxes: what happens on the shortcut, or the layers of an auxiliary head."""
    skipped: tuple[int, int] | None = None
    """First box that the shortcut skips, and the first it does not; None where nothing is skipped."""
    projects: bool = False
    """Whether the shortcut changes size or width, or could."""
    count: int = 1
    """How many equal blocks it stands for."""
    loose: bool = False
    """Whether it keeps close to its neighbours: stem, head, what a block does to the size of its map."""
    frames: int = 1
    """Frames of the map that comes out; 1 for an image."""

    @property
    def rows(self) -> int:
        """Boxes below one another."""
        return max(map(len, self.ways), default=0)

    @property
    def framed(self) -> float:
        """Pixels by which a frame keeps away what stands beside it."""
        return 12 if self.count > 1 else 0

    @property
    def margins(self) -> tuple[float, float]:
        """Pixels above and below its boxes."""
        if self.loose:
            return LOOSE, LOOSE
        rails = RAIL if len(self.ways) > 1 else 0
        frame = FRAME if self.count > 1 else 0
        return FORK + frame + rails, JOINT + frame + rails

    @property
    def height(self) -> float:
        """Pixels from one piece to the next."""
        return sum(self.margins) + self.rows * BOX + max(0, self.rows - 1) * GAP


@dataclass(frozen=True, slots=True)
class Column:
    """A network cut into pieces, and how wide they are."""

    arch: Arch
    """The network."""
    pieces: tuple[Piece, ...]
    """From the image to the classes."""

    @property
    def box(self) -> float:
        """Pixels across a box that stands alone."""
        return max(126.0, *(way_widths(piece)[0] for piece in self.pieces if len(piece.ways) == 1))

    @property
    def boxes(self) -> float:
        """Pixels across all that stands side by side."""
        return max(self.box, *(abreast(piece) for piece in self.pieces))

    @property
    def right(self) -> float:
        """Pixels right of the boxes."""
        said = [text_width(line, SMALL) + 10 + p.framed for p in self.pieces for line in p.beside]
        name = 1.1 * text_width(self.arch.name, TITLE) / 2 - self.boxes / 2
        return max(name, BULGE + max(said, default=4) if said or any(p.skipped for p in self.pieces) else 12)

    @property
    def width(self) -> float:
        """Pixels from the gutter to the last word."""
        return GUTTER + self.boxes + self.right


def cut(arch: Arch, *, fold: bool) -> Column:
    """`arch` in pieces; with `fold`, those in a row that look alike are one."""
    found: list[Piece] = []
    for run in block_repeats(arch):
        size = found[-1].size if found else 0
        for piece in _head(arch, run, size) if run.block is None else _block(run):
            found += [piece] * run.count
    if fold:
        found = [replace(piece, count=len(list(same))) for piece, same in groupby(found)]
    return Column(arch, tuple(found))


def _block(run: BlockRepeat) -> Iterator[Piece]:
    block = run.block
    if isinstance(block, Fork):
        yield Piece(run.part, run.layers[-1].size, branches(block, run), frames=run.layers[-1].frames)
    elif block is not None and block.has_shortcut:
        yield _residual(block, run)
    elif block is not None:
        shown = [layer for layer in run.layers if layer.letter in SHOWN]
        loose = run.part == 0 or len({layer.size for layer in shown}) > 1
        for (size, frames), layers in groupby(shown, lambda layer: (layer.size, layer.frames)):
            way = tuple(label(layer, block.pool) for layer in layers)
            yield Piece(run.part, size, (way,), loose=loose, frames=frames)


def _residual(block: Block, run: BlockRepeat) -> Piece:
    main = [layer for layer in run.layers if layer.path in ("main", "residual")]
    way = tuple(label(layer, block.pool) for layer in main if layer.letter in SHOWN)
    before, inside, _ = (sum(letter in SHOWN for letter in part) for part in split_word(block.word))
    bridge = [layer for layer in run.layers if layer.path == "shortcut" and layer.letter in SHOWN + "Z"]
    beside = (*(label(layer, block.pool) for layer in bridge), *_joined(block.join))
    projects = any(layer.letter != "D" for layer in bridge)
    skipped, end = (before, before + inside), main[-1]
    return Piece(run.part, end.size, (way,), beside, skipped, projects, frames=end.frames)


def _joined(join: Join) -> tuple[str, ...]:
    """What multiplies the shortcut, and the residual."""
    if join.gate != "none":
        return ("shortcut × (1 − g)", *(["residual × g"] if join.gate == "exclusive" else []))
    factors = {"shortcut": join.shortcut, "residual": join.residual}
    return tuple(f"{name} × {factor:g}" for name, factor in factors.items() if factor != 1)


def branches(block: Fork, run: BlockRepeat, *, shown: str = SHOWN) -> tuple[tuple[str, ...], ...]:
    """What the boxes of each branch say, for the letters `shown`."""
    ways, at = [], 0
    for branch in block.branches:
        letters = len(branch.word.replace(" ", ""))
        mine = run.layers[at : at + letters]
        ways.append(tuple(label(layer, branch.pool) for layer in mine if layer.letter in shown))
        at += letters
    return tuple(ways)


def _head(arch: Arch, run: BlockRepeat, size: int) -> Iterator[Piece]:
    pools = [side.stem.pool for side in arch.sides if side.stage + 1 == run.part]
    said = tuple(label(layer, (*pools, Pool())[0]) for layer in run.layers if layer.letter in SHOWN)
    if pools:
        yield Piece(run.part, size, ((),), ("auxiliary head:", *said), loose=True)
        return
    grid = arch.head.grid
    pool = () if arch.is_flat else ("average pool" if grid == 1 else f"average to {grid} × {grid}",)
    for line in (*pool, *said):
        yield Piece(LAST, 1, ((line,),), loose=True)


def way_widths(piece: Piece) -> list[float]:
    """Pixels across the boxes of each way."""
    return [max((text_width(said, TYPE) for said in way), default=0) + 14 for way in piece.ways]


def abreast(piece: Piece) -> float:
    """Pixels across all its ways."""
    return sum(way_widths(piece)) + GAP * (len(piece.ways) - 1)
