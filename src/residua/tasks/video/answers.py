"""Naming what happens in videos, moment by moment."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from residua.errors import DataError
from residua.runs.run import write
from residua.tasks.classify.answers import Answer, Named
from residua.tasks.kind import Told, check_free
from residua.tasks.video import timeline
from residua.tasks.video.predictor import Watched, load


@dataclass(frozen=True, eq=False, slots=True)
class Filmed:
    """Classes of videos over time: `residua.tasks.kind.Answers` says what each method is for."""

    named: Named
    """The likeliest classes of each whole video, with the mean of their probabilities over its clips."""
    films: tuple[Watched, ...]
    """What is said over time of those that are clips."""

    def __len__(self) -> int:
        """Files."""
        return len(self.named)

    @property
    def errors(self) -> tuple[str, ...]:
        """Why there is no answer, for each file without one."""
        return self.named.errors

    def told(self) -> Told:
        """The likeliest classes of every video."""
        return self.named.told()

    def table(self) -> tuple[tuple[str, ...], list[tuple[Any, ...]]]:
        """A row for each file."""
        return self.named.table()

    def plain(self) -> list[dict[str, Any]]:
        """As JSON values, one for each file."""
        return self.named.plain()

    def show(self, place: Path, *, name: str, force: bool) -> str:
        """The timeline of each video on one page."""
        check_free([place], force=force)
        if not self.films:
            return f"timeline  none: there is no video to draw in {place}"
        write(place, timeline.page(self.films, name))
        return f"timeline  {place}"


def filmed(path: Path, files: Sequence[Path], *, topk: int) -> Filmed:
    """What the network at `path` says of `files`, in order; one that is no clip says so and stops nothing."""
    watcher, answers, films = load(path), [], []
    for file in files:
        try:
            film = watcher(file)
        except DataError as error:
            answers.append(Answer(str(file), (), str(error)))
        else:
            films.append(film)
            answers.append(Answer(str(file), tuple(film.top(topk))))
    return Filmed(Named(tuple(answers)), tuple(films))
