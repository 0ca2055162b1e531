"""Blocks drawn at random from all that the notation allows."""

from dataclasses import replace
from math import prod

from hypothesis import assume
from hypothesis import strategies as st

from residua.spec import walk
from residua.spec.arch import Arch, Head, Side
from residua.spec.block import Block, Conv, Fork, Join, Pool
from residua.spec.preprocess import Preprocess

SIZE = 32
POOLS = (Pool(), Pool(2, 2, 0), Pool(3, 1, 1))
SHORTCUTS = ("Z", "C", "CN", "NC", "CNA", "ZN", "EN", "DCN", "PCN")


@st.composite
def stretches(draw: st.DrawFn, *, convs: int, letters: str) -> str:
    """A word with `convs` C and, between them, each of `letters` at most once."""
    gaps = [draw(st.lists(st.sampled_from(letters), unique=True, max_size=2)) for _ in range(convs + 1)]
    return "C".join("".join(gap) for gap in gaps)


@st.composite
def convs(draw: st.DrawFn, count: int) -> tuple[Conv, ...]:
    """Shapes whose channels all divide into two groups."""
    return tuple(
        Conv(
            draw(st.sampled_from((16, 18, 24))),
            draw(st.sampled_from((1, 3, 5))),
            draw(st.sampled_from((1, 1, 2))),
            draw(st.sampled_from((1, 2))),
            draw(st.booleans()),
        )
        for _ in range(count)
    )


@st.composite
def plain_blocks(draw: st.DrawFn) -> Block:
    """A block without brackets, spaces strewn in."""
    count = draw(st.integers(0, 2))
    word = draw(stretches(convs=count, letters="NAPVD")) or "A"
    pool, drop = draw(st.sampled_from(POOLS)), 0.5 if "D" in word else 0.0
    return Block(" ".join(word), draw(convs(count)), pool=pool, drop=drop)


@st.composite
def residual_blocks(draw: st.DrawFn) -> Block:
    """A block with brackets; pools stand before or after them, where no shortcut must keep up."""
    before, inside = draw(st.integers(0, 1)), draw(st.integers(1, 2))
    word = "{}({}){}".format(
        draw(stretches(convs=before, letters="NAPVD")),
        draw(stretches(convs=inside, letters="NAD")),
        draw(stretches(convs=0, letters="NAPVD")),
    )
    shapes, shortcut, pool = (
        draw(convs(before + inside)),
        draw(st.sampled_from(SHORTCUTS)),
        draw(st.sampled_from(POOLS)),
    )
    if "P" in shortcut:  # one pool cannot keep up with any other stride
        assume(prod(conv.stride for conv in shapes[before:]) in (1, pool.stride))
    return Block(word, shapes, shortcut, draw(st.booleans()), pool, 0.5 if "D" in word + shortcut else 0.0)


def zeros_fit(blocks: list[Block], width: int) -> bool:
    """Whether no Z or E has to take channels away."""
    for block in blocks:
        first = block.parts()[0][1]
        fork = first[-1].out if first else width
        width = block.out(width)
        if block.pads and width < fork:
            return False
    return True


@st.composite
def arches(draw: st.DrawFn) -> Arch:
    """One stage of one or two blocks behind a stem of 16 channels, for images of 32 pixels."""
    blocks = draw(st.lists(plain_blocks() | residual_blocks(), min_size=1, max_size=2))
    assume(zeros_fit(blocks, 16))
    head = draw(st.sampled_from((Head(), Head("L A D L", (6,), grid=2, drop=0.25), Head("DL", drop=0.0))))
    tail = draw(st.sampled_from(("", "NA", "A")))
    grey = draw(st.booleans())
    colours = 1 if grey else 3
    preprocess = Preprocess(SIZE, SIZE, (0.5,) * colours, (0.25,) * colours, "grey" if grey else "rgb")
    stem = Block("CNA", (Conv(16),))
    spec = Arch("drawn", "test", "hypothesis", stem, (tuple(blocks),), tail, head, 3, preprocess)
    assume(spec.strides()[-1] <= SIZE)
    return spec


JOINS = (Join(), Join("shortcut", -1.0), Join("exclusive"), Join(shortcut=0.5), Join("none", 0.0, 0.5, 0.5))


@st.composite
def joined_blocks(draw: st.DrawFn) -> Block:
    """A residual block with any join, and stochastic depth at times."""
    block = replace(draw(residual_blocks()), join=draw(st.sampled_from(JOINS)))
    if draw(st.booleans()) and not block.drop:
        return replace(block, word=block.word.replace(")", "S)"), drop=0.25)
    return block


@st.composite
def forks(draw: st.DrawFn) -> Fork:
    """Two or three branches that keep the side of the map."""
    units = ("CNA", "C", "CA CN", "P CA", "V C N", "A")
    branches = []
    for word in draw(st.lists(st.sampled_from(units), min_size=2, max_size=3)):
        shapes = [
            draw(st.sampled_from((Conv(8), Conv(6, 1), Conv(4, 5, bias=True))))
            for _ in range(word.count("C"))
        ]
        branches.append(Block(word, tuple(shapes), pool=Pool(3, 1, 1)))
    return Fork(tuple(branches))


@st.composite
def loose_blocks(draw: st.DrawFn) -> Block:
    """A block without brackets whose windows need not keep or divide the side of the map."""
    shapes = tuple(
        Conv(16, kernel, stride, bias=True, padding=draw(st.integers(0, kernel)))
        for kernel, stride in draw(
            st.lists(st.tuples(st.integers(1, 4), st.integers(1, 3)), min_size=1, max_size=2)
        )
    )
    pool = draw(st.sampled_from((Pool(3, 2, 0, ceil=True), Pool(2, 2, 1), Pool(3, 3, 0))))
    return Block(" ".join(draw(st.sampled_from(("C", "CR", "CP", "CAV"))) for _ in shapes), shapes, pool=pool)


@st.composite
def mixed_arches(draw: st.DrawFn) -> Arch:
    """Two stages of all that a stage may hold, at times with an auxiliary head, for images of 32 pixels."""
    one = loose_blocks() | joined_blocks() | forks()
    stages = tuple(
        tuple(draw(st.lists(one, min_size=1, max_size=2)) * draw(st.integers(1, 2))) for _ in range(2)
    )
    width = 16
    for block in (block for stage in stages for block in stage):
        assume(not isinstance(block, Block) or zeros_fit([block], width))
        convs = () if isinstance(block, Fork) else block.convs
        assume(not convs or width % convs[0].groups == 0)
        width = block.out(width)
    small = Block("VCA", (Conv(4, 1),), pool=Pool(3, 1, 1))
    place = draw(st.integers(0, len(stages[0]) - 1))
    sides = (Side(0, place, small, Head("LADL", (5,), grid=2)),) if draw(st.booleans()) else ()
    head = draw(st.sampled_from((Head(), Head("LAD L", (6,), grid=2, drop=0.25))))
    preprocess = Preprocess(SIZE, SIZE, (0.5,) * 3, (0.25,) * 3)
    stem = Block("CNA", (Conv(16),))
    spec = Arch("drawn", "test", "hypothesis", stem, stages, "", head, 3, preprocess, sides)
    assume(fits(spec))
    return spec


@st.composite
def flat_arches(draw: st.DrawFn) -> Arch:
    """Linear layers from the pixels on."""

    def shapes(count: int) -> tuple[Conv, ...]:
        return tuple(Conv(draw(st.sampled_from((4, 6))), 1, bias=draw(st.booleans())) for _ in range(count))

    words = draw(st.lists(st.sampled_from(("LNA", "(LNA LN)A", "NA(L)", "LA(NAL)")), min_size=1, max_size=3))
    blocks = tuple(
        Block(word, shapes(word.count("L")), "LN" if "(" in word else "", "(" in word and draw(st.booleans()))
        for word in words
    )
    preprocess = Preprocess(4, 4, (0.5,), (0.25,), "grey")
    return Arch(
        "flat", "test", "hypothesis", Block("LNA", (Conv(6, 1),)), (blocks,), classes=3, preprocess=preprocess
    )


def fits(spec: Arch) -> bool:
    """Whether no map shrinks to nothing."""
    try:
        walk.layers(spec)
    except ValueError:
        return False
    return True


NUMBERS = st.integers(-1, 5)
"""Legal ones and others."""
ANY_CONV = st.tuples(NUMBERS, NUMBERS, NUMBERS, st.integers(0, 3), st.booleans(), st.none() | NUMBERS)
ANY_POOL = st.tuples(NUMBERS, NUMBERS, NUMBERS, st.booleans())
ANY_WORD = st.text("CNAPVZLDRS() x", max_size=7)
ANY_HEAD = st.tuples(
    ANY_WORD, st.lists(NUMBERS, max_size=2).map(tuple), NUMBERS, st.sampled_from((-0.5, 0.0, 0.5, 1.0))
)
