"""A whole network from one word: the CIFAR layout of He et al. 2015, 4.2, with that word in its blocks."""

from collections.abc import Mapping
from dataclasses import replace

from residua.errors import ConfigError, WordError
from residua.spec import orders, widths, zoo
from residua.spec.arch import Arch
from residua.spec.block import Block, Conv
from residua.spec.change import SHORTCUTS, with_order, with_shortcut
from residua.spec.changes import Changes
from residua.spec.named_network import arch_of
from residua.spec.orders import ORDERS, Order, Place
from residua.spec.word import check_word, split_word
from residua.spec.zoo import he2015, he2016
from residua.spec.zoo.stages import CIFAR, CIFAR_STEM, Widths, stages, thirds

PATTERNS: Mapping[str, Order] = {
    "plain": orders.plain,
    **{letter: order for letter, (order, _) in ORDERS.items()},
    "resstage": orders.resstage,
    "resstage_released": orders.resstage_released,
}
"""Orders that a word may be replaced by. Their words depend on where in its stage a block is."""
DEPTH = 20
"""Layers by default, as in the smallest network of He et al. 2015, 4.2."""
MAX_DEPTH = 3002
"""Most layers: those of the deepest network of Duta et al. 2020."""
DROP = 0.5
"""Share of a D or an S in a word: that of the dropout in He et al. 2016, table 1."""
MIDDLE = Place(1, 1, 3)
"""A block inside a stage, where an order has the word that it is known by."""


def is_word(text: str) -> bool:
    """Whether `text` is meant as a word or the name of an order, not as the name of a network."""
    text = text.strip()
    return text in PATTERNS or text[:1].isupper() or text[:1] in ("(", ")")


def network_of_word(text: str, *, depth: int = DEPTH, shortcut: str = "") -> Arch:
    """The network of three stages of 16, 32 and 64 channels for images of 32 x 32 pixels.

    The blocks have as many convolutions as the word: three make a bottleneck, any other number are 3x3. A
    word of an order of He et al. 2016, fig. 4, makes the network of that order, whose first blocks differ.
    Any other word stands in every block. The network has the name and the paper of an equal one of the zoo.

    Args:
        text: A word, e.g. `(NAC NAC)`, or a key of `PATTERNS`.
        depth: Layers: 3kn+2 for k convolutions in a block.
        shortcut: An option of `with_shortcut`, e.g. `B`; empty takes option A, for bottlenecks B.

    Raises:
        WordError: The word breaks the notation.
        ConfigError: The depth does not fit, or no such block can be built.
    """
    text = text.strip()
    if depth > MAX_DEPTH:
        raise ConfigError(f"depth {depth}: give at most {MAX_DEPTH}")
    pattern = text if text in PATTERNS else pattern_of(text)
    convs = 2 if text in PATTERNS else convolutions(text)
    name = f"{text}, {depth} layers"
    counts = thirds(text, depth, convs)
    if pattern in ORDERS and convs in (2, 3):
        family = he2015.cifar_resnet if convs == 2 else he2016.cifar_bottleneck
        arch = family(name, depth=depth)
        arch = with_order(with_shortcut(arch, shortcut) if shortcut else arch, pattern)
        return _listed(arch, f"cifar_resnet{depth}:order={pattern}", shortcut)
    blocks = _patterned(pattern, counts, convs) if pattern else _repeated(text, counts, convs)
    tail = "" if text in PATTERNS else tail_of(text)
    source = "stages of He et al. 2015, 4.2"
    arch = Arch(name, "word", source, CIFAR_STEM, blocks, tail, classes=10, preprocess=CIFAR)
    if pattern == "plain":
        return _listed(arch, f"cifar_plain{depth}", shortcut)
    return with_shortcut(arch, shortcut) if shortcut else arch


def pattern_of(word: str) -> str:
    """`plain` or the letter of the order whose blocks inside a stage have this word; empty for none."""
    letters = word.replace(" ", "")
    convs = letters.count("C")
    for key in ("plain", *ORDERS):
        if convs and PATTERNS[key](convs, MIDDLE).replace(" ", "") == letters:
            return key
    return ""


def convolutions(word: str) -> int:
    """How many convolutions a block with this word has.

    Raises:
        WordError: The word breaks the notation, or has no convolution.
    """
    check_word(word)
    if "L" in word:
        raise WordError(f"{word!r} has an L, which reads no maps: write C, or resmlp", word.index("L"))
    if "C" not in word:
        raise WordError(f"{word!r} has no C: a block needs a convolution", len(word))
    return word.count("C")


def tail_of(word: str) -> str:
    """Norm and activation that the last addition needs, e.g. `NA` for `(NAC NAC)`.

    A word that begins with them and ends in a convolution or an addition leaves them to the next block; the
    last block has none (He et al. 2016, appendix).
    """
    before, inside, after = split_word(word)
    if after or word.replace(" ", "")[-1:] in "NA":
        return ""
    letters = before or inside
    return letters[: len(letters) - len(letters.lstrip("NA"))]


def _patterned(pattern: str, counts: tuple[int, ...], convs: int) -> tuple[tuple[Block, ...], ...]:
    """Stages of blocks whose words depend on their place."""
    option = ("", False) if pattern == "plain" else _option(convs)
    return stages(counts, _shapes(convs), PATTERNS[pattern], narrow=16, shortcut=option)


def _repeated(word: str, counts: tuple[int, ...], convs: int) -> tuple[tuple[Block, ...], ...]:
    """Stages of blocks that all have `word`."""
    option, drop = _option(convs) if "(" in word else ("", False), DROP if {"D", "S"} & set(word) else 0.0

    def block(stage: int, stride: int) -> Block:
        return Block(word, _shapes(convs)(16 << stage, stride), *option, drop=drop)

    return tuple(
        (block(stage, 2 if stage else 1), *[block(stage, 1)] * (count - 1))
        for stage, count in enumerate(counts)
    )


def _option(convs: int) -> tuple[str, bool]:
    """The shortcuts by default: option A, which a bottleneck four times as wide does without."""
    return SHORTCUTS["B" if convs == 3 else "A"]


def _shapes(convs: int) -> Widths:
    """(width, stride) -> a bottleneck, or 3x3 convolutions of which the first has the stride."""
    if convs == 3:
        return widths.bottleneck
    return lambda width, stride: (Conv(width, 3, stride), *[Conv(width)] * (convs - 1))


def _listed(arch: Arch, text: str, shortcut: str) -> Arch:
    """`arch` with `shortcut`, under the name and source of the network `text` where the zoo has that."""
    if text.partition(":")[0] not in zoo.NAMES:
        return with_shortcut(arch, shortcut) if shortcut else arch
    listed = arch_of(text, **(Changes(shortcut=shortcut) if shortcut else Changes()))
    is_same = replace(arch, name=listed.name, family=listed.family, source=listed.source) == listed
    return listed if is_same else arch
