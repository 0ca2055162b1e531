"""What the view "Words" shows of a typed word or network: mistakes, drawings, counts, published values."""

import re
from collections import Counter
from contextlib import suppress
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from residua.errors import ConfigError, WordError
from residua.report.drawing import describe_network, draw_blocks, draw_column_only
from residua.reproduce.published import DRAWN_ONLY
from residua.reproduce.published_numbers import MEASURE_TEXTS, published_numbers
from residua.spec import describe
from residua.spec.amount import format_count
from residua.spec.arch import Arch
from residua.spec.named_network import arch_of, is_file, origin_of, spell
from residua.spec.orders import ORDERS
from residua.spec.word import MEANING, split_word
from residua.spec.word_network import (
    DEPTH,
    PATTERNS,
    convolutions,
    is_word,
    network_of_word,
    pattern_of,
)

MAX_TEXT = 200
"""Most characters of what is typed."""
RESULTS = 128
"""Results that stay in memory: going back over what was typed computes nothing."""


@dataclass(frozen=True, slots=True)
class TypedNetwork:
    """What somebody typed into the view "Words"."""

    text: str
    """A word, the name of an order, or a network with its changes."""
    depth: int = DEPTH
    """Layers, for a word or an order."""
    shortcut: str = ""
    """An option of `spec.change.with_shortcut`; empty keeps the network's own."""

    def arch(self) -> Arch:
        """The network.

        Raises:
            ConfigError: It breaks a rule; of a word, a `WordError` that knows the place.
        """
        text = self.text.strip()
        if not text:
            raise WordError("nothing typed: type a word, e.g. (CNA CN)A, or a network, e.g. resnet34", 0)
        if len(text) > MAX_TEXT:
            raise WordError(f"{len(text)} characters: type at most {MAX_TEXT}", MAX_TEXT)
        if is_word(text):
            return network_of_word(text, depth=self.depth, shortcut=self.shortcut)
        if is_file(origin_of(text)):
            raise ConfigError("files are not opened here: type the name of a network")
        return arch_of(spell(text, {"shortcut": self.shortcut}) if self.shortcut else text)


def check(typed: TypedNetwork) -> dict[str, Any]:
    """Check and describe what was typed, as JSON values.

    Args:
        typed: What was typed.

    Returns:
        With a mistake: `error`, one line, and `position`, the place of the mistake in the text from 0, or
        None where no single place is wrong. Without: name, counts, drawings, table, letters and published
        values. `step` is the distance from one allowed depth to the next; 0 where the name says the depth.
    """
    try:
        return {"step": _step(typed.text), **_describe(typed)}
    except ConfigError as error:
        spaces = len(typed.text) - len(typed.text.lstrip())
        position = error.position if isinstance(error, WordError) else _position(typed.text.strip())
        is_at = None if position is None else position + spaces
        return {"step": _step(typed.text), "error": str(error), "position": is_at}


def _step(text: str) -> int:
    """Layers of three blocks, one in each stage; 0 for a network by name, or a word that is wrong."""
    text = text.strip()
    if not is_word(text):
        return 0
    with suppress(ConfigError):
        return 3 * (2 if text in PATTERNS else convolutions(text))
    return 0


def _position(text: str) -> int | None:
    """Where the first part of a network by name begins that cannot be used; None of other texts."""
    if is_word(text) or is_file(origin_of(text)):
        return None
    begin = 0
    for end in (*(match.start() for match in re.finditer("[:,]", text)), len(text)):
        try:
            arch_of(text[:end])
        except ConfigError:
            return begin
        begin = end + 1
    return None


@lru_cache(RESULTS)
def _describe(typed: TypedNetwork) -> dict[str, Any]:
    arch, text = typed.arch(), typed.text.strip()
    words = Counter(block.word for block in arch.blocks())
    word = text if is_word(text) and text not in PATTERNS else words.most_common(1)[0][0]
    return {
        "name": arch.name,
        "source": f"{arch.source}, changed" if ":" in arch.name else arch.source,
        "is_word": is_word(text),
        "word": word,
        "letters": _letters(word),
        "notes": _notes(word, text),
        "shortcuts": describe.describe_shortcuts(arch),
        "counts": describe.plain_numbers(arch),
        "rows": [_row(row) for row in describe.table(arch)],
        "published": _published(arch),
        "column": draw_column_only(arch),
        "blocks": draw_blocks([arch]),
        "description": describe_network(arch),
    }


def _letters(word: str) -> list[dict[str, str]]:
    """The letters of a word with their meaning and their place; nothing for a fork of branches."""
    if "{" in word:
        return []
    places = ("before", "inside", "after") if "(" in word else ("plain", "plain", "plain")
    return [
        {"letter": letter, "meaning": MEANING[letter], "place": place}
        for place, letters in zip(places, split_word(word), strict=True)
        for letter in letters
    ]


def _notes(word: str, text: str) -> list[str]:
    """What the word is in the papers, and what follows from where its letters stand."""
    if "{" in word:
        return []
    pattern = text if text in PATTERNS else pattern_of(word)
    doc = (PATTERNS[pattern].__doc__ or "").replace("`", "") if pattern else ""
    about = " ".join(doc.partition("\n\n")[0].split())
    notes = [f"Order {pattern}. {about}" if pattern in ORDERS else about] if about else []
    before, inside, after = split_word(word)
    if "(" not in word:
        notes.append("No brackets, no shortcut: the output of a block is all that the next block gets.")
        return notes
    if "A" in after:
        notes.append("The activation after the addition is on the main path: every signal passes it.")
    elif not after:
        notes.append("Nothing follows the addition: from block to block the main path is the identity.")
    if before:
        notes.append("The letters before the bracket change what the shortcut carries, too.")
    if inside.count("C") == 1:
        notes.append("One convolution inside: He et al. 2015, 3.2, saw no benefit of such a shortcut.")
    if inside.endswith("A"):
        notes.append("The residual ends in an activation, so it never subtracts: the signal can only grow.")
    return notes


def _row(row: describe.ArchRow) -> dict[str, Any]:
    return {
        "part": row.part,
        "output": describe.extent(row.size, row.frames, between=" × "),
        "layers": row.layers,
        "words": row.words,
        "macs": format_count(row.macs),
    }


def _published(arch: Arch) -> list[dict[str, str]]:
    """What the papers print, and beside counts ours; each number once."""
    total = describe.cost(arch)
    counted = {"params": format_count(total.params), "macs": format_count(total.macs)}
    rows: dict[tuple[str, ...], dict[str, str]] = {}
    for number in published_numbers(arch):
        if number.text == DRAWN_ONLY or number.measure == "response":
            continue
        row = {
            "source": number.source,
            "label": number.label,
            "measure": MEASURE_TEXTS[number.measure],
            "data": number.data,
            "paper": number.text,
            "counted": counted.get(number.measure, ""),
        }
        rows.setdefault((row["measure"], row["data"], row["paper"], number.views), row)
    return list(rows.values())
