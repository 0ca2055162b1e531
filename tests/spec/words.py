"""Blocks drawn at random from all that the notation allows."""

from math import prod

from hypothesis import assume
from hypothesis import strategies as st

from residua.spec.arch import Arch, Head
from residua.spec.block import Block, Conv, Pool
from residua.spec.preprocess import Preprocess

SIZE = 32
POOLS = (Pool(), Pool(2, 2, 0), Pool(3, 1, 1))
SHORTCUTS = ("Z", "C", "CN", "NC", "CNA", "ZN", "DCN", "PCN")


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
    """Whether no Z has to take channels away."""
    for block in blocks:
        first = block.parts()[0][1]
        fork = first[-1].out if first else width
        width = block.out(width)
        if "Z" in block.shortcut and width < fork:
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
    seen = Preprocess(SIZE, SIZE, (0.5,) * colours, (0.25,) * colours, "grey" if grey else "rgb")
    stem = Block("CNA", (Conv(16),))
    spec = Arch("drawn", "test", "hypothesis", stem, (tuple(blocks),), tail, head, 3, seen)
    assume(spec.strides()[-1] <= SIZE)
    return spec
