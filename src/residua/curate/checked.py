"""What a check of a data set found, as values: findings, with their images, and as JSON."""

from dataclasses import dataclass
from typing import Any

import numpy as np

from residua.data.images import Images
from residua.data.metadata import MetadataLeak
from residua.data.scan import Scan
from residua.tasks.survey import DataFinding, Marks


@dataclass(frozen=True)
class Checked:
    """All that was found in a source."""

    source: str
    """The source, as it was given."""
    splits: tuple[Images, ...]
    """Its images."""
    scan: Scan
    """The facts of each, over all splits."""
    findings: tuple[DataFinding, ...]
    """What was found, problems first."""
    metadata: MetadataLeak | None
    """What metadata tell of the labels."""
    marks: Marks | None = None
    """What is marked in them; None where each image is of one class."""

    @property
    def noun(self) -> str:
        """What one of its examples is called."""
        return self.splits[0].gate.noun

    @property
    def counted(self) -> str:
        """What is counted by class, several of them."""
        return self.marks.noun if self.marks else f"{self.noun}s"

    @property
    def bad(self) -> bool:
        """Whether there is a problem."""
        return any(finding.level == "problem" for finding in self.findings)

    def classes(self) -> dict[str, dict[str, int]]:
        """Images, or what is marked in them, by split and class."""
        if self.marks:
            return dict(self.marks.counts)
        return {
            images.name: dict(zip(images.classes, counts.tolist(), strict=True))
            for images in self.splits
            for counts in [np.bincount(images.labels, minlength=len(images.classes))]
        }

    def where(self, place: int) -> tuple[Images, int]:
        """The split that image `place` is in, and its number there."""
        for images in self.splits:
            if place < len(images):
                return images, place
            place -= len(images)
        raise IndexError(place)

    def title(self, place: int) -> str:
        """What image `place` is called."""
        images, i = self.where(place)
        return images.title(i)

    def label(self, place: int) -> str:
        """The class of image `place`."""
        images, i = self.where(place)
        return images.classes[int(images.labels[i])]

    def plain(self) -> dict[str, Any]:
        """As JSON values."""
        return {
            "source": self.source,
            "images": len(self.scan.facts),
            "classes": self.classes(),
            "problems": sum(finding.level == "problem" for finding in self.findings),
            "findings": [self._plain(finding) for finding in self.findings],
            "metadata": None if self.metadata is None else _plain_metadata(self.metadata),
        }

    def _plain(self, finding: DataFinding) -> dict[str, Any]:
        found: dict[str, Any] = {
            key: getattr(finding, key) for key in ("key", "what", "level", "count", "cure")
        }
        if finding.key == "unreadable":
            places = [group[0] for group in finding.groups]
            found["files"] = [{"file": self.title(p), "reason": self.scan.reasons[p]} for p in places]
        elif finding.groups:
            found["groups"] = [
                [
                    {"file": self.title(p), "split": self.where(p)[0].name, "class": self.label(p)}
                    for p in group
                ]
                for group in finding.groups
            ]
        else:
            found["names"] = list(finding.names)
        return found


def _plain_metadata(found: MetadataLeak) -> dict[str, Any]:
    return {
        "accuracy": round(found.accuracy, 2),
        "baseline": round(found.baseline, 2),
        "images": found.images,
        "facts": list(found.facts),
    }
