"""Add new images to a dataset: leave out duplicates and unreadable files, and write a manifest of all."""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from residua.data.images import Images, concatenate
from residua.data.listing import ListingOptions, SourceListing, name_hashes, quote_names, split_listing
from residua.data.manifest import (
    ManifestEntry,
    manifest_entries,
    split_name,
    write_manifest,
)
from residua.data.near_duplicates import find_duplicates
from residua.data.open import find
from residua.data.scan import ReportProgress, scan
from residua.data.sources.folders import LOOSE
from residua.data.split import VAL_FRACTION, val_mask
from residua.errors import DataError
from residua.files import check_output_path


@dataclass(frozen=True, slots=True)
class SkippedImage:
    """A new image that is not listed."""

    path: str
    """Its path within the new source."""
    kind: str
    """`unreadable`, `duplicate`, `conflict` (a duplicate with another label) or `near`."""
    reason: str
    """Why, in a few words."""


@dataclass(frozen=True, slots=True)
class AddSummary:
    """What the manifest lists."""

    old: int
    """Images of the old source."""
    new: int
    """New images that are listed."""
    classes: tuple[str, ...]
    """Classes that the old source lacks."""
    left_out: tuple[SkippedImage, ...]
    """New images that are not listed."""
    splits: dict[str, int]
    """Split -> listed images."""


def add(
    old: str,
    new: str,
    out: Path,
    *,
    workers: int,
    new_classes: bool = False,
    force: bool = False,
    progress: ReportProgress = lambda _done, _total: None,
) -> AddSummary:
    """Write a manifest of old and new images; no image is changed, moved or deleted.

    Left out are new images that are unreadable, duplicates of others, or near-duplicates of a validation
    image. New images become training images unless their source has a split, so the validation images stay
    the same. Of a new class without a split, a fraction becomes validation images.

    Args:
        old: A source: a folder of classes or a label file.
        new: A source of new images.
        out: The manifest, in a folder above the images.
        workers: Processes that read the images; 0 for this one.
        new_classes: Accept classes that `old` lacks.
        force: Replace a manifest that exists.
        progress: Receives the number of images read and their total.

    Raises:
        DataError: A source cannot be used, `new` has another class without `new_classes`, or a new class has
            a single image.
        FileExistsError: `out` exists, without `force`.
    """
    check_output_path(out, force=force, suffixes=(".csv",))
    train, test, _ = split_listing(find(old), val_fraction=VAL_FRACTION)
    new_listing = find(new, options=ListingOptions(lenient=True))  # one class alone is the commonest case
    if new_listing.train.classes == (LOOSE,):
        raise DataError(f"{new} has no class folders: give the folder above, or a label file")
    unknown = tuple(name for name in _classes(new_listing) if name not in train.classes)
    if unknown and not new_classes:
        raise DataError(
            f"{new} has class {quote_names(unknown)}, which {old} lacks: it has "
            f"{quote_names(train.classes)}; rename it, or give --new-classes"
        )
    classes = tuple(dict.fromkeys((*train.classes, *unknown)))
    parts = [_with_classes(images, classes) for images in (train, test, *new_listing.splits)]
    together = concatenate([replace(part, name="all") for part in parts], name="all")
    starts = np.cumsum([0, *map(len, parts)])
    skipped = dict(_skipped(together, (int(starts[1]), int(starts[2])), workers, progress))
    new_parts = [
        images.subset(np.array([i for i in range(len(images)) if start + i not in skipped], np.int64))
        for images, start in zip(parts[2:], starts[2:-1].tolist(), strict=True)
    ]
    new_train, new_val = new_parts if new_listing.test else _split_new_classes(new_parts[0], unknown)
    val = split_name(test)
    shares = ((train, "train"), (test, val), (new_train, "train"), (new_val, val))
    lines = [line for images, split in shares for line in manifest_entries(images, split)]
    _require_distinct_files(lines, new)
    write_manifest(out, lines, force=force)
    known = len(train) + len(test)
    splits = dict(Counter(line.split for line in lines))
    return AddSummary(known, len(lines) - known, unknown, tuple(skipped.values()), splits)


def _split_new_classes(images: Images, classes: tuple[str, ...]) -> tuple[Images, Images]:
    """Training images, and a fraction of the new `classes` as validation images."""
    label = {images.classes.index(name): place for place, name in enumerate(classes)}
    new = np.flatnonzero(np.isin(images.labels, [*label]))
    labels = np.array([label[old] for old in images.labels[new].tolist()], np.int64)
    names = name_hashes([images.title(i) for i in new.tolist()])
    val = new[val_mask(labels, names, val_fraction=VAL_FRACTION, classes=classes)]
    return images.subset(np.setdiff1d(np.arange(len(images)), val)), images.subset(val)


def _classes(listing: SourceListing) -> list[str]:
    return list(dict.fromkeys(name for images in listing.splits for name in images.classes))


def _with_classes(images: Images, classes: tuple[str, ...]) -> Images:
    """`images` with labels that index `classes`, which contains their classes."""
    labels = np.array([classes.index(name) for name in images.classes], np.int64)[images.labels]
    return replace(images, classes=classes, labels=labels)


def _skipped(
    images: Images, ends: tuple[int, int], workers: int, progress: ReportProgress
) -> Iterator[tuple[int, SkippedImage]]:
    """New images to leave out, by index; `ends` counts the old training images, and all old images."""
    train, old = ends
    files = scan((images,), workers=workers, progress=progress)
    for index, why in files.reasons.items():
        if index >= old:
            yield index, SkippedImage(images.title(index), "unreadable", why)
    duplicates, near_duplicates = find_duplicates(files.facts)
    for group in duplicates:
        first = group[0]
        for index in group[1:]:
            if index < old:
                continue
            is_conflict = images.labels[index] != images.labels[first]
            label = f", labelled {images.classes[images.labels[first]]}" if is_conflict else ""
            kind, reason = (
                "conflict" if is_conflict else "duplicate",
                f"the same file as {images.title(first)}{label}",
            )
            yield index, SkippedImage(images.title(index), kind, reason)
    for group in near_duplicates:
        if in_val := [index for index in group if train <= index < old]:
            for index in group:
                if index >= old:
                    reason = f"looks like the validation image {images.title(in_val[0])}"
                    yield index, SkippedImage(images.title(index), "near", reason)


def _require_distinct_files(lines: list[ManifestEntry], new: str) -> None:
    if len({line.path for line in lines}) < len(lines):
        raise DataError(f"{new} contains files of the old source: give a folder of new ones")
