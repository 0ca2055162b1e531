"""Survey: the files of a source, and the findings that only its task can make."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Literal

from PIL import Image

from residua.data.listing import SourceListing
from residua.data.near_duplicates import Group
from residua.data.scan import Scan

Level = Literal["problem", "note"]


@dataclass(frozen=True, slots=True)
class DataFinding:
    """One kind of problem or remark, and the files that it concerns."""

    key: str
    """Its name in JSON."""
    what: str
    """Its name in tables."""
    level: Level
    """Whether it harms training or evaluation, or is only a remark."""
    count: int
    """Files, groups of files, or classes."""
    example: str
    """One of them, in a few words."""
    cure: str
    """What to do about it."""
    groups: tuple[Group, ...] = ()
    """All of them, where they are files."""
    names: tuple[str, ...] = ()
    """All of them, where they are not files."""


def named(key: str, what: str, level: Level, names: tuple[str, ...], cure: str) -> DataFinding:
    """A finding about classes, or other things that are not files.

    Args:
        key: Its name in JSON.
        what: Its name in tables.
        level: Whether it harms training or evaluation, or is only a remark.
        names: All that it concerns, which may be none.
        cure: What to do about it.

    Returns:
        The finding, which counts `names`; its example is the first of them, empty without one.
    """
    return DataFinding(key, what, level, len(names), names[0] if names else "", cure, names=names)


@dataclass(frozen=True, slots=True)
class Marks:
    """Objects that are labelled in the files, where the files themselves have no class."""

    noun: str
    """Their plural, e.g. `boxes`."""
    counts: Mapping[str, dict[str, int]]
    """How many there are, by split and class."""
    draw: Callable[[int, Image.Image], Image.Image]
    """From the index of a file over all splits and a picture of it to the picture with its boxes."""
    key: str
    """Which colour is which class, as SVG."""


@dataclass(frozen=True, eq=False, slots=True)
class Survey:
    """What a check of a source looks at."""

    listing: SourceListing
    """Its files."""
    marks: Marks | None = None
    """Objects labelled in them; None where each file has one class."""
    findings: Callable[[Scan], Iterable[DataFinding]] = lambda _: ()
    """Findings of the task, computed once all files are scanned."""
