"""ClipPredictions: the likeliest classes of several videos, and their probabilities over time."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from residua.errors import DataError
from residua.files import check_is_free, write_file
from residua.spec.text_table import TextTable
from residua.tasks.classify.predictions import ClassPredictions
from residua.tasks.video import timeline
from residua.tasks.video.predictor import VideoPrediction


@dataclass(frozen=True, eq=False, slots=True)
class ClipPredictions:
    """`residua.tasks.predict_task.Predictions` of videos: classes, and a timeline of each video."""

    classes: ClassPredictions
    """The likeliest classes of each whole video, with the mean of their probabilities over its clips."""
    videos: tuple[VideoPrediction, ...]
    """The predictions over time of the videos that can be decoded."""

    @classmethod
    def of(
        cls,
        titles: Sequence[str | Path],
        outputs: Iterable[VideoPrediction | DataError],
        *,
        topk: int,
        least: float | None = None,
    ) -> "ClipPredictions":
        """The likeliest classes of videos, from a prediction or an error of each; see `ClassPredictions`."""
        results = list(outputs)
        videos = tuple(result for result in results if not isinstance(result, DataError))
        return cls(ClassPredictions.of(titles, results, topk=topk, least=least), videos)

    def __len__(self) -> int:
        return len(self.classes)

    @property
    def errors(self) -> tuple[str, ...]:
        """Why there is no prediction, for each video without one."""
        return self.classes.errors

    @property
    def best_classes(self) -> tuple[str | None, ...]:
        """The likeliest class of each video: empty for an unsure one, None for one that cannot be read."""
        return self.classes.best_classes

    def joined(self, others: "Sequence[ClipPredictions]") -> "ClipPredictions":
        """These predictions and `others`, in order."""
        videos = tuple(video for part in (self, *others) for video in part.videos)
        return ClipPredictions(self.classes.joined([part.classes for part in others]), videos)

    def table(self) -> TextTable:
        """The likeliest classes of every video."""
        return self.classes.table()

    def columns(self) -> tuple[tuple[str, ...], list[tuple[Any, ...]]]:
        """A row for each video."""
        return self.classes.columns()

    def to_json(self) -> list[dict[str, Any]]:
        """JSON values, one for each video."""
        return self.classes.to_json()

    def draw(self, place: Path, *, name: str, force: bool) -> str:
        """Write the timelines of all videos to the page `place`. FileExistsError unless `force`."""
        check_is_free(place, force=force)
        if not self.videos:
            return f"timeline  none: no video can be decoded, {place} is not written"
        write_file(place, timeline.timeline_page(self.videos, name))
        return f"timeline  {place}"
