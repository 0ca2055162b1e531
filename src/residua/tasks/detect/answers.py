"""Finding boxes in many pictures, and what was found as a table and as drawings."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from PIL import Image

from residua.data.decode import decode
from residua.errors import DataError
from residua.tasks.detect import drawing
from residua.tasks.detect.found import Detections
from residua.tasks.detect.judging import BoxJudgement
from residua.tasks.detect.predictor import BoxPredictor
from residua.tasks.kind import Told, check_free


@dataclass(frozen=True, eq=False, slots=True)
class BoxAnswer:
    """What was found in one file."""

    file: str
    """Its path, as it was given."""
    found: Detections | None
    """The boxes; None when the file is no image."""
    error: str = ""
    """Why there is no answer."""


@dataclass(frozen=True, eq=False, slots=True)
class Boxed:
    """Boxes in several files: `residua.tasks.kind.Answers` says what each method is for."""

    every: tuple[BoxAnswer, ...]
    """One for each file."""
    classes: tuple[str, ...]
    """Names of the classes."""
    image: Callable[[str], Image.Image]
    """Reads a file."""

    def __len__(self) -> int:
        """Files."""
        return len(self.every)

    @property
    def errors(self) -> tuple[str, ...]:
        """Why there is no answer, for each file without one."""
        return tuple(answer.error for answer in self.every if answer.error)

    def told(self) -> Told:
        """A row for each box, in pixels of the upright image."""
        rows = tuple(
            (
                answer.file,
                box["class"],
                f"{100 * box['score']:.0f} %",
                *(f"{side:.0f}" for side in box["box"]),
            )
            for answer in self.every
            for box in self._boxes(answer)
        )
        found = len(self.every) > len(self.errors) and not rows
        notes = ("no box: --least 0.1 shows those it is less sure of",) if found else ()
        return Told(("file", "class", "score", "left", "top", "right", "bottom"), rows, 2, notes)

    def table(self) -> tuple[tuple[str, ...], list[tuple[Any, ...]]]:
        """A row for each box, and one for each file without any."""
        rows: list[tuple[Any, ...]] = []
        for answer in self.every:
            boxes = self._boxes(answer)
            rows += [(answer.file, box["class"], box["score"], *box["box"], "") for box in boxes]
            rows += [] if boxes else [(answer.file, "", None, None, None, None, None, answer.error)]
        return ("file", "class", "score", "left", "top", "right", "bottom", "error"), rows

    def plain(self) -> list[dict[str, Any]]:
        """As JSON values: boxes as left, top, right, bottom in pixels of the upright image."""
        return [
            {
                "file": answer.file,
                "boxes": self._boxes(answer),
                **({"error": answer.error} if answer.error else {}),
            }
            for answer in self.every
        ]

    def show(self, place: Path, *, name: str, force: bool) -> str:
        """A PNG in the folder `place` for every picture, with its boxes."""
        place.mkdir(parents=True, exist_ok=True)
        pairs = [(answer, place / file) for answer, file in zip(self.every, self.names(), strict=True)]
        check_free([path for _, path in pairs], force=force)
        drawn = 0
        for answer, path in pairs:
            if answer.found is not None:
                drawing.painted(self.image(answer.file), answer.found, self.classes).save(path)
                drawn += 1
        return f"{drawn} picture{'' if drawn == 1 else 's'} drawn in {place}"

    def names(self) -> list[str]:
        """What the picture of each file is called: as it, with `.png`, numbered where two are alike."""
        taken: dict[str, int] = {}
        found = []
        for answer in self.every:
            stem = Path(answer.file).stem
            taken[stem] = taken.get(stem, 0) + 1
            found.append(f"{stem}.png" if taken[stem] == 1 else f"{stem}-{taken[stem]}.png")
        return found

    def _boxes(self, answer: BoxAnswer) -> list[dict[str, Any]]:
        found = answer.found
        if found is None:
            return []
        return [
            {
                "class": self.classes[int(found.labels[i])],
                "score": round(float(found.scores[i]), 4),
                "box": [round(float(side), 2) for side in found.corners[i]],
            }
            for i in range(len(found))
        ]


def boxed(finder: BoxPredictor, files: Sequence[Path], *, least: float) -> Boxed:
    """What is found in `files`, in order; one that is no image says so and stops nothing."""
    return Boxed(tuple(_one(finder, file, least) for file in files), finder.classes, finder.image)


def of_judgement(judged: BoxJudgement) -> Boxed:
    """What was found in each image that was judged."""
    scenes = judged.scenes
    every = tuple(BoxAnswer(scenes.title(i), found) for i, found in enumerate(judged.found))
    return Boxed(every, scenes.classes, lambda file: decode(Path(file), colour="rgb"))


def _one(finder: BoxPredictor, file: Path, least: float) -> BoxAnswer:
    try:
        return BoxAnswer(str(file), finder(file, least=least))
    except DataError as error:
        return BoxAnswer(str(file), None, str(error))
