"""Survey: a source before anything is learned from it, and what only its task can say of it."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Literal

from PIL import Image

from residua.data.listing import SourceListing
from residua.data.scan import Scan

Level = Literal["problem", "note"]
Group = tuple[int, ...]
"""Places of files that belong together, counted over all splits."""


@dataclass(frozen=True, slots=True)
class DataFinding:
    """One kind of thing that was found."""

    key: str
    """Its name for machines."""
    what: str
    """Its name for people."""
    level: Level
    """Whether it spoils training or judging, or is only worth knowing."""
    count: int
    """Files, groups of files, or classes."""
    example: str
    """One of them, in a few words."""
    cure: str
    """What to do about it."""
    groups: tuple[Group, ...] = ()
    """Every one of them, where they are files."""
    names: tuple[str, ...] = ()
    """Every one of them, where they are something else."""


def named(key: str, what: str, level: Level, names: tuple[str, ...], cure: str) -> DataFinding:
    """What was found in things that are no files of the set."""
    return DataFinding(key, what, level, len(names), names[0] if names else "", cure, names=names)


@dataclass(frozen=True, slots=True)
class Marks:
    """What is marked in files that are of no class themselves."""

    noun: str
    """What several of them are called."""
    counts: Mapping[str, dict[str, int]]
    """How many there are, by split and class."""
    drawn: Callable[[int, Image.Image], Image.Image]
    """From the place of a file, counted over all splits, and a picture of it to one with its marks."""
    key: str
    """Which colour is which class, as SVG."""


@dataclass(frozen=True, eq=False, slots=True)
class Survey:
    """What a check of a source looks at."""

    found: SourceListing
    """Its files."""
    marks: Marks | None = None
    """What is marked in them; None where each of them is of one class."""
    findings: Callable[[Scan], Iterable[DataFinding]] = lambda _: ()
    """What its task finds besides, once all files were looked at."""
