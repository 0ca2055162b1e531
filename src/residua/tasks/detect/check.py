"""What is wrong with the boxes of a set, and what is worth knowing of them."""

from collections.abc import Iterator
from dataclasses import replace
from functools import partial

import numpy as np
from PIL import Image

from residua.data.listing import SourceListing
from residua.data.scan import Scan
from residua.data.scenes import Marked
from residua.tasks.detect import drawing
from residua.tasks.survey import DataFinding, Marks, Survey, named


def surveyed(marked: Marked) -> Survey:
    """The images of `marked`, which are of no class themselves, and the boxes in them."""
    train, test = marked.train, marked.test
    one = ("image",)
    found = SourceListing(
        marked.source,
        replace(train.images, classes=one),
        replace(test.images, classes=one) if test else None,
        marked.how,
    )
    counts = {
        each.name: dict(zip(each.classes, each.counts().tolist(), strict=True)) for each in marked.splits
    }
    return Survey(
        found,
        Marks("boxes", counts, partial(_drawn, marked), drawing.key(train.classes)),
        partial(findings, marked),
    )


def _drawn(marked: Marked, place: int, image: Image.Image) -> Image.Image:
    scenes = marked.train
    if marked.test is not None and place >= len(scenes):
        scenes, place = marked.test, place - len(scenes)
    return drawing.outlined(image, scenes.boxes[place], image.width / int(scenes.sizes[place, 0]))


def findings(marked: Marked, looked: Scan) -> Iterator[DataFinding]:
    """What is wrong with the boxes of `marked`, whose images were `looked` at, split after split."""
    faults = tuple(f"{fault.key}: {fault.reason}" for fault in marked.faults)
    cure = "repair or remove them, or train with --set data.bad=skip"
    yield named("boxes", "boxes that cannot be used", "problem", faults, cure)
    sizes, cure = tuple(_other_sizes(marked, looked)), "annotate the images as they are shown, upright"
    yield named("size", "images of another size than annotated", "problem", sizes, cure)
    if marked.test is None:
        yield named(
            "split", "no list to judge by", "problem", (marked.how,), "add one: nothing can be judged"
        )
    train = marked.train.counts()
    never = tuple(name for name, count in zip(marked.train.classes, train, strict=True) if not count)
    yield named("unlearned", "classes without a box to learn from", "problem", never, "mark some")
    empty = tuple(
        scenes.title(i) for scenes in marked.splits for i, boxes in enumerate(scenes.boxes) if not len(boxes)
    )
    yield named("no_boxes", "images without a box", "note", empty, "fine here: they teach what is background")
    yield named("counts", "boxes by class", "note", tuple(_counts(marked)), "look at AP by class, too")


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
