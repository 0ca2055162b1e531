"""New images beside old ones: looked at, compared with what is there, and listed in a new manifest."""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from residua.data.images import Images, joined
from residua.data.listing import SourceListing, hashes, listed, parted
from residua.data.manifest import ManifestEntry, check_out, entries, split_name, write_manifest
from residua.data.near_duplicates import copies
from residua.data.scan import Tell, scan
from residua.data.sources.folders import LOOSE
from residua.data.sources.table import find
from residua.data.split import SHARE, held_out
from residua.errors import DataError


@dataclass(frozen=True, slots=True)
class LeftOut:
    """One new image that is not listed."""

    path: str
    """What it is called."""
    kind: str
    """`unreadable`, `duplicate`, `conflict` (a duplicate with another label) or `near`."""
    reason: str
    """Why, in a few words."""


@dataclass(frozen=True, slots=True)
class Added:
    """What was added."""

    old: int
    """Images that were there."""
    new: int
    """Images that were added."""
    classes: tuple[str, ...]
    """Classes that are new."""
    left_out: tuple[LeftOut, ...]
    """New images that were not added."""
    splits: dict[str, int]
    """Images by split, old and new."""


def add(
    old: str,
    new: str,
    out: Path,
    *,
    workers: int,
    new_classes: bool = False,
    force: bool = False,
    tell: Tell = lambda _done, _total: None,
) -> Added:
    """Write to `out` the images of `old` and those of `new` that pass; no image is changed, moved or deleted.

    Left out is what cannot be read, what is there already, and what looks like an image to judge by. New
    images are to learn from unless they have a split of their own, so what was judged by before still is; of
    a new class without a split, a share is to judge by. DataError for classes that `old` lacks, unless
    `new_classes`, and for a new one of a single image.
    """
    check_out(out, force=force)
    train, test, _ = parted(find(old), holdout=SHARE)
    fresh = find(new, lenient=True)  # one class alone is the commonest case
    if fresh.train.classes == (LOOSE,):
        raise DataError(f"{new} holds no class folders: give the folder above, or a label file")
    unknown = tuple(name for name in _classes(fresh) if name not in train.classes)
    if unknown and not new_classes:
        raise DataError(
            f"{new} has class {listed(unknown)}, which {old} lacks: it has {listed(train.classes)}; "
            "rename it, or say --new-classes"
        )
    every = tuple(dict.fromkeys((*train.classes, *unknown)))
    parts = [_wide(images, every) for images in (train, test, *fresh.splits)]
    together = joined([replace(part, name="all") for part in parts], name="all")
    starts = np.cumsum([0, *map(len, parts)])
    left = dict(_left_out(together, (int(starts[1]), int(starts[2])), workers, tell))
    fresh_parts = [
        images.subset(np.array([i for i in range(len(images)) if start + i not in left], np.int64))
        for images, start in zip(parts[2:], starts[2:-1].tolist(), strict=True)
    ]
    learn, judge = fresh_parts if fresh.test else _divided(fresh_parts[0], unknown)
    shares = ((train, "train"), (test, split_name(test)), (learn, "train"), (judge, split_name(test)))
    lines = [line for images, split in shares for line in entries(images, split)]
    _no_twice(lines, new)
    write_manifest(out, lines, force=force)
    known = len(train) + len(test)
    splits = dict(Counter(line.split for line in lines))
    return Added(known, len(lines) - known, unknown, tuple(left.values()), splits)


def _divided(images: Images, classes: tuple[str, ...]) -> tuple[Images, Images]:
    """`images` to learn from, and those of new `classes` that are to judge by."""
    label = {images.classes.index(name): place for place, name in enumerate(classes)}
    new = np.flatnonzero(np.isin(images.labels, [*label]))
    labels = np.array([label[old] for old in images.labels[new].tolist()], np.int64)
    names = hashes([images.title(i) for i in new.tolist()])
    judge = new[held_out(labels, names, holdout=SHARE, classes=classes)]
    return images.subset(np.setdiff1d(np.arange(len(images)), judge)), images.subset(judge)


def _classes(found: SourceListing) -> list[str]:
    return list(dict.fromkeys(name for images in found.splits for name in images.classes))


def _wide(images: Images, classes: tuple[str, ...]) -> Images:
    """`images` with labels that are places in `classes`, which has all of theirs."""
    labels = np.array([classes.index(name) for name in images.classes], np.int64)[images.labels]
    return replace(images, classes=classes, labels=labels)


def _left_out(
    images: Images, ends: tuple[int, int], workers: int, tell: Tell
) -> Iterator[tuple[int, LeftOut]]:
    """Places of new images that do not pass, and why; `ends`: of old ones to learn from, of all old."""
    learn, old = ends
    looked = scan((images,), workers=workers, tell=tell)
    for place, why in looked.reasons.items():
        if place >= old:
            yield place, LeftOut(images.title(place), "unreadable", why)
    same, near = copies(looked.facts)
    for group in same:
        first = group[0]
        for place in group[1:]:
            if place < old:
                continue
            torn = images.labels[place] != images.labels[first]
            label = f", labelled {images.classes[images.labels[first]]}" if torn else ""
            reason = f"the same file as {images.title(first)}{label}"
            yield place, LeftOut(images.title(place), "conflict" if torn else "duplicate", reason)
    for group in near:
        if judged := [place for place in group if learn <= place < old]:
            for place in group:
                if place >= old:
                    reason = f"looks like {images.title(judged[0])}, which is to be judged by"
                    yield place, LeftOut(images.title(place), "near", reason)


def _no_twice(lines: list[ManifestEntry], new: str) -> None:
    if len({line.path for line in lines}) < len(lines):
        raise DataError(f"{new} holds files that are listed already: give a folder of new ones")
