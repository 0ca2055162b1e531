"""The notation: one word is one block; brackets mark what the shortcut skips. Every check on words is here.

C convolution   N normalisation   A activation   P max-pool   V average-pool   L linear   D dropout
Z subsample and pad channels with zeros          ( ... ) what the shortcut skips; no brackets, no shortcut
"""

from dataclasses import dataclass, field
from math import prod

MEANING = {
    "C": "convolution",
    "N": "normalisation",
    "A": "activation",
    "P": "max-pool",
    "V": "average-pool",
    "Z": "subsample and pad channels",
    "L": "linear",
    "D": "dropout",
}
SHAPED = "CZ"
"""Letters that change the number of channels of a map, and so read a `Conv`."""
POOLS = "PV"
"""Letters that read the block's `Pool`."""


@dataclass(frozen=True, slots=True)
class Conv:
    """Shape of one C or Z."""

    out: int
    """Channels that come out."""
    kernel: int = 3
    """Side of the window, in pixels; odd, padded so that only the stride shrinks the map."""
    stride: int = 1
    """Step of the window, in pixels."""
    groups: int = 1
    """Number of channel groups that do not see each other."""
    bias: bool = False
    """Whether a constant is added; never before a norm."""

    def __post_init__(self) -> None:
        """ValueError when no such convolution exists."""
        if min(self.out, self.kernel, self.stride, self.groups) < 1:
            raise ValueError(f"{self}: give numbers above 0")
        if self.kernel % 2 == 0:
            raise ValueError(f"kernel {self.kernel} is even: give an odd one, which can be padded evenly")
        if self.out % self.groups:
            raise ValueError(f"{self.out} channels do not divide into {self.groups} groups")


@dataclass(frozen=True, slots=True)
class Pool:
    """Shape of every P and V of a block."""

    kernel: int = 3
    """Side of the window, in pixels."""
    stride: int = 2
    """Step of the window, in pixels."""
    padding: int = 1
    """Border added on each side, in pixels."""

    def __post_init__(self) -> None:
        """ValueError when no such pooling exists."""
        if self.kernel < 1 or self.stride < 1 or not 0 <= self.padding <= self.kernel // 2:
            raise ValueError(f"{self}: give kernel and stride above 0, padding from 0 to kernel // 2")


def check_word(word: str) -> None:
    """ValueError, saying what to change, unless `word` has known letters and at most one pair of brackets."""
    for letter in word:
        if letter not in MEANING and letter not in "() ":
            known = ", ".join(f"{key} {meaning}" for key, meaning in MEANING.items())
            raise ValueError(f"unknown letter {letter!r} in {word!r}: the letters are {known}")
    opening, closing = word.count("("), word.count(")")
    if opening == closing == 1 and word.index(")") < word.index("("):
        raise ValueError(f"{word!r} closes its bracket before it opens it: swap '(' and ')'")
    if opening != closing:
        more, less = (")", "(") if closing > opening else ("(", ")")
        raise ValueError(
            f"{word!r} has {word.count(more)} {more!r} and {word.count(less)} {less!r}: balance them"
        )
    if opening > 1:
        raise ValueError(
            f"{word!r} has {opening} pairs of brackets: a block has one shortcut, so keep one pair"
        )
    if opening and not word[word.find("(") + 1 : word.find(")")].strip():
        raise ValueError(f"the brackets of {word!r} skip nothing: put letters between '(' and ')'")


def split_word(word: str) -> tuple[str, str, str]:
    """The letters before, inside and after the brackets; all of them before when there are none."""
    before, _, rest = word.replace(" ", "").partition("(")
    inside, _, after = rest.partition(")")
    return before, inside, after


def count_shaped(word: str) -> int:
    """How many letters of `word` read a `Conv`."""
    return sum(word.count(letter) for letter in SHAPED)


@dataclass(frozen=True, slots=True)
class Block:
    """A word, the shapes of its convolutions, and the word that carries x around the brackets."""

    word: str
    """Letters in the order data meets them, e.g. `(CNA CN)A`; spaces are for the reader."""
    convs: tuple[Conv, ...] = field(default=())
    """One `Conv` for each C, in reading order."""
    shortcut: str = ""
    """Spelled where width or stride change: `Z` is option A, `CN` option B, `PCN` the iResNet projection."""
    always: bool = False
    """Spell the shortcut even where shapes agree (option C)."""
    pool: Pool = field(default_factory=Pool)
    """Shape of every P and V, in the word and in the shortcut."""
    drop: float = 0.0
    """Share of values that a D sets to zero while training, in the word and in the shortcut."""

    def __post_init__(self) -> None:
        """ValueError, saying what to change, when word, convolutions and shortcut disagree."""
        check_word(self.word)
        if not self.word.strip():
            raise ValueError("a block without letters does nothing: give a word, e.g. 'CNA'")
        if ("D" in self.word + self.shortcut) != (0 < self.drop < 1):
            raise ValueError(f"{self.word!r} with drop {self.drop}: give a D a share between 0 and 1, else 0")
        if "Z" in self.word or "L" in self.word:
            raise ValueError(f"{self.word!r} is a block: Z belongs in a shortcut, L in a head")
        if (need := count_shaped(self.word)) != len(self.convs):
            raise ValueError(f"{self.word!r} has {need} C but {len(self.convs)} convs: give one Conv per C")
        if "(" not in self.word:
            if self.shortcut or self.always:
                raise ValueError(
                    f"{self.word!r} has no brackets, so {self.shortcut!r} skips nothing: bracket it"
                )
            return
        self._check_shortcut()

    def _check_shortcut(self) -> None:
        check_word(self.shortcut)
        if "(" in self.shortcut or "L" in self.shortcut or count_shaped(self.shortcut) != 1:
            raise ValueError(
                f"shortcut {self.shortcut!r} of {self.word!r}: give one C or Z, e.g. 'Z', 'CN' or 'PCN'"
            )
        if "P" in self.shortcut[1:] or "V" in self.shortcut[1:]:
            raise ValueError(f"shortcut {self.shortcut!r}: a pool comes first, e.g. 'PCN'")
        inside, convs = self.parts()[1]
        if set(inside) & set(POOLS):
            raise ValueError(f"{self.word!r} pools inside its brackets: pool before or after them")
        stride = prod(conv.stride for conv in convs)
        if self.shortcut[0] in POOLS and stride not in (1, self.pool.stride):
            raise ValueError(
                f"{self.word!r} strides {stride}, its shortcut's pool {self.pool.stride}: make them equal"
            )

    def parts(self) -> tuple[tuple[str, tuple[Conv, ...]], ...]:
        """Word and convolutions of the three stretches: before, inside and after the brackets."""
        stretches, at = [], 0
        for word in split_word(self.word):
            end = at + count_shaped(word)
            stretches.append((word, self.convs[at:end]))
            at = end
        return tuple(stretches)

    @property
    def has_shortcut(self) -> bool:
        """Whether anything is skipped."""
        return "(" in self.word

    def out(self, width: int) -> int:
        """Channels that come out when `width` go in."""
        return self.convs[-1].out if self.convs else width

    def stride(self) -> int:
        """How many times smaller the map comes out, along each axis."""
        return self._stride(self.word, self.convs)

    def _stride(self, word: str, convs: tuple[Conv, ...]) -> int:
        pools = sum(word.count(letter) for letter in POOLS)
        return prod((*(conv.stride for conv in convs), *[self.pool.stride] * pools))

    def bridge(self, width: int) -> tuple[str, tuple[Conv, ...]]:
        """The way around the brackets for `width` channels: a word and its shapes; no word is the identity.

        Letters with nothing to do are left out: no pool where the map keeps its size, no more than
        the pool where the width stays (Duta et al. 2020, 2.2).
        """
        inside, convs = self.parts()[1]
        out, stride = (convs[-1].out if convs else width), self._stride(inside, convs)
        if (width, stride) == (out, 1) and not self.always:
            return "", ()
        if self.shortcut[0] not in POOLS:
            return self.shortcut, (Conv(out, 1, stride),)
        if stride == 1:
            return self.shortcut[1:], (Conv(out, 1),)
        if width == out and not self.always:
            return self.shortcut[0], ()
        return self.shortcut, (Conv(out, 1),)
