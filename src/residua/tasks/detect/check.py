"""What is wrong with the boxes of a set, and what is worth knowing of them."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

import numpy as np

from residua.data.scan import Scan
from residua.tasks.detect.scenes import Marked


@dataclass(frozen=True, slots=True)
class Wrong:
    """One kind of thing that was found; the fields are those of a finding of `residua data check`."""

    key: str
    """Its name for machines."""
    what: str
    """Its name for people."""
    level: Literal["problem", "note"]
    """Whether it spoils training or judging, or is only worth knowing."""
    names: tuple[str, ...]
    """Every one of them."""
    cure: str
    """What to do about it."""


def findings(marked: Marked, looked: Scan) -> Iterator[Wrong]:
    """What is wrong with the boxes of `marked`, whose images were `looked` at, split after split."""
    faults = tuple(f"{fault.key}: {fault.reason}" for fault in marked.faults)
    cure = "repair or remove them, or train with --set data.bad=skip"
    yield Wrong("boxes", "boxes that cannot be used", "problem", faults, cure)
    sizes, cure = tuple(_other_sizes(marked, looked)), "annotate the images as they are shown, upright"
    yield Wrong("size", "images of another size than annotated", "problem", sizes, cure)
    if marked.test is None:
        yield Wrong(
            "split", "no list to judge by", "problem", (marked.how,), "add one: nothing can be judged"
        )
    train = marked.train.counts()
    never = tuple(name for name, count in zip(marked.train.classes, train, strict=True) if not count)
    yield Wrong("unlearned", "classes without a box to learn from", "problem", never, "mark some")
    empty = tuple(
        scenes.title(i) for scenes in marked.splits for i, boxes in enumerate(scenes.boxes) if not len(boxes)
    )
    yield Wrong("no_boxes", "images without a box", "note", empty, "fine here: they teach what is background")
    yield Wrong("counts", "boxes by class", "note", tuple(_counts(marked)), "look at AP by class, too")


def _other_sizes(marked: Marked, looked: Scan) -> Iterator[str]:
    place = 0
    for scenes in marked.splits:
        for i, (width, height) in enumerate(scenes.sizes.tolist()):
            fact = looked.facts[place]
            place += 1
            if fact["readable"] and (int(fact["width"]), int(fact["height"])) != (width, height):
                is_so = f"is {fact['width']} x {fact['height']}, annotated as {width} x {height}"
                yield f"{scenes.title(i)}: {is_so}"


def _counts(marked: Marked) -> Iterator[str]:
    for label, name in enumerate(marked.train.classes):
        parts = [f"{int(scenes.counts()[label]):,} in {scenes.name}" for scenes in marked.splits]
        sides = [
            np.sqrt(boxes.areas[boxes.labels == label]) for scenes in marked.splits for boxes in scenes.boxes
        ]
        typical = float(np.median(np.concatenate(sides))) if any(map(len, sides)) else 0.0
        yield f"{name}: {', '.join(parts)}, typically {typical:.0f} pixels wide"
