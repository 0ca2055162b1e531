"""Check a dataset before training: unreadable files, duplicates, data leakage, odd images and classes."""

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from residua import tasks
from residua.data.images import Images
from residua.data.listing import SourceListing, class_name_collisions, class_order_notes
from residua.data.metadata import MetadataLeak, find_metadata_leak
from residua.data.near_duplicates import Group, find_duplicates
from residua.data.scan import ReportProgress, Scan, scan
from residua.data.sources.shards import wrong_digests
from residua.tasks.survey import DataFinding, Level, Marks, named

LONG_ASPECT = 2.0
"""Longer side over shorter from which on the centre crop contains less than half of an image."""
UNEVEN_RATIO = 10.0
"""Largest class over smallest from which on class imbalance is noted. Our choice."""
LEAK_NOTE, LEAK_PROBLEM = 0.1, 0.5
"""Share of the baseline's errors that metadata must avoid to be noted, and to be a problem. Our choice."""
SHAPE_FACTS = ("width", "height", "shape")
"""Metadata that stay as they are when a file is saved again."""


@dataclass(frozen=True)
class DataCheck:
    """The result of checking a source. An index counts images over all splits, in their order."""

    source: str
    """The source, as the user gave it."""
    splits: tuple[Images, ...]
    """Its images."""
    scan: Scan
    """Facts of every image, by index."""
    findings: tuple[DataFinding, ...]
    """Problems first, then notes."""
    metadata: MetadataLeak | None
    """How well metadata predict the labels; None where it cannot be measured."""
    marks: Marks | None = None
    """The annotated boxes; None where each image has one class."""

    @property
    def noun(self) -> str:
        """`image` or `clip`."""
        return self.splits[0].media_type.noun

    @property
    def counted_noun(self) -> str:
        """What `class_counts` counts, in the plural: `images`, `clips` or `boxes`."""
        return self.marks.noun if self.marks else f"{self.noun}s"

    @property
    def has_problem(self) -> bool:
        """Whether a finding is a problem, not only a note."""
        return any(finding.level == "problem" for finding in self.findings)

    def class_counts(self) -> dict[str, dict[str, int]]:
        """Split -> class -> number of images or boxes."""
        if self.marks:
            return dict(self.marks.counts)
        return {
            images.name: dict(zip(images.classes, counts.tolist(), strict=True))
            for images in self.splits
            for counts in [np.bincount(images.labels, minlength=len(images.classes))]
        }

    def locate(self, index: int) -> tuple[Images, int]:
        """The split of an image, and its index within the split.

        Raises:
            IndexError: There are fewer images.
        """
        for images in self.splits:
            if index < len(images):
                return images, index
            index -= len(images)
        raise IndexError(index)

    def title(self, index: int) -> str:
        """Path or name of an image."""
        images, i = self.locate(index)
        return images.title(i)

    def label(self, index: int) -> str:
        """Class of an image."""
        images, i = self.locate(index)
        return images.classes[int(images.labels[i])]

    def plain(self) -> dict[str, Any]:
        """For JSON."""
        return {
            "source": self.source,
            "images": len(self.scan.facts),
            "classes": self.class_counts(),
            "problems": sum(finding.level == "problem" for finding in self.findings),
            "findings": [self._plain_finding(finding) for finding in self.findings],
            "metadata": None if self.metadata is None else _plain_leak(self.metadata),
        }

    def _plain_finding(self, finding: DataFinding) -> dict[str, Any]:
        plain: dict[str, Any] = {
            key: getattr(finding, key) for key in ("key", "what", "level", "count", "cure")
        }
        if finding.key == "unreadable":
            indices = [group[0] for group in finding.groups]
            plain["files"] = [{"file": self.title(i), "reason": self.scan.reasons[i]} for i in indices]
        elif finding.groups:
            plain["groups"] = [
                [
                    {"file": self.title(i), "split": self.locate(i)[0].name, "class": self.label(i)}
                    for i in group
                ]
                for group in finding.groups
            ]
        else:
            plain["names"] = list(finding.names)
        return plain


def _plain_leak(leak: MetadataLeak) -> dict[str, Any]:
    return {
        "accuracy": round(leak.accuracy, 2),
        "baseline": round(leak.baseline, 2),
        "images": leak.images,
        "facts": list(leak.facts),
    }


def check(source: str, *, workers: int, progress: ReportProgress = lambda _done, _total: None) -> DataCheck:
    """Check a source; no file is changed, moved or deleted.

    Args:
        source: What `residua train` takes.
        workers: Processes that decode images; 0 for this one.
        progress: Receives the number of images checked and their total.

    Returns:
        The findings, problems first.

    Raises:
        DataError: There is no such source, or it holds no images.
    """
    survey = tasks.data_task_of(source).survey(source)
    listing = survey.listing
    facts = scan(listing.splits, workers=workers, progress=progress)
    labels = _labels_by_name(listing.splits)
    leak = find_metadata_leak(facts, labels)
    draft = DataCheck(source, listing.splits, facts, (), leak, survey.marks)
    findings = [*_findings(draft, listing, labels), *survey.findings(facts)]
    nonempty = sorted((f for f in findings if f.count), key=lambda finding: finding.level != "problem")
    return replace(draft, findings=tuple(nonempty))


def _labels_by_name(splits: Sequence[Images]) -> NDArray[np.int64]:
    """(N,) a number for the class of every image: the same for the same class name in all splits."""
    number_of: dict[str, int] = {}
    parts = []
    for images in splits:
        numbers = [number_of.setdefault(name, len(number_of)) for name in images.classes]
        parts.append(np.array(numbers, np.int64)[images.labels])
    return np.concatenate(parts)


def _findings(result: DataCheck, listing: SourceListing, labels: NDArray[np.int64]) -> Iterator[DataFinding]:
    yield from _unreadable(result)
    yield from _duplicates(result, labels)
    yield from _odd_images(result)
    if result.marks is None:
        yield from _class_findings(result)
    yield from _skipped_files(listing)
    yield from _metadata_findings(result.metadata)


def _finding(
    result: DataCheck, key: str, what: str, level: Level, groups: Sequence[Group], cure: str
) -> DataFinding:
    example = " = ".join(result.title(index) for index in groups[0][:2]) if groups else ""
    return DataFinding(key, what, level, len(groups), example, cure, groups=tuple(groups))


def _unreadable(result: DataCheck) -> Iterator[DataFinding]:
    facts, reasons = result.scan.facts, result.scan.reasons
    empty = [(index,) for index in reasons if facts["bytes"][index] == 0]
    damaged = [(index,) for index in reasons if facts["bytes"][index] != 0]
    cure = "repair or remove them, or train with --set data.bad=skip"
    yield _finding(result, "unreadable", "unreadable files", "problem", damaged, cure)
    yield _finding(result, "empty", "empty files", "problem", empty, cure)
    changed, start = [], 0
    for images in result.splits:
        digests = facts["digest"][start : start + len(images)]
        changed += [(start + i,) for i in wrong_digests(images, digests)]
        start += len(images)
    yield _finding(
        result, "digest", "files that differ from what was packed", "problem", changed, "copy the shard again"
    )


def _duplicates(result: DataCheck, labels: NDArray[np.int64]) -> Iterator[DataFinding]:
    """Groups of duplicates and near-duplicates: across splits, across labels, or in one class; each once."""
    split = np.repeat(np.arange(len(result.splits)), [len(images) for images in result.splits])
    equal, near = find_duplicates(result.scan.facts)
    levels: tuple[Level, Level] = ("problem", "note")
    for key, noun, groups, level in zip(
        ("duplicate", "near"), ("duplicates", "near-duplicates"), (equal, near), levels, strict=True
    ):
        leaks = [group for group in groups if _has_several(split, group)]
        in_one_split = [group for group in groups if not _has_several(split, group)]
        conflicts = [group for group in in_one_split if _has_several(labels, group)]
        repeats = [group for group in in_one_split if not _has_several(labels, group)]
        cure = "remove them from one split: the test score is too optimistic"
        yield _finding(result, f"{key}_leak", f"{noun} across splits (data leakage)", "problem", leaks, cure)
        cure = "decide which label is right"
        yield _finding(result, f"{key}_conflict", f"{noun} with different labels", "problem", conflicts, cure)
        yield _finding(result, key, f"{noun} in one class", level, repeats, "keep one of each")


def _has_several(values: NDArray[np.int64], group: Group) -> bool:
    return len(np.unique(values[list(group)])) > 1


def _odd_images(result: DataCheck) -> Iterator[DataFinding]:
    facts = result.scan.facts
    longer, shorter = np.maximum(facts["width"], facts["height"]), np.minimum(facts["width"], facts["height"])

    def images_in(mask: NDArray[np.bool_]) -> list[Group]:
        return [(index,) for index in np.flatnonzero(mask & facts["readable"]).tolist()]

    yield _finding(
        result, "constant", "images of a single colour", "problem", images_in(facts["flat"]), "remove them"
    )
    rotated, cure = images_in(facts["orientation"] > 1), "residua rotates them; other tools may not"
    yield _finding(result, "rotated", "rotated by EXIF", "note", rotated, cure)
    unusual = images_in(~np.isin(facts["mode"], _usual_modes(facts["mode"][facts["readable"]])))
    cure = "residua converts them as described in docs/how-to/data.md"
    yield _finding(result, "colour", "unusual colour modes", "note", unusual, cure)
    if result.marks:  # the centre crop is for images of one class
        return
    what, cure = f"longer than {LONG_ASPECT:g} times their width", "the centre crop loses half: crop by hand"
    yield _finding(result, "shape", what, "note", images_in(longer > LONG_ASPECT * shorter), cure)


def _usual_modes(modes: NDArray[np.str_]) -> list[str]:
    """RGB, and every mode of at least a tenth of the images."""
    if not len(modes):
        return ["RGB"]
    names, counts = np.unique(modes, return_counts=True)
    return ["RGB", *names[(names != "RGB") & (counts >= 0.1 * len(modes))].tolist()]


def _class_findings(result: DataCheck) -> Iterator[DataFinding]:
    counts, noun = result.class_counts(), result.noun
    train = counts[result.splits[0].name]
    pairs = class_name_collisions(list(dict.fromkeys(name for split in counts.values() for name in split)))
    names = tuple(f"{one} / {other}" for one, other in pairs)
    yield named("twins", "class names that differ in case or form", "problem", names, "merge them")
    empty = tuple(
        f"{name} in {split}" for split, by_class in counts.items() for name, n in by_class.items() if not n
    )
    yield named("no_images", f"classes without {noun}s", "problem", empty, "fill or remove them")
    single = tuple(name for name, count in train.items() if count == 1)
    yield named("single", f"classes with one {noun}", "problem", single, f"add {noun}s: one cannot be split")
    for other in list(counts)[1:]:
        unknown = tuple(name for name in counts[other] if name not in train)
        cure = "rename or remove them"
        yield named("unknown", f"classes of {other} that train lacks", "problem", unknown, cure)
        untested = tuple(name for name in train if name not in counts[other])
        cure = "their accuracy cannot be measured"
        yield named("untested", f"classes of train that {other} lacks", "note", untested, cure)
    filled = {name: count for name, count in train.items() if count}
    if filled and max(filled.values()) > UNEVEN_RATIO * min(filled.values()):
        largest, smallest = max(filled, key=lambda n: filled[n]), min(filled, key=lambda n: filled[n])
        sizes = (f"{filled[largest]:,} {largest}, {filled[smallest]:,} {smallest}",)
        yield named("uneven", "class imbalance", "note", sizes, "look at the error of each class, too")
    order = class_order_notes(list(train))
    yield named("order", "classes not in counting order", "note", order, "harmless: classes match by name")


def _skipped_files(listing: SourceListing) -> Iterator[DataFinding]:
    what_of = {
        "hidden": "hidden files",
        "other": "files of other types",
        "link": "symbolic links that are not followed",
        "loose": f"{listing.train.media_type.noun}s in no class folder",
    }
    for kind in Counter(kind for kind, _ in listing.skipped):
        names = tuple(
            path.removeprefix(listing.source).lstrip("/") for each, path in listing.skipped if each == kind
        )
        yield named(kind, what_of[kind], "note", names, "skipped")


def _metadata_findings(leak: MetadataLeak | None) -> Iterator[DataFinding]:
    if leak is None or leak.gain < LEAK_NOTE:
        return
    example = f"{leak.accuracy:.0f} % right, {leak.baseline:.0f} % for the commonest class"
    strongest = leak.facts[0] if leak.facts else "them"
    repair = "crop all to one shape" if strongest in SHAPE_FACTS else "save all files in the same way"
    cure = f"a network may learn {strongest} instead of the content: {repair}"
    level: Level = "problem" if leak.gain >= LEAK_PROBLEM else "note"
    yield DataFinding(
        "metadata", "labels predictable from metadata", level, 1, example, cure, names=leak.facts
    )
