"""A network split into what a diagram draws: boxes, shortcuts around them, and their sizes in pixels."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import groupby

from residua.report.svg import text_width
from residua.spec.arch import Arch
from residua.spec.block import Block, Conv, Fork, Join, Pool
from residua.spec.describe import window
from residua.spec.walk import BlockRepeat, Layer, block_repeats
from residua.spec.word import PADS, split_word

BOX, GAP = 20, 8  # pixels: height of a box, and between two of one block
FORK, JOINT = 11, 17  # above the boxes of a block, where the shortcut leaves; below them, where it returns
COMPACT = 4  # above and below a box of the stem and of the head
RAIL = 8  # from the boxes of a fork to the line that joins its ways
FRAME = 7  # around what is drawn once and there often
TYPE, SMALL, TITLE = 11.5, 10, 15  # of the boxes; of what stands beside them; of the name above
SHORTCUT_REACH = 32  # how far a shortcut swings out
GUTTER = 74  # left of the boxes: sides of maps, and how often a block comes
BOX_LETTERS = "CPVLDR"
"""Letters that are drawn as boxes; norms and activations appear only in the drawing of one block."""
LAST = 1000
"""Part of every head, so that heads stand side by side below networks of any number of stages."""

NAMES = {
    "N": "BN",
    "A": "ReLU",
    "D": "dropout",
    "R": "local response norm",
    "S": "stochastic depth",
}
"""Letters without a shape, in the words of the papers' figures."""


@dataclass(frozen=True, slots=True)
class Segment:
    """What is drawn for one block, or for several equal ones."""

    part: int
    """0 is the stem, i the i-th stage, LAST the head."""
    size: int
    """Side of the map that comes out, in pixels."""
    branches: tuple[tuple[str, ...], ...]
    """Texts of its boxes, from top to bottom; one tuple for each branch of a fork."""
    side_labels: tuple[str, ...] = ()
    """Texts right of the boxes: layers of the shortcut, or of an auxiliary head."""
    skipped: tuple[int, int] | None = None
    """First box that the shortcut skips, and the first after it; None without a shortcut."""
    is_projection: bool = False
    """Whether the shortcut has layers other than dropout."""
    count: int = 1
    """How many equal blocks it stands for."""
    is_compact: bool = False
    """Whether it has small margins: stem, head, layers that change the size of the map."""
    frames: int = 1
    """Frames of the map that comes out; 1 for an image."""
    role: str = ""
    """`Start`, `Middle` or `End`: the block's part in its stage (Duta et al. 2020); empty elsewhere."""

    @property
    def rows(self) -> int:
        """Boxes below one another."""
        return max(map(len, self.branches), default=0)

    @property
    def frame_gap(self) -> float:
        """Pixels between the boxes and the texts beside them that a frame takes."""
        return 12 if self.count > 1 else 0

    @property
    def margins(self) -> tuple[float, float]:
        """Pixels above and below its boxes."""
        if self.is_compact:
            return COMPACT, COMPACT
        rails = RAIL if len(self.branches) > 1 else 0
        frame = FRAME if self.count > 1 else 0
        return FORK + frame + rails, JOINT + frame + rails

    @property
    def height(self) -> float:
        """Pixels from one piece to the next."""
        return sum(self.margins) + self.rows * BOX + max(0, self.rows - 1) * GAP


@dataclass(frozen=True, slots=True)
class Column:
    """A network split into segments, and their widths."""

    arch: Arch
    """The network."""
    segments: tuple[Segment, ...]
    """From the image to the classes."""

    @property
    def box_width(self) -> float:
        """Pixels across a box that stands alone."""
        return max(
            126.0, *(branch_widths(segment)[0] for segment in self.segments if len(segment.branches) == 1)
        )

    @property
    def boxes_width(self) -> float:
        """Pixels across all that stands side by side."""
        return max(self.box_width, *(total_width(segment) for segment in self.segments))

    @property
    def right(self) -> float:
        """Pixels right of the boxes."""
        text = [text_width(line, SMALL) + 10 + p.frame_gap for p in self.segments for line in p.side_labels]
        name = 1.1 * text_width(self.arch.name, TITLE) / 2 - self.boxes_width / 2
        return max(
            name,
            SHORTCUT_REACH + max(text, default=4) if text or any(p.skipped for p in self.segments) else 12,
        )

    @property
    def width(self) -> float:
        """Pixels from the gutter to the last word."""
        return GUTTER + self.boxes_width + self.right


def split_network(arch: Arch, *, fold: bool) -> Column:
    """Split `arch` into segments; with `fold`, equal ones in a row become one."""
    segments: list[Segment] = []
    for run, role in zip(repeats := block_repeats(arch), repeat_roles(arch, repeats), strict=True):
        size = segments[-1].size if segments else 0
        for segment in _head_segments(arch, run, size) if run.block is None else _block_segments(run):
            segments += [replace(segment, role=role)] * run.count
    if fold:
        segments = [replace(segment, count=len(list(same))) for segment, same in groupby(segments)]
    return Column(arch, tuple(segments))


def repeat_roles(arch: Arch, repeats: Sequence[BlockRepeat]) -> list[str]:
    """`Start`, `Middle` or `End` for each of `repeats` of a network of ResStages, empty for others.

    A ResStage begins with a block that ends at its addition. It ends with one that has a norm and an
    activation after it, which the main path has nowhere else (Duta et al. 2020, section 2.1).
    """
    staged = {part for part, stage in enumerate(arch.stages, 1) if _is_resstage(stage)}
    inside = [repeat.part if repeat.block else 0 for repeat in repeats]
    roles = []
    for place, part in enumerate(inside):
        is_first, is_last = part not in inside[:place], part not in inside[place + 1 :]
        roles.append(("Start" if is_first else "End" if is_last else "Middle") if part in staged else "")
    return roles


def _is_resstage(stage: Sequence[Block | Fork]) -> bool:
    ends = [
        split_word(block.word)[2] if isinstance(block, Block) and block.has_shortcut else None
        for block in (stage[0], stage[-1])
    ]
    return len(stage) > 1 and ends[0] == "" and bool(ends[1])


def _block_segments(run: BlockRepeat) -> Iterator[Segment]:
    block = run.block
    if isinstance(block, Fork):
        yield Segment(run.part, run.layers[-1].size, branch_labels(block, run), frames=run.layers[-1].frames)
    elif block is not None and block.has_shortcut:
        yield _residual_segment(block, run)
    elif block is not None:
        letters = [layer for layer in run.layers if layer.letter in BOX_LETTERS]
        is_compact = run.part == 0 or len({layer.size for layer in letters}) > 1
        for (size, frames), layers in groupby(letters, lambda layer: (layer.size, layer.frames)):
            branch = tuple(label(layer, block.pool) for layer in layers)
            yield Segment(run.part, size, (branch,), is_compact=is_compact, frames=frames)


def _residual_segment(block: Block, run: BlockRepeat) -> Segment:
    main = [layer for layer in run.layers if layer.path in ("main", "residual")]
    branch = tuple(label(layer, block.pool) for layer in main if layer.letter in BOX_LETTERS)
    before, inside, _ = (sum(letter in BOX_LETTERS for letter in part) for part in split_word(block.word))
    bridge = [la for la in run.layers if la.path == "shortcut" and la.letter in BOX_LETTERS + PADS]
    side_labels = (*(label(layer, block.pool) for layer in bridge), *_factor_labels(block.join))
    is_projection = any(layer.letter != "D" for layer in bridge)
    skipped, end = (before, before + inside), main[-1]
    return Segment(run.part, end.size, (branch,), side_labels, skipped, is_projection, frames=end.frames)


def _factor_labels(join: Join) -> tuple[str, ...]:
    """Factors of the shortcut and of the residual, as texts."""
    if join.gate != "none":
        return ("shortcut × (1 − g)", *(["residual × g"] if join.gate == "exclusive" else []))
    factors = {"shortcut": join.shortcut, "residual": join.residual}
    return tuple(f"{name} × {factor:g}" for name, factor in factors.items() if factor != 1)


def branch_labels(
    block: Fork, run: BlockRepeat, *, letters: str = BOX_LETTERS
) -> tuple[tuple[str, ...], ...]:
    """Texts of the boxes of each branch, for the letters `letters`.

    Args:
        block: The fork.
        run: Its layers, branch after branch.
        letters: Letters that get a box; by default norms and activations get none.

    Returns:
        One tuple for each branch, with its texts from top to bottom.
    """
    branches, at = [], 0
    for branch in block.branches:
        end = at + len(branch.word.replace(" ", ""))
        layers = [layer for layer in run.layers[at:end] if layer.letter in letters]
        branches.append(tuple(label(layer, branch.pool) for layer in layers))
        at = end
    return tuple(branches)


def _head_segments(arch: Arch, run: BlockRepeat, size: int) -> Iterator[Segment]:
    pools = [side.stem.pool for side in arch.sides if side.stage + 1 == run.part]
    text = tuple(label(layer, (*pools, Pool())[0]) for layer in run.layers if layer.letter in BOX_LETTERS)
    if pools:
        yield Segment(run.part, size, ((),), ("auxiliary head:", *text), is_compact=True)
        return
    grid = arch.head.grid
    pool = () if arch.is_flat else ("average pool" if grid == 1 else f"average to {grid} × {grid}",)
    for line in (*pool, *text):
        yield Segment(LAST, 1, ((line,),), is_compact=True)


def branch_widths(segment: Segment) -> list[float]:
    """Pixels across the boxes of each way."""
    return [max((text_width(text, TYPE) for text in branch), default=0) + 14 for branch in segment.branches]


def total_width(segment: Segment) -> float:
    """Pixels across all its ways."""
    return sum(branch_widths(segment)) + GAP * (len(segment.branches) - 1)


def label(layer: Layer, pool: Pool) -> str:
    """`3×3 conv, 64, /2` as in He et al. 2015, fig. 3; `pool` is the shape of P and V."""
    conv = layer.conv
    if layer.letter == "C":
        groups = f", {conv.groups} groups" if conv.groups > 1 else ""
        return f"{window(conv)} conv, {conv.out}{groups}{_step(conv)}"
    if layer.letter in "PV":
        kind = "max" if layer.letter == "P" else "average"
        return f"{window(pool)} {kind} pool{_step(pool)}"
    if layer.letter in PADS:
        where = "zeros to" if layer.letter == "Z" else "append zeros to"
        return f"{where} {conv.out}{_step(conv)}"
    return f"fc, {conv.out}" if layer.letter == "L" else NAMES[layer.letter]


def _step(shape: Conv | Pool) -> str:
    """`, /2`; with the pace first, `, /1×2×2`, where windows in time step otherwise."""
    stride, pace = shape.stride, shape.pace
    if shape.time > 1 and stride != pace:
        return f", /{pace}×{stride}×{stride}"
    return f", /{stride}" if stride > 1 else ""
