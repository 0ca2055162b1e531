"""Block: a word, the shapes of its layers, the word of its shortcut, and every check on them."""

from dataclasses import dataclass, field
from math import prod
from typing import Literal

from residua.errors import ConfigError
from residua.spec.record import HUGE
from residua.spec.word import PADS, POOLS, check_word, count_shaped, split_word

MAX_WIDTH = 1 << 20
"""Most channels of a layer, and most classes."""
MAX_WINDOW = 1 << 10
"""Largest side and step of a window, in pixels or frames."""


def check_windows(shape: object, *sizes: int) -> None:
    """ConfigError when a side or step of the window of `shape` is below 1 or above `MAX_WINDOW`."""
    if not 1 <= min(sizes) <= max(sizes) <= MAX_WINDOW:
        raise ConfigError(f"{shape}: give windows and steps from 1 to {MAX_WINDOW}")


@dataclass(frozen=True, slots=True)
class Conv:
    """Shape of one C, Z, E or L."""

    out: int
    """Channels of the output."""
    kernel: int = 3
    """Side of the window, in pixels; 1 for L."""
    stride: int = 1
    """Step of the window, in pixels."""
    groups: int = 1
    """Number of channel groups that are convolved separately."""
    bias: bool = False
    """Whether a bias is added; the papers leave it out before a norm."""
    padding: int | None = None
    """Zeros added on each side, in pixels; None takes half of the window, so that only the stride shrinks."""
    time: int = 1
    """Length of the window, in frames; half of it is added on each side, so that only the pace shortens."""
    pace: int = 1
    """Step of the window, in frames."""
    dilation: int = 1
    """Distance between neighbouring pixels of the window; 1 leaves none out."""

    def __post_init__(self) -> None:
        check_windows(self, self.kernel, self.stride, self.time, self.pace, self.dilation)
        if not 1 <= self.out <= MAX_WIDTH or self.groups < 1:
            raise ConfigError(f"{self}: give numbers above 0, and at most {MAX_WIDTH} channels")
        if not 0 <= (self.padding or 0) <= MAX_WINDOW:
            raise ConfigError(f"{self}: give padding from 0 to {MAX_WINDOW}")
        if self.kernel % 2 == 0 and self.padding is None:
            raise ConfigError(f"kernel {self.kernel} is even: give an odd one, which can be padded evenly")
        if self.time % 2 == 0:
            raise ConfigError(f"{self.time} frames are even: give an odd number, which can be padded evenly")
        if self.out % self.groups:
            raise ConfigError(f"{self.out} channels do not divide into {self.groups} groups")

    @property
    def border(self) -> int:
        """Zeros added on each side, in pixels."""
        return self.kernel // 2 * self.dilation if self.padding is None else self.padding

    @property
    def reach(self) -> int:
        """Pixels of the input, besides one, between the edges of the window."""
        return (self.kernel - 1) * self.dilation

    def side(self, size: int) -> int:
        """Side of the map that comes out of one of `size` pixels."""
        return (size + 2 * self.border - self.reach - 1) // self.stride + 1

    def length(self, frames: int) -> int:
        """Frames that come out of `frames`."""
        return (frames - 1) // self.pace + 1


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
    """Whether windows that reach over the border count (Caffe), or only whole ones."""
    time: int = 1
    """Length of the window, in frames."""
    pace: int = 1
    """Step of the window, in frames."""

    def __post_init__(self) -> None:
        check_windows(self, self.kernel, self.stride, self.time, self.pace)
        if not 0 <= self.padding <= self.kernel // 2:
            raise ConfigError(f"{self}: give padding from 0 to kernel // 2")

    @property
    def margin(self) -> int:
        """Frames added at each end; none for even windows, which halve a clip."""
        return self.time // 2 * (self.time % 2)

    def side(self, size: int) -> int:
        """Side of the map that comes out of one of `size` pixels."""
        return self._count(size, self.kernel, self.stride, self.padding)

    def length(self, frames: int) -> int:
        """Frames that come out of `frames`."""
        return self._count(frames, self.time, self.pace, self.margin)

    def _count(self, size: int, window: int, step: int, border: int) -> int:
        reach = size + 2 * border - window
        if not self.ceil:
            return reach // step + 1
        count = -(-reach // step) + 1
        return count - ((count - 1) * step >= size + border)  # a window must begin inside


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
        if self.gate != "none" and self.is_scaled:
            raise ConfigError(f"{self}: give a gate or constants, not both")
        if max(abs(self.bias), abs(self.shortcut), abs(self.residual)) > HUGE:
            raise ConfigError(f"{self}: give numbers of at most {HUGE:g}")

    @property
    def is_scaled(self) -> bool:
        """Whether a constant is not 1."""
        return (self.shortcut, self.residual) != (1.0, 1.0)


@dataclass(frozen=True, slots=True)
class Block:
    """A word, the shapes of its convolutions, and the word that carries x around the brackets."""

    word: str
    """Letters in the order of the layers, e.g. `(CNA CN)A`; spaces have no meaning."""
    convs: tuple[Conv, ...] = field(default=())
    """One `Conv` for each C or L, in reading order."""
    shortcut: str = ""
    """Word of the shortcut where width or stride change: `Z` or `E` (option A), `CN` (option B) or `PCN`
    (iResNet). Elsewhere the shortcut is the identity."""
    always: bool = False
    """Use that word in every block, also where shapes agree (option C)."""
    pool: Pool = field(default_factory=Pool)
    """Shape of every P and V, in the word and in the shortcut."""
    drop: float = 0.0
    """Share of values that a D, or of images that an S, sets to zero in training, also in the shortcut."""
    join: Join = field(default_factory=Join)
    """How residual and shortcut come together."""

    def __post_init__(self) -> None:
        check_word(self.word)
        if not self.word.strip():
            raise ConfigError("a block without letters does nothing: give a word, e.g. 'CNA'")
        if bool({"D", "S"} & set(self.word + self.shortcut)) != (0 < self.drop < 1):
            raise ConfigError(
                f"{self.word!r} with drop {self.drop}: give a D or S a share between 0 and 1, else 0"
            )
        if set(PADS) & set(self.word) or {"C", "L"} <= set(self.word):
            raise ConfigError(
                f"{self.word!r} is a block: Z and E belong in a shortcut, C and L in different nets"
            )
        if (need := count_shaped(self.word)) != len(self.convs):
            raise ConfigError(f"{self.word!r} has {need} C but {len(self.convs)} convs: give one Conv per C")
        if self.is_flat and any(conv != Conv(conv.out, 1, bias=conv.bias) for conv in self.convs):
            raise ConfigError(f"{self.word!r} has an L with a window: give each L a Conv(out, 1)")
        if self.has_shortcut:
            self._check_shortcut()
        elif self.shortcut or self.always or self.join != Join():
            raise ConfigError(
                f"{self.word!r} has no brackets, so it has no shortcut {self.shortcut!r}: add brackets"
            )
        if "S" in self.word + self.shortcut and not split_word(self.word)[1].endswith("S"):
            raise ConfigError(f"{self.word!r} has an S: put it last inside the brackets, '(CNA CN S)A'")

    def _check_shortcut(self) -> None:
        check_word(self.shortcut)
        letter, examples = ("L", "'Z' or 'LN'") if self.is_flat else ("C", "'Z', 'CN' or 'PCN'")
        wrong = {"(", "C", "L"} - {letter}
        if wrong & set(self.shortcut) or count_shaped(self.shortcut) != 1:
            raise ConfigError(
                f"shortcut {self.shortcut!r} of {self.word!r}: give one {letter}, Z or E, e.g. {examples}"
            )
        if "P" in self.shortcut[1:] or "V" in self.shortcut[1:]:
            raise ConfigError(f"shortcut {self.shortcut!r}: a pool comes first, e.g. 'PCN'")
        inside, convs = self.parts()[1]
        if set(inside) & set(POOLS):
            raise ConfigError(f"{self.word!r} pools inside its brackets: pool before or after them")
        steps = prod(conv.stride for conv in convs), prod(conv.pace for conv in convs)
        pool = self.pool.stride, self.pool.pace
        if self.shortcut[0] in POOLS and steps not in ((1, 1), pool):
            raise ConfigError(
                f"{self.word!r} strides {_in_words(*steps)}, its pool {_in_words(*pool)}: make them equal"
            )

    def parts(self) -> tuple[tuple[str, tuple[Conv, ...]], ...]:
        """Letters and convolutions before, inside and after the brackets."""
        stretches, at = [], 0
        for word in split_word(self.word):
            end = at + count_shaped(word)
            stretches.append((word, self.convs[at:end]))
            at = end
        return tuple(stretches)

    @property
    def has_shortcut(self) -> bool:
        """Whether it has brackets."""
        return "(" in self.word

    @property
    def pads(self) -> str:
        """The letter of its shortcut that only adds channels of zeros: `Z`, `E` or none."""
        return next((letter for letter in self.shortcut if letter in PADS), "")

    @property
    def is_flat(self) -> bool:
        """Whether it reads vectors instead of maps."""
        return "L" in self.word

    def out(self, width: int) -> int:
        """Channels of the output for `width` channels of the input."""
        return self.convs[-1].out if self.convs else width

    def stride(self) -> int:
        """How many times smaller the map comes out, along each axis."""
        return self._steps(self.word, self.convs)[0]

    def pace(self) -> int:
        """How many times shorter a clip comes out."""
        return self._steps(self.word, self.convs)[1]

    @property
    def spans(self) -> bool:
        """Whether a window reaches over several frames, or steps over some."""
        pools = (self.pool,) if set(POOLS) & set(self.word + self.shortcut) else ()
        return any(max(window.time, window.pace) > 1 for window in (*self.convs, *pools))

    def _steps(self, word: str, convs: tuple[Conv, ...]) -> tuple[int, int]:
        """Stride and pace of all layers of `word` together."""
        pools = sum(word.count(letter) for letter in POOLS)
        windows: tuple[Conv | Pool, ...] = (*convs, *[self.pool] * pools)
        return prod(window.stride for window in windows), prod(window.pace for window in windows)

    def bridge(self, width: int) -> tuple[str, tuple[Conv, ...]]:
        """The layers of the shortcut.

        Letters without effect are left out: a pool where the map keeps its size, all but the pool where the
        width stays (Duta et al. 2020, 2.2), Z and E where nothing changes.

        Args:
            width: Channels at the fork.

        Returns:
            A word and its shapes; an empty word is the identity.
        """
        inside, convs = self.parts()[1]
        out, (stride, pace) = (convs[-1].out if convs else width), self._steps(inside, convs)
        if (width, stride, pace) == (out, 1, 1):
            if not self.always:
                return "", ()
            if self.pads:
                return self.shortcut.replace(self.pads, ""), ()
        if self.shortcut[0] not in POOLS:
            return self.shortcut, (Conv(out, 1, stride, pace=pace),)
        if stride == pace == 1:
            return self.shortcut[1:], (Conv(out, 1),)
        if width == out and not self.always:
            return self.shortcut[0], ()
        return self.shortcut, (Conv(out, 1),)

    def gate(self, width: int) -> Conv | None:
        """Shape of the gate's convolution for `width` channels at the fork; None without a gate."""
        if self.join.gate == "none":
            return None
        inside, convs = self.parts()[1]
        stride, pace = self._steps(inside, convs)
        return Conv(convs[-1].out if convs else width, 1, stride, bias=True, pace=pace)


def _in_words(stride: int, pace: int) -> str:
    return f"{stride} ({pace} in time)" if pace > 1 else str(stride)


@dataclass(frozen=True, slots=True)
class Fork:
    """Branches that read one map, and whose outputs are stacked by channel (an inception module)."""

    branches: tuple[Block, ...]
    """Two or more blocks without brackets, in the order of their channels."""

    def __post_init__(self) -> None:
        if len(self.branches) < 2 or any(branch.has_shortcut or branch.is_flat for branch in self.branches):
            raise ConfigError("a fork needs two or more branches, without brackets and without L")
        if len({(branch.stride(), branch.pace()) for branch in self.branches}) > 1:
            raise ConfigError(f"{self.word!r} shrinks the map differently in each branch: give equal strides")

    @property
    def word(self) -> str:
        """The words of its branches, for display."""
        return "{" + " | ".join(branch.word for branch in self.branches) + "}"

    def out(self, width: int) -> int:
        """Channels of the output for `width` channels of the input."""
        return sum(branch.out(width) for branch in self.branches)

    def stride(self) -> int:
        """How many times smaller the map comes out, along each axis."""
        return self.branches[0].stride()

    def pace(self) -> int:
        """How many times shorter a clip comes out."""
        return self.branches[0].pace()

    @property
    def spans(self) -> bool:
        """Whether a window of any branch reaches over several frames, or steps over some."""
        return any(branch.spans for branch in self.branches)
