"""Text of strangers that is shown: characters that steer, reorder or hide become escapes that can be seen.

A file or class name may hold sequences that move the cursor of a terminal, or marks of direction that make
`gpj.exe` read as `exe.jpg` (CVE-2021-42574). Everything that a terminal, a report or a drawing shows passes
here.
"""

import re
import unicodedata

_HIDDEN = frozenset({"Cc", "Cf", "Cs", "Zl", "Zp"})  # controls, marks without a shape, halves, ends of lines
_UNUSUAL = re.compile("[^ -~\n]")  # for speed: nothing else can be hidden
_FILLERS = frozenset("\u115f\u1160\u3164\uffa0")  # letters of Korean without a shape


def printable(text: str) -> str:
    """`text` with every character escaped that has no shape of its own, except spaces and ends of lines.

    Args:
        text: Any text, e.g. a file name.

    Returns:
        The text; `a\\u202eb` for a mark that turns the direction of what follows.
    """
    return _UNUSUAL.sub(_escaped, text)


def _escaped(match: re.Match[str]) -> str:
    char = match[0]
    is_hidden = char in _FILLERS or unicodedata.category(char) in _HIDDEN
    return char.encode("unicode_escape").decode("ascii") if is_hidden else char
