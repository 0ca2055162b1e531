"""Cost of an Arch, the paper's architecture table of it, and how two differ: arithmetic on words."""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from difflib import SequenceMatcher
from itertools import groupby
from typing import Any

from residua.spec.arch import Arch, Head, ways
from residua.spec.block import Block, Conv, Fork, Join, Pool
from residua.spec.record import to_plain
from residua.spec.walk import block_repeats, layers
from residua.spec.word import POOLS, SHAPED

POOL_NAMES = {"avg": "average", "max": "max", "avgmax": "average and max"}
"""`Head.pool` in words."""


@dataclass(frozen=True, slots=True)
class Cost:
    """Cost of a network for one image or clip, auxiliary heads included."""

    params: int
    """Learnable values, norms and biases included."""
    macs: int
    """Multiply-adds of convolutions and linear layers; the papers call them FLOPs."""
    activations: int
    """Values that convolutions and linear layers compute."""


@dataclass(frozen=True, slots=True)
class ArchRow:
    """One line of the paper's architecture table."""

    part: str
    """`conv1`, `conv2_x`, ... as in He et al. 2015, table 1; `head`."""
    size: int
    """Side of the output map, in pixels."""
    frames: int
    """Frames of the output map; 1 for an image."""
    layers: str
    """Kernels and widths of a block, and its number of repeats: `[3×3, 64; 3×3, 64] × 2`."""
    words: str
    """The same in letters."""
    macs: int
    """Multiply-adds for one image or clip."""


def cost(arch: Arch, *, size: int = 0) -> Cost:
    """Cost of one image or clip; `size` is the side in pixels, 0 takes that of `arch`."""
    params = macs = outputs = 0
    for repeat in block_repeats(arch, size=size):
        params += repeat.count * sum(layer.params for layer in repeat.layers)
        macs += repeat.count * sum(layer.macs for layer in repeat.layers)
        outputs += repeat.count * sum(layer.outputs for layer in repeat.layers if layer.letter in "CL")
    return Cost(params, macs, outputs)


def main_path_activations(arch: Arch) -> int:
    """Activations in the stages that no shortcut skips, and so every signal passes."""
    inside = [(repeat.block, repeat.count) for repeat in block_repeats(arch) if repeat.block and repeat.part]
    return sum(count * unskipped_activations(block) for block, count in inside)


def unskipped_activations(block: Block | Fork) -> int:
    """Activations of `block` that no shortcut skips; of a fork, those of the branch that has most."""
    return max(_unskipped(way).count("A") for way in ways(block))


def _unskipped(block: Block) -> str:
    (before, _), (inside, _), (after, _) = block.parts()
    return before + after if block.has_shortcut else before + inside + after


def describe_shortcuts(arch: Arch) -> str:
    """What the shortcuts of a network are: their words, where they stand, and what multiplies them."""
    blocks = arch.residual_blocks()
    if not blocks:
        return "none"
    words = ", ".join(sorted({block.shortcut for block in blocks}))
    factor = _factor(blocks[0].join)
    if any(block.always for block in blocks):
        where = "in every block"
    else:
        where = "where shapes change" + ("" if factor else ", identity elsewhere")
    return f"{words} {where}" + (f"; {factor} in every block" if factor else "")


def _factor(join: Join) -> str:
    """What multiplies shortcut and residual; empty where nothing does."""
    if join.gate != "none":
        residual = ", the residual times g" if join.gate == "exclusive" else ""
        return f"times 1 - g{residual} (a gate with bias {join.bias:g})"
    if not join.is_scaled:
        return ""
    return f"times {join.shortcut:g}" + (
        f", the residual times {join.residual:g}" if join.residual != 1 else ""
    )


def receptive_field(arch: Arch) -> int:
    """Side, in pixels, of the square of the image that one cell of the last map depends on; 0 if flat."""
    if arch.is_flat:
        return 0
    field, step = 1, 1
    for block, count in [(repeat.block, repeat.count) for repeat in block_repeats(arch) if repeat.block]:
        reach, stride = max(_reach(way) for way in ways(block)), block.stride()
        for _ in range(count):
            field += step * reach
            step *= stride
    return field


def _reach(block: Block) -> int:
    """Pixels of the input, besides one, that a cell of the output of `block` depends on."""
    reach, step, convs = 0, 1, iter(block.convs)
    for letter in block.word:
        shape: Conv | Pool | None = next(convs) if letter == "C" else block.pool if letter in POOLS else None
        if shape:
            reach += (shape.reach if isinstance(shape, Conv) else shape.kernel - 1) * step
            step *= shape.stride
    return reach


def table(arch: Arch, *, size: int = 0) -> list[ArchRow]:
    """The architecture table as in the papers: a row for the stem, each stage, the head and auxiliary heads.

    Args:
        arch: The network.
        size: Side of the images, in pixels; 0 takes that of `arch`.
    """
    all_layers = layers(arch, size=size)
    rows = []
    for part, blocks in enumerate(((arch.stem,), *arch.stages)):
        own = [layer for layer in all_layers if layer.part == part and layer.path != "side"]
        name = ("layer" if arch.is_flat else "conv") + f"{part + 1}" + ("_x" if part else "")
        macs = sum(layer.macs for layer in own)
        shapes, words = _counted(map(_shapes, blocks)), _counted(block.word for block in blocks)
        rows.append(ArchRow(name, own[-1].size, own[-1].frames, shapes, words, macs))
    tail = [layer for layer in all_layers if layer.part > len(arch.stages)]
    word = f"{arch.tail} {arch.head.word}".strip()
    rows.append(ArchRow("head", 1, 1, _head(arch.head, arch), word, sum(layer.macs for layer in tail)))
    sides = [layer for layer in all_layers if layer.path == "side"]
    if sides:
        texts = _counted(f"{_shapes(side.stem)}; {_head(side.head, arch)}" for side in arch.sides)
        words = _counted(f"{side.stem.word} {side.head.word}" for side in arch.sides)
        rows.append(ArchRow("sides", 1, 1, texts, words, sum(layer.macs for layer in sides)))
    return rows


def _head(head: Head, arch: Arch) -> str:
    linear = " → ".join(map(str, (*head.widths, arch.classes)))
    return f"{linear}-d fc" if arch.is_flat else f"{POOL_NAMES[head.pool]} pool, {linear}-d fc"


def _shapes(block: Block | Fork) -> str:
    texts = ["; ".join(filter(None, (_window(way, i) for i in range(len(way.word))))) for way in ways(block)]
    return f"[{' | '.join(texts)}]"


def _window(block: Block, at: int) -> str:
    letter = block.word[at]
    if letter in SHAPED:
        conv = block.convs[sum(block.word[:at].count(shaped) for shaped in SHAPED)]
        groups = f", {conv.groups} groups" if conv.groups > 1 else ""
        apart = f", dilation {conv.dilation}" if conv.dilation > 1 else ""
        return f"{conv.out}-d fc" if letter == "L" else f"{window(conv)}, {conv.out}{groups}{apart}"
    if letter in POOLS:
        return f"{window(block.pool)} {'max' if letter == 'P' else 'average'} pool"
    return ""


def window(shape: Conv | Pool) -> str:
    """`3×3`, or with a length in frames before it: `3×3×3`."""
    return "×".join(map(str, (*([shape.time] if shape.time > 1 else []), shape.kernel, shape.kernel)))


def extent(size: int, frames: int = 1, *, between: str = "×") -> str:
    """The size of a map in text: `56×56`, or `16×56×56` with its frames.

    Args:
        size: Side of the map, in pixels.
        frames: Frames of the map; 1 is left out.
        between: Text between two numbers.

    Returns:
        The text.
    """
    return between.join(map(str, (*([frames] if frames > 1 else []), size, size)))


def first_difference(there: Arch, here: Arch) -> str:
    """The first part of two networks that computes something else; empty if they compute the same.

    Names, classes, image channels and what only training does (dropout, side heads) may differ.

    Args:
        there: One network, of a file.
        here: The other.

    Returns:
        `(CNA CN)A around Z with strides 2 1 there, CNA CNA with strides 2 1 here`.
    """
    if there.has_time != here.has_time:
        return "it reads clips there, images here" if there.has_time else "it reads images there, clips here"
    pairs = zip((there.stem, *there.blocks()), (here.stem, *here.blocks()), strict=False)
    for one, other in pairs:
        if _at_inference(to_plain(one)) != _at_inference(to_plain(other)):
            return f"{_in_words(one)} there, {_in_words(other)} here"
    if there.tail != here.tail or len(there.blocks()) != len(here.blocks()):
        return f"{there.depth()} layers and tail {there.tail!r} there, {here.depth()} and {here.tail!r} here"
    return ""


def _at_inference(plain: Any) -> Any:
    """A block as JSON values without its dropout and stochastic depth."""
    if isinstance(plain, dict):
        return {name: _at_inference(value) for name, value in plain.items() if name != "drop"}
    if isinstance(plain, list):
        return [_at_inference(value) for value in plain]
    return re.sub("[DS ]", "", plain) if isinstance(plain, str) else plain


def _in_words(block: Block | Fork) -> str:
    around = f" around {way.shortcut}" if (way := ways(block)[0]).shortcut else ""
    convs = [conv for way in ways(block) for conv in way.convs]
    texts = [f"strides {' '.join(str(conv.stride) for conv in convs)}"]
    if any(conv.dilation > 1 for conv in convs):
        texts.append(f"dilations {' '.join(str(conv.dilation) for conv in convs)}")
    return f"{block.word}{around} with {' and '.join(texts)}"


@dataclass(frozen=True, slots=True)
class PartWords:
    """The words of one part of two networks, split where they differ."""

    part: str
    """`conv1`, `conv2_x`, ..., `head` or `shortcuts`."""
    first: tuple[tuple[str, bool], ...]
    """The words of the first network in pieces, and whether the second lacks a piece; empty without part."""
    second: tuple[tuple[str, bool], ...]
    """The same of the second network."""

    @property
    def is_equal(self) -> bool:
        """Whether both networks have the same words."""
        return not any(differs for _, differs in (*self.first, *self.second))


def word_differences(first: Arch, second: Arch) -> list[PartWords]:
    """The words of two networks part by part, with the letters that differ marked.

    Args:
        first: One network.
        second: The other.

    Returns:
        A row for each line of the architecture table of either network, and one for the shortcuts.
    """
    texts = [{row.part: f"{row.words} {row.layers}" for row in table(arch)} for arch in (first, second)]
    parts = dict.fromkeys([*texts[0], *texts[1]])
    order = sorted(parts, key=lambda part: part in ("head", "sides"))
    rows = [PartWords(part, *_pieces(texts[0].get(part, ""), texts[1].get(part, ""))) for part in order]
    one, other = map(describe_shortcuts, (first, second))
    differs = one != other  # sentences, not words: marked as a whole
    return [*rows, PartWords("shortcuts", ((one, differs),), ((other, differs),))]


def _pieces(first: str, second: str) -> tuple[tuple[tuple[str, bool], ...], tuple[tuple[str, bool], ...]]:
    """Both texts in pieces that are equal in both or stand in one alone."""
    ones: list[tuple[str, bool]] = []
    others: list[tuple[str, bool]] = []
    matcher = SequenceMatcher(None, first, second, autojunk=False)
    for kind, start, end, other_start, other_end in matcher.get_opcodes():
        for pieces, text in ((ones, first[start:end]), (others, second[other_start:other_end])):
            if text:
                pieces.append((text, kind != "equal"))
    return tuple(ones), tuple(others)


def _counted(texts: Iterable[str]) -> str:
    block_repeats = [(text, len(list(same))) for text, same in groupby(texts)]
    return ", ".join(f"{text} × {count}" if count > 1 else text for text, count in block_repeats)


def plain_numbers(arch: Arch) -> dict[str, int]:
    """The numbers that networks are compared by, in the order of the tables."""
    total = cost(arch)
    return {
        "params": total.params,
        "macs": total.macs,
        "activations": total.activations,
        "input": arch.preprocess.size,
        "frames": arch.clip.total if arch.clip else 1,
        "depth": arch.depth(),
        "receptive_field": receptive_field(arch),
        "main_path_activations": main_path_activations(arch),
    }
