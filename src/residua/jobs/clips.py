"""Naming what happens in videos, moment by moment."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from residua.data.decode import DataError
from residua.jobs.predict import Answer
from residua.tasks.video.watch import Watched, Watcher


@dataclass(frozen=True, eq=False, slots=True)
class Seen:
    """What was found in one file."""

    file: Path
    """Its path, as it was given."""
    seen: Watched | None
    """What is said of it over time; None when it is no clip."""
    error: str = ""
    """Why there is no answer."""


def watched(watcher: Watcher, files: Sequence[Path]) -> Iterator[Seen]:
    """What is said of each of `files`, in order; one that is no clip says so and stops nothing."""
    for file in files:
        try:
            yield Seen(file, watcher(file))
        except DataError as error:
            yield Seen(file, None, str(error))


def answer(one: Seen, *, topk: int) -> Answer:
    """The likeliest classes of a whole video, with the mean of their probabilities over its clips."""
    top = tuple(one.seen.top(topk)) if one.seen else ()
    return Answer(str(one.file), top, one.error)
