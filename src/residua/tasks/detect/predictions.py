"""BoxPredictions: the boxes of several images, as rows, JSON, columns of a file and drawings."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from PIL import Image

from residua.data.decode import decode
from residua.errors import ConfigError, DataError
from residua.files import check_is_free
from residua.spec.amount import quantity
from residua.spec.text_table import TextTable
from residua.tasks.detect import box_drawing
from residua.tasks.detect.evaluation import BoxEvaluation
from residua.tasks.detect.prediction import BoxPrediction
from residua.tasks.detect.predictor import BoxPredictor


@dataclass(frozen=True, eq=False, slots=True, repr=False)
class BoxPredictions:
    """`residua.tasks.predict_task.Predictions` of boxes."""

    titles: tuple[str, ...]
    """Path or title of each image."""
    boxes: tuple[BoxPrediction | None, ...]
    """The boxes of each image; None for one that cannot be read."""
    failures: Mapping[int, str]
    """Why an image cannot be read, by its index."""
    classes: tuple[str, ...]
    """Names of the classes."""
    read_image: Callable[[str], Image.Image]
    """Reads the image of a title, for drawings."""

    @classmethod
    def of(
        cls,
        predictor: BoxPredictor,
        titles: Sequence[str | Path],
        outputs: Iterable[BoxPrediction | DataError],
    ) -> "BoxPredictions":
        """The boxes of images, from a prediction or an error of each."""
        results = list(outputs)
        failures = {i: str(result) for i, result in enumerate(results) if isinstance(result, DataError)}
        boxes = tuple(None if isinstance(result, DataError) else result for result in results)
        return cls(tuple(map(str, titles)), boxes, failures, predictor.classes, predictor.image)

    @classmethod
    def of_evaluation(cls, evaluation: BoxEvaluation) -> "BoxPredictions":
        """The boxes predicted in every image of `evaluation`."""
        scenes = evaluation.scenes
        titles = tuple(scenes.title(i) for i in range(len(scenes)))
        return cls(
            titles, evaluation.predictions, {}, scenes.classes, lambda file: decode(Path(file), colour="rgb")
        )

    def __len__(self) -> int:
        return len(self.titles)

    def __repr__(self) -> str:
        unread = f", {len(self.failures)} cannot be read" if self.failures else ""
        return self.table().preview(f"BoxPredictions({quantity(len(self), 'image')}{unread})")

    @property
    def errors(self) -> tuple[str, ...]:
        """Why there is no prediction, for each image without one."""
        return tuple(self.failures.values())

    @property
    def best_classes(self) -> tuple[str | None, ...]:
        """ConfigError: an image with boxes has no class of its own."""
        raise ConfigError("an image with boxes has no class of its own: classify it with another network")

    def joined(self, others: "Sequence[BoxPredictions]") -> "BoxPredictions":
        """These predictions and `others`, in order."""
        parts, failures, start = (self, *others), dict[int, str](), 0
        for part in parts:
            failures.update({start + index: error for index, error in part.failures.items()})
            start += len(part)
        titles = tuple(title for part in parts for title in part.titles)
        boxes = tuple(boxes for part in parts for boxes in part.boxes)
        return replace(self, titles=titles, boxes=boxes, failures=failures)

    def table(self) -> TextTable:
        """A row for each box, in pixels of the upright image."""
        rows = tuple(
            (title, box["class"], f"{100 * box['score']:.0f} %", *(f"{side:.0f}" for side in box["box"]))
            for title, boxes in zip(self.titles, self.boxes, strict=True)
            for box in self._values(boxes)
        )
        is_empty = len(self) > len(self.failures) and not rows
        notes = ("no boxes: --least 0.1 lists boxes with a lower score",) if is_empty else ()
        return TextTable(("file", "class", "score", "left", "top", "right", "bottom"), rows, 2, notes)

    def columns(self) -> tuple[tuple[str, ...], list[tuple[Any, ...]]]:
        """A row for each box, and one for each image without boxes."""
        rows: list[tuple[Any, ...]] = []
        for index, (title, boxes) in enumerate(zip(self.titles, self.boxes, strict=True)):
            values = self._values(boxes)
            rows += [(title, box["class"], box["score"], *box["box"], "") for box in values]
            error = self.failures.get(index, "")
            rows += [] if values else [(title, "", None, None, None, None, None, error)]
        return ("file", "class", "score", "left", "top", "right", "bottom", "error"), rows

    def to_json(self) -> list[dict[str, Any]]:
        """JSON values, one an image: boxes as left, top, right, bottom in pixels of the upright image."""
        values = []
        for index, (title, boxes) in enumerate(zip(self.titles, self.boxes, strict=True)):
            value: dict[str, Any] = {"file": title, "boxes": self._values(boxes)}
            if index in self.failures:
                value["error"] = self.failures[index]
            values.append(value)
        return values

    def draw(self, place: Path, *, name: str, force: bool) -> str:
        """Draw every image with its boxes into a PNG file in the folder `place`.

        Raises:
            FileExistsError: A file exists, and `force` is false.
        """
        place.mkdir(parents=True, exist_ok=True)
        paths = [place / file for file in self.file_names()]
        check_is_free(*paths, force=force)
        count = 0
        for title, boxes, path in zip(self.titles, self.boxes, paths, strict=True):
            if boxes is not None:
                box_drawing.draw_detections(self.read_image(title), boxes, self.classes).save(path)
                count += 1
        return f"{quantity(count, 'picture')} drawn in {place}"

    def file_names(self) -> list[str]:
        """Name of the drawing of each image: its own with `.png`, numbered where two are equal."""
        counts: dict[str, int] = {}
        names = []
        for title in self.titles:
            stem = Path(title).stem
            counts[stem] = counts.get(stem, 0) + 1
            names.append(f"{stem}.png" if counts[stem] == 1 else f"{stem}-{counts[stem]}.png")
        return names

    def _values(self, boxes: BoxPrediction | None) -> list[dict[str, Any]]:
        if boxes is None:
            return []
        return [
            {
                "class": self.classes[int(boxes.labels[i])],
                "score": round(float(boxes.scores[i]), 4),
                "box": [round(float(side), 2) for side in boxes.corners[i]],
            }
            for i in range(len(boxes))
        ]
