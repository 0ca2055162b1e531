"""Place in a stage -> word: one function per figure.

Each takes the number of convolutions and where the block is. To add an order:

1. Write a function that returns the word of a block. The word inside a stage differs from those of all other
   orders and of `plain`: by it the lab and `explain` know the order. A norm before the brackets is shared
   with the shortcut, so a projection behind it has none of its own.
2. Add a row to `ORDERS`: its key (a letter or a word in small letters), and the tail that the last addition
   needs, as `tail_of` finds it for the word.
3. Name it in the docstring of `Changes.order`, from which help and the table of the notation are made.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Place:
    """Where a block stands."""

    stage: int
    """Stages before its own."""
    index: int
    """Blocks before it in its stage."""
    count: int
    """Blocks in its stage."""

    @property
    def is_start(self) -> bool:
        """Whether it is the first of its stage, where width or stride change."""
        return self.index == 0

    @property
    def is_end(self) -> bool:
        """Whether it is the last of its stage."""
        return self.index == self.count - 1


Order = Callable[[int, Place], str]


def plain(convs: int, _: Place) -> str:
    """The stack without shortcuts: `CNA CNA` (He et al. 2015, 3.3 and fig. 3, middle)."""
    return _repeat("CNA", convs)


def original(convs: int, _: Place) -> str:
    """Activation after the addition: `(CNA CN)A` (He et al. 2015, fig. 2 and 5; He et al. 2016, fig. 4a)."""
    return f"({_repeat('CNA', convs - 1)} CN)A"


def norm_after(convs: int, _: Place) -> str:
    """The last norm after the addition: `(CNA C)NA` (He et al. 2016, fig. 4b)."""
    return f"({_repeat('CNA', convs - 1)} C)NA"


def activation_before(convs: int, _: Place) -> str:
    """The last activation before the addition: `(CNA CNA)` (He et al. 2016, fig. 4c)."""
    return f"({_repeat('CNA', convs)})"


def activation_only(convs: int, place: Place) -> str:
    """Only the activation moved in front: `(ACN ACN)` (He et al. 2016, fig. 4d).

    Where the width changes it is shared with the shortcut, `A(CN ACN)`, and the very first block finds it
    in the stem, as in `preactivation`. The network ends in `A`.
    """
    rest = _repeat("ACN", convs - 1)
    if not place.is_start:
        return f"(ACN {rest})"
    return f"A(CN {rest})" if place.stage else f"(CN {rest})"


def preactivation(convs: int, place: Place) -> str:
    """Norm and activation before each convolution: `(NAC NAC)` (He et al. 2016, fig. 4e).

    A block that changes the width shares its first pair with the shortcut, `NA(C NAC)`; the very first
    one finds that pair in the stem, `(C NAC)` (appendix). The network ends in `NA`.
    """
    rest = _repeat("NAC", convs - 1)
    if not place.is_start:
        return f"(NAC {rest})"
    return f"NA(C {rest})" if place.stage else f"(C {rest})"


def resstage(convs: int, place: Place) -> str:
    """Start `(CNA CNA CN)`, middle `(NAC NAC NAC)`, end `(NAC NAC NAC)NA` (Duta et al. 2020, 2.1).

    The block after the start leaves its first norm out, for the start ends in one: `(AC NAC NAC)`.
    """
    return _resstage(convs, place, second="(AC ")


def resstage_released(convs: int, place: Place) -> str:
    """The same as the authors' code runs: an in-place ReLU changes the shortcut too, `A(C NAC NAC)`."""
    return _resstage(convs, place, second="A(C ")


def _resstage(convs: int, place: Place, *, second: str) -> str:
    if place.is_start:
        return f"({_repeat('CNA', convs - 1)} CN)"
    first = second if place.index == 1 else "(NAC "
    return f"{first}{_repeat('NAC', convs - 1)}){'NA' if place.is_end else ''}"


ORDERS: Mapping[str, tuple[Order, str]] = {
    "a": (original, ""),
    "b": (norm_after, ""),
    "c": (activation_before, ""),
    "d": (activation_only, "A"),
    "e": (preactivation, "NA"),
}
"""Key -> the order, and the tail that its last addition needs; `a` to `e` are of He et al. 2016, fig. 4."""


def _repeat(letters: str, times: int) -> str:
    return " ".join([letters] * times)
