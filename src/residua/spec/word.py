"""The notation: one word is one block; brackets mark what the shortcut skips.

C convolution   N normalisation   A activation   P max-pool   V average-pool   L linear   D dropout
R local response norm          S stochastic depth
Z subsample, zeros on both sides of the channels          E subsample, zeros after the channels
( ... ) what the shortcut skips; no brackets, no shortcut
"""

from residua.errors import WordError

MEANING = {
    "C": "convolution",
    "N": "normalisation",
    "A": "activation",
    "P": "max-pool",
    "V": "average-pool",
    "Z": "subsample, zeros on both sides of the channels",
    "E": "subsample, zeros after the channels",
    "L": "linear",
    "D": "dropout",
    "R": "local response norm",
    "S": "stochastic depth",
}
SHAPED = "CZEL"
"""Letters that read a `Conv`, because they change the number of channels."""
PADS = "ZE"
"""Letters that only add channels of zeros: option A of He et al. 2015, 3.3, which does not say where."""
POOLS = "PV"
"""Letters that read the block's `Pool`."""


def check_word(word: str) -> None:
    """Check that `word` has known letters and at most one pair of brackets.

    Raises:
        WordError: It has not; the message says what to change, `position` where.
    """
    for place, letter in enumerate(word):
        if letter not in MEANING and letter not in "() ":
            known = ", ".join(f"{key} {meaning}" for key, meaning in MEANING.items())
            raise WordError(f"unknown letter {letter!r} in {word!r}: the letters are {known}", place)
    opening, closing = word.count("("), word.count(")")
    if opening == closing == 1 and word.index(")") < word.index("("):
        text = f"{word!r} closes its bracket before it opens it: swap '(' and ')'"
        raise WordError(text, word.index(")"))
    if opening != closing:
        more, less = (")", "(") if closing > opening else ("(", ")")
        text = f"{word!r} has {word.count(more)} {more!r} and {word.count(less)} {less!r}: balance them"
        raise WordError(text, word.rindex(more))
    if opening > 1:
        text = f"{word!r} has {opening} pairs of brackets: a block has one shortcut, so keep one pair"
        raise WordError(text, word.index("(", word.index("(") + 1))
    if opening and not word[word.find("(") + 1 : word.find(")")].strip():
        text = f"the brackets of {word!r} are empty: put letters between '(' and ')'"
        raise WordError(text, word.find("("))


def split_word(word: str) -> tuple[str, str, str]:
    """The letters before, inside and after the brackets; all of them before when there are none."""
    before, _, rest = word.replace(" ", "").partition("(")
    inside, _, after = rest.partition(")")
    return before, inside, after


def count_shaped(word: str) -> int:
    """How many letters of `word` read a `Conv`."""
    return sum(word.count(letter) for letter in SHAPED)
