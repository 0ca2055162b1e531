"""The survey of a source of boxes, for `residua data check`: counts, and findings about boxes and splits."""

from collections.abc import Iterator
from dataclasses import replace
from functools import partial

import numpy as np
from PIL import Image

from residua.data.listing import SourceListing
from residua.data.scan import Scan
from residua.data.scenes import BoxListing
from residua.spec.amount import quantity
from residua.tasks.detect import box_drawing
from residua.tasks.survey import DataFinding, Marks, Survey, named


def survey_boxes(listing: BoxListing) -> Survey:
    """Describe a source of boxes to the data check.

    Args:
        listing: images and boxes of the source, and the boxes that cannot be used.

    Returns:
        The images, all under the one class `image`, the number of boxes of each class, and the findings.
    """
    train, test = listing.train, listing.test
    images = SourceListing(
        listing.source,
        replace(train.images, classes=("image",)),
        replace(test.images, classes=("image",)) if test else None,
        listing.split_note,
    )
    counts = {
        scenes.name: dict(zip(scenes.classes, scenes.counts().tolist(), strict=True))
        for scenes in listing.splits
    }
    legend = box_drawing.class_legend(train.classes)
    return Survey(
        images,
        Marks("boxes", counts, partial(_draw_boxes, listing), legend),
        partial(box_findings, listing),
    )


def box_findings(listing: BoxListing, scan: Scan) -> Iterator[DataFinding]:
    """Problems and notes about the boxes of a source.

    Args:
        listing: images and boxes of the source.
        scan: what decoding its images showed, split after split.

    Returns:
        An iterator over the findings; those with a count of 0 are empty.
    """
    faults = tuple(f"{fault.key}: {fault.reason}" for fault in listing.faults)
    cure = "repair or remove them, or train with --set data.bad=skip"
    yield named("boxes", "boxes that cannot be used", "problem", faults, cure)
    sizes, cure = tuple(_size_mismatches(listing, scan)), "annotate the images as displayed, upright"
    yield named("size", "images of another size than annotated", "problem", sizes, cure)
    if listing.test is None:
        cure = "add a list of test images: training needs one"
        yield named("split", "no list of test images", "problem", (listing.split_note,), cure)
    counts = zip(listing.train.classes, listing.train.counts(), strict=True)
    unlearned = tuple(name for name, count in counts if not count)
    yield named("unlearned", "classes without a box in train", "problem", unlearned, "annotate some")
    empty = tuple(
        scenes.title(i) for scenes in listing.splits for i, boxes in enumerate(scenes.boxes) if not len(boxes)
    )
    yield named("no_boxes", "images without a box", "note", empty, "nothing: they are examples of background")
    counts_by_class = tuple(_counts_by_class(listing))
    yield named("counts", "boxes by class", "note", counts_by_class, "compare the AP of each class, too")


def _draw_boxes(listing: BoxListing, index: int, image: Image.Image) -> Image.Image:
    """`image`, a thumbnail of the image at `index` over all splits, with its boxes."""
    scenes = listing.train
    if listing.test is not None and index >= len(scenes):
        scenes, index = listing.test, index - len(scenes)
    return box_drawing.draw_boxes(image, scenes.boxes[index], image.width / int(scenes.sizes[index, 0]))


def _size_mismatches(listing: BoxListing, scan: Scan) -> Iterator[str]:
    facts = iter(scan.facts)
    for scenes in listing.splits:
        for i, (width, height) in enumerate(scenes.sizes.tolist()):
            fact = next(facts)
            if fact["readable"] and (int(fact["width"]), int(fact["height"])) != (width, height):
                actual = f"{fact['width']} x {fact['height']}"
                yield f"{scenes.title(i)}: is {actual}, annotated as {width} x {height}"


def _counts_by_class(listing: BoxListing) -> Iterator[str]:
    for label, name in enumerate(listing.train.classes):
        parts = [f"{int(scenes.counts()[label]):,} in {scenes.name}" for scenes in listing.splits]
        sides = [
            np.sqrt(boxes.areas[boxes.labels == label]) for scenes in listing.splits for boxes in scenes.boxes
        ]
        median = float(np.median(np.concatenate(sides))) if any(map(len, sides)) else 0.0
        yield f"{name}: {', '.join(parts)}, median side {quantity(round(median), 'pixel')}"
