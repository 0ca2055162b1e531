"""Looking at a set before anything is learned from it: what is wrong, what is odd, what leaks."""

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from residua import tasks
from residua.curate.checked import Checked
from residua.data.images import Images
from residua.data.listing import SourceListing, remarks, twins
from residua.data.metadata import MetadataLeak, find_metadata_leak
from residua.data.near_duplicates import copies
from residua.data.scan import Tell, scan
from residua.data.sources.shards import wrong_digests
from residua.tasks.survey import DataFinding, Group, Level, named

_OF_SHAPE = ("width", "height", "shape")  # what stays as it is when a file is saved anew
LONG = 2.0
"""Longer side over shorter, from which on the centre crop sees less than half of an image."""
UNEVEN = 10.0
"""Largest class over smallest, from which on it is said."""
TELLING = 0.1
"""Share of the baseline's errors that metadata must avoid to be mentioned; half of them is a problem."""


def check(source: str, *, workers: int, tell: Tell = lambda _done, _total: None) -> Checked:
    """Everything worth knowing of `source`; nothing is changed, moved or deleted.

    `tell(done, total)` hears how far it is. DataError when there is no such source.
    """
    survey = tasks.of(source).survey(source)
    found = survey.found
    looked = scan(found.splits, workers=workers, tell=tell)
    names = _labels_by_name(found.splits)
    tried = find_metadata_leak(looked, names)
    draft = Checked(source, found.splits, looked, (), tried, survey.marks)
    every = (*_findings(draft, found, names), *survey.findings(looked))
    made = sorted((one for one in every if one.count), key=lambda finding: finding.level != "problem")
    return replace(draft, findings=tuple(made))


def _labels_by_name(splits: Sequence[Images]) -> NDArray[np.int64]:
    """A number for the class of every image, the same for the same name in all splits."""
    place: dict[str, int] = {}
    parts = []
    for images in splits:
        numbers = [place.setdefault(name, len(place)) for name in images.classes]
        parts.append(np.array(numbers, np.int64)[images.labels])
    return np.concatenate(parts)


def _findings(checked: Checked, found: SourceListing, labels: NDArray[np.int64]) -> Iterator[DataFinding]:
    yield from _unreadable(checked)
    yield from _copies(checked, labels)
    yield from _pictures(checked)
    if checked.marks is None:
        yield from _of_classes(checked)
    yield from _beside(found)
    yield from _told_by_metadata(checked.metadata)


def _unreadable(checked: Checked) -> Iterator[DataFinding]:
    facts, reasons = checked.scan.facts, checked.scan.reasons
    empty = [place for place in reasons if facts["bytes"][place] == 0]
    bad = [place for place in reasons if facts["bytes"][place] != 0]
    cure = "repair or remove them, or train with --set data.bad=skip"
    yield _images(checked, "unreadable", "cannot be read", "problem", [(p,) for p in bad], cure)
    yield _images(checked, "empty", "empty files", "problem", [(p,) for p in empty], cure)
    wrong, start = [], 0
    for images in checked.splits:
        held = facts["digest"][start : start + len(images)]
        wrong += [(start + i,) for i in wrong_digests(images, held)]
        start += len(images)
    yield _images(
        checked, "digest", "not the bytes that were packed", "problem", wrong, "copy the shard again"
    )


def _copies(checked: Checked, labels: NDArray[np.int64]) -> Iterator[DataFinding]:
    """Equal and look-alike images: across splits, across classes, or just twice; each group once."""
    facts = checked.scan.facts
    split = np.repeat(np.arange(len(checked.splits)), [len(images) for images in checked.splits])
    same, near = copies(facts)
    for kind, words, found, level in (
        ("duplicate", "the same file", same, "problem"),
        ("near", "look-alikes", near, "note"),
    ):
        leaks = [g for g in found if len(set(split[list(g)].tolist())) > 1]
        rest = [g for g in found if len(set(split[list(g)].tolist())) == 1]
        torn = [g for g in rest if len(set(labels[list(g)].tolist())) > 1]
        twice = [g for g in rest if len(set(labels[list(g)].tolist())) == 1]
        keep = "keep one of each"
        yield _images(
            checked,
            f"{kind}_leak",
            f"{words} in two splits",
            "problem",
            leaks,
            "remove it from one: scores lie",
        )
        yield _images(
            checked, f"{kind}_conflict", f"{words} with two labels", "problem", torn, "decide for one label"
        )
        yield _images(checked, kind, f"{words}, one class", level, twice, keep)  # type: ignore[arg-type]


def _pictures(checked: Checked) -> Iterator[DataFinding]:
    facts = checked.scan.facts
    good = facts["readable"]
    longer, shorter = np.maximum(facts["width"], facts["height"]), np.minimum(facts["width"], facts["height"])

    def one(key: str, what: str, level: Level, mask: NDArray[np.bool_], cure: str) -> DataFinding:
        return _images(checked, key, what, level, [(p,) for p in np.flatnonzero(mask & good).tolist()], cure)

    yield one("constant", "one colour, nothing to see", "problem", facts["flat"], "remove them")
    cure = "fine here: the gate turns them; other tools may not"
    yield one("rotated", "rotated by EXIF", "note", facts["orientation"] > 1, cure)
    usual = _usual_modes(facts["mode"][good])
    odd = ~np.isin(facts["mode"], usual)
    yield one("colour", "odd colour modes", "note", odd, "fine here: see the rules in docs/data.md")
    if checked.marks:  # the crop that is cut from their middle is for images of one class
        return
    cure = "the centre crop sees less than half: cut them by hand"
    yield one("shape", f"longer than {LONG:g} times their width", "note", longer > LONG * shorter, cure)


def _usual_modes(modes: NDArray[np.str_]) -> list[str]:
    """RGB, and grey where at least a tenth of the images is: a few grey ones among many are odd."""
    if not len(modes):
        return ["RGB"]
    names, counts = np.unique(modes, return_counts=True)
    return ["RGB", *names[(names != "RGB") & (counts >= 0.1 * len(modes))].tolist()]


def _of_classes(checked: Checked) -> Iterator[DataFinding]:
    counts, noun = checked.classes(), checked.noun
    train = counts[checked.splits[0].name]
    pairs = twins(list(dict.fromkeys(name for split in counts.values() for name in split)))
    said = tuple(f"{one} / {other}" for one, other in pairs)
    yield named("twins", "class names that differ in case or form", "problem", said, "merge them")
    empty = tuple(f"{name} in {split}" for split, held in counts.items() for name, n in held.items() if not n)
    yield named("no_images", f"classes without {noun}s", "problem", empty, "fill or remove them")
    few = tuple(name for name, count in train.items() if count == 1)
    yield named("single", f"classes with one {noun}", "problem", few, f"add {noun}s: one cannot be split")
    for other in list(counts)[1:]:
        unknown = tuple(name for name in counts[other] if name not in train)
        yield named(
            "unknown", f"classes of {other} that train lacks", "problem", unknown, "rename or remove them"
        )
        unjudged = tuple(name for name in train if name not in counts[other])
        yield named(
            "unjudged", f"classes that {other} lacks", "note", unjudged, "no score will say how they do"
        )
    held = {name: count for name, count in train.items() if count}
    if held and max(held.values()) > UNEVEN * min(held.values()):
        most, least = max(held, key=lambda name: held[name]), min(held, key=lambda name: held[name])
        words = (f"{held[most]:,} {most}, {held[least]:,} {least}",)
        yield named(
            "uneven", "classes of very different size", "note", words, "look at the error by class, too"
        )
    order = remarks(list(train))
    yield named(
        "order", "classes not in counting order", "note", order, "fine here: classes are matched by name"
    )


def _beside(found: SourceListing) -> Iterator[DataFinding]:
    kinds = {
        "hidden": "hidden files",
        "other": "files of other kinds",
        "link": "links not followed",
        "loose": f"{found.train.gate.noun}s in no class folder",
    }
    counts = Counter(kind for kind, _ in found.skipped)
    for kind in counts:
        names = tuple(_below(path, found.source) for each, path in found.skipped if each == kind)
        yield named(kind, kinds[kind], "note", names, "skipped")


def _below(path: str, root: str) -> str:
    return path.removeprefix(root).lstrip("/")


def _told_by_metadata(found: MetadataLeak | None) -> Iterator[DataFinding]:
    if found is None or found.gain < TELLING:
        return
    words = f"{found.accuracy:.0f} % right, {found.baseline:.0f} % by guessing"
    told = found.facts[0] if found.facts else "it"
    alike = "cut all to one shape" if told in _OF_SHAPE else "resave all files alike"
    cure = f"a network may learn {told} instead: {alike}"
    level: Level = "problem" if found.gain >= 0.5 else "note"
    yield DataFinding("metadata", "labels told by metadata", level, 1, words, cure, names=found.facts)


def _images(
    checked: Checked, key: str, what: str, level: Level, found: Sequence[Group], cure: str
) -> DataFinding:
    example = " = ".join(checked.title(place) for place in found[0][:2]) if found else ""
    return DataFinding(key, what, level, len(found), example, cure, groups=tuple(found))
