"""The notation: one word is one block; brackets mark what the shortcut skips. Every check on words is here.

C convolution   N normalisation   A activation   P max-pool   V average-pool   L linear   D dropout
Z subsample and pad channels with zeros          R local response norm          S stochastic depth
( ... ) what the shortcut skips; no brackets, no shortcut
"""

from dataclasses import dataclass, field
from math import prod
from typing import Literal

MEANING = {
    "C": "convolution",
    "N": "normalisation",
    "A": "activation",
    "P": "max-pool",
    "V": "average-pool",
    "Z": "subsample and pad channels",
    "L": "linear",
    "D": "dropout",
    "R": "local response norm",
    "S": "stochastic depth",
}
SHAPED = "CZL"
"""Letters that change the number of channels, and so read a `Conv`."""
POOLS = "PV"
"""Letters that read the block's `Pool`."""


@dataclass(frozen=True, slots=True)
class Conv:
    """Shape of one C, Z or L."""

    out: int
    """Channels that come out."""
    kernel: int = 3
    """Side of the window, in pixels; 1 for L."""
    stride: int = 1
    """Step of the window, in pixels."""
    groups: int = 1
    """Number of channel groups that do not see each other."""
    bias: bool = False
    """Whether a constant is added; the papers leave it out before a norm."""
    padding: int | None = None
    """Border of zeros on each side, in pixels; None: half of the kernel, so that only the stride shrinks."""

    def __post_init__(self) -> None:
        """ValueError when no such convolution exists."""
        if min(self.out, self.kernel, self.stride, self.groups) < 1 or (self.padding or 0) < 0:
            raise ValueError(f"{self}: give numbers above 0")
        if self.kernel % 2 == 0 and self.padding is None:
            raise ValueError(f"kernel {self.kernel} is even: give an odd one, which can be padded evenly")
        if self.out % self.groups:
            raise ValueError(f"{self.out} channels do not divide into {self.groups} groups")

    @property
    def border(self) -> int:
        """Zeros added on each side, in pixels."""
        return self.kernel // 2 if self.padding is None else self.padding

    def side(self, size: int) -> int:
        """Side of the map that comes out of one of `size` pixels."""
        return (size + 2 * self.border - self.kernel) // self.stride + 1


@dataclass(frozen=True, slots=True)
class Pool:
    """Shape of every P and V of a block."""

    kernel: int = 3
    """Side of the window, in pixels."""
    stride: int = 2
    """Step of the window, in pixels."""
    padding: int = 1
    """Border added on each side, in pixels."""
    ceil: bool = False
    """Whether a window that reaches over the border still counts (Caffe), or only whole ones do."""

    def __post_init__(self) -> None:
        """ValueError when no such pooling exists."""
        if self.kernel < 1 or self.stride < 1 or not 0 <= self.padding <= self.kernel // 2:
            raise ValueError(f"{self}: give kernel and stride above 0, padding from 0 to kernel // 2")

    def side(self, size: int) -> int:
        """Side of the map that comes out of one of `size` pixels."""
        reach = size + 2 * self.padding - self.kernel
        if not self.ceil:
            return reach // self.stride + 1
        side = -(-reach // self.stride) + 1
        return side - ((side - 1) * self.stride >= size + self.padding)  # a window must begin inside


@dataclass(frozen=True, slots=True)
class Join:
    """How residual F and shortcut x come together (He et al. 2016, table 1); by default they are added."""

    gate: Literal["none", "shortcut", "exclusive"] = "none"
    """`shortcut`: F + (1 - g) x; `exclusive`: g F + (1 - g) x; g is the sigmoid of a 1x1 convolution."""
    bias: float = 0.0
    """First bias of that convolution."""
    shortcut: float = 1.0
    """Constant that multiplies the shortcut."""
    residual: float = 1.0
    """Constant that multiplies the residual."""

    def __post_init__(self) -> None:
        """ValueError when a gate and constants are asked for together."""
        if self.gate != "none" and self.is_scaled:
            raise ValueError(f"{self}: give a gate or constants, not both")

    @property
    def is_scaled(self) -> bool:
        """Whether a constant is not 1."""
        return (self.shortcut, self.residual) != (1.0, 1.0)


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
    """One `Conv` for each C or L, in reading order."""
    shortcut: str = ""
    """Spelled where width or stride change: `Z` is option A, `CN` option B, `PCN` the iResNet projection."""
    always: bool = False
    """Spell the shortcut even where shapes agree (option C)."""
    pool: Pool = field(default_factory=Pool)
    """Shape of every P and V, in the word and in the shortcut."""
    drop: float = 0.0
    """Share of values that a D, or of images that an S, sets to zero while training, shortcut included."""
    join: Join = field(default_factory=Join)
    """How residual and shortcut come together."""

    def __post_init__(self) -> None:
        """ValueError, saying what to change, when word, convolutions and shortcut disagree."""
        check_word(self.word)
        if not self.word.strip():
            raise ValueError("a block without letters does nothing: give a word, e.g. 'CNA'")
        if bool({"D", "S"} & set(self.word + self.shortcut)) != (0 < self.drop < 1):
            raise ValueError(
                f"{self.word!r} with drop {self.drop}: give a D or S a share between 0 and 1, else 0"
            )
        if "Z" in self.word or {"C", "L"} <= set(self.word):
            raise ValueError(f"{self.word!r} is a block: Z belongs in a shortcut, C and L in different nets")
        if (need := count_shaped(self.word)) != len(self.convs):
            raise ValueError(f"{self.word!r} has {need} C but {len(self.convs)} convs: give one Conv per C")
        if self.is_flat and any(conv != Conv(conv.out, 1, bias=conv.bias) for conv in self.convs):
            raise ValueError(f"{self.word!r} has an L with a window: give each L a Conv(out, 1)")
        if self.has_shortcut:
            self._check_shortcut()
        elif self.shortcut or self.always or self.join != Join():
            raise ValueError(f"{self.word!r} has no brackets, so {self.shortcut!r} skips nothing: bracket it")
        if "S" in self.word + self.shortcut and not split_word(self.word)[1].endswith("S"):
            raise ValueError(f"{self.word!r} has an S: put it last inside the brackets, '(CNA CN S)A'")

    def _check_shortcut(self) -> None:
        check_word(self.shortcut)
        other = "C" if self.is_flat else "L"
        if "(" in self.shortcut or other in self.shortcut or count_shaped(self.shortcut) != 1:
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

    @property
    def is_flat(self) -> bool:
        """Whether it reads vectors, not maps."""
        return "L" in self.word

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
        the pool where the width stays (Duta et al. 2020, 2.2), no Z where nothing changes.
        """
        inside, convs = self.parts()[1]
        out, stride = (convs[-1].out if convs else width), self._stride(inside, convs)
        if (width, stride) == (out, 1):
            if not self.always:
                return "", ()
            if "Z" in self.shortcut:
                return self.shortcut.replace("Z", ""), ()
        if self.shortcut[0] not in POOLS:
            return self.shortcut, (Conv(out, 1, stride),)
        if stride == 1:
            return self.shortcut[1:], (Conv(out, 1),)
        if width == out and not self.always:
            return self.shortcut[0], ()
        return self.shortcut, (Conv(out, 1),)

    def gate(self, width: int) -> Conv | None:
        """Shape of the convolution behind the gate, for `width` channels at the fork; None without a gate."""
        if self.join.gate == "none":
            return None
        inside, convs = self.parts()[1]
        return Conv(convs[-1].out if convs else width, 1, self._stride(inside, convs), bias=True)


@dataclass(frozen=True, slots=True)
class Fork:
    """Words side by side that read one map, and whose maps are stacked by channel (an inception module)."""

    branches: tuple[Block, ...]
    """Two or more blocks without brackets, in the order of their channels."""

    def __post_init__(self) -> None:
        """ValueError, saying what to change, when the branches cannot stand side by side."""
        if len(self.branches) < 2 or any(branch.has_shortcut or branch.is_flat for branch in self.branches):
            raise ValueError("a fork needs two or more branches, without brackets and without L")
        if len({branch.stride() for branch in self.branches}) > 1:
            raise ValueError(f"{self.word!r} shrinks the map differently in each branch: give equal strides")

    @property
    def word(self) -> str:
        """The words of its branches, for the reader."""
        return "{" + " | ".join(branch.word for branch in self.branches) + "}"

    def out(self, width: int) -> int:
        """Channels that come out when `width` go in."""
        return sum(branch.out(width) for branch in self.branches)

    def stride(self) -> int:
        """How many times smaller the map comes out, along each axis."""
        return self.branches[0].stride()
