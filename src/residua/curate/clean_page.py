"""The page of a clean: the pictures that a person should look at before editing the table."""

from collections.abc import Iterator
from pathlib import Path, PurePath
from shlex import quote

import numpy as np

from residua.curate.actions import Cleaned
from residua.curate.check_page import SIDE
from residua.errors import DataError
from residua.report.page import Code, Numbers, Page, Part, Picture, Pictures, Section, Table, Text, render
from residua.version import __version__

SHOWN = 60
"""Suspected labels that get a picture."""
OTHERS = 24
"""Images of every other kind that get one."""
CLASSES = 20
"""Classes listed; the JSON has all."""

_SAID = {
    "unreadable": ("Cannot be read", "Repair them, or leave drop as it stands."),
    "duplicate": (
        "The same file more than once",
        "One of each is kept: an image to judge by before one to learn from, then the surest label.",
    ),
    "near": (
        "Look-alikes",
        "Harmless within one split; where one is judged by, its look-alikes should not be learned from.",
    ),
    "outlier": (
        "Resemble nothing else",
        "Perhaps rare, perhaps not of this set: nothing is suggested, look at them.",
    ),
}


def clean_sheet(cleaned: Cleaned, out: Path) -> str:
    """The whole page as HTML."""
    counts, found = cleaned.counts(), cleaned.confidence
    numbers: list[tuple[str, str]] = []
    if found is not None and cleaned.accuracy is not None:
        numbers += [
            (f"{cleaned.accuracy:.1f} %", "judged as labelled, by networks that had not seen them"),
            (f"{100 * found.wrong_share:.1f} %", "of the labels wrong, by estimate"),
        ]
    numbers += [(f"{counts['relabel']:,}", "relabel suggested"), (f"{counts['drop']:,}", "drop suggested")]
    sections = [
        Section(
            "What was found", (Numbers(tuple(numbers)), Text(("; ".join(cleaned.how) + ".",)), *_next(out))
        ),
        *_labels(cleaned),
        *(Section(_title(cleaned, kind), (_others(cleaned, kind),)) for kind in _SAID if cleaned.kinds[kind]),
        *_classes(cleaned),
        Section("How to read this", (Text(_READING),)),
    ]
    lead = (
        f"For {counts['relabel'] + counts['drop']:,} of {len(cleaned.images):,} images a change is "
        "suggested: you decide, in the column action of clean.csv."
    )
    footer = f"Written by residua {__version__}; nothing was changed, moved or deleted."
    name = PurePath(cleaned.source).name or cleaned.source
    return render(Page(f"Cleaning of {name}", lead, tuple(sections), footer))


_READING = (
    "Every image was judged by a network that had not trained on it, nor on a copy of it. A label is "
    "suspected by confident learning (Northcutt et al. 2021): another class is at least as likely as it is "
    "on average for its own images, the label is not the likeliest, and no more images of a pair of classes "
    "are named than the estimated number of wrong labels between the two.",
    "The score is the probability of the label: 0 is surely wrong, 1 surely right. Another class is "
    "suggested where it is 20 times as likely and above 90 %; a drop, where it is 20 times as likely and "
    "less sure (where that would drop more than 5 % of the images, 50 % is enough). All others are kept "
    "unless you say otherwise. A weak network suspects much that is right, and its estimate of wrong labels "
    "contains its own errors: the percentage above says how much to trust it; below 50 % nothing is "
    "suggested. Hard and rare images are suspected most often, and they are worth keeping.",
    "Relabel or drop images to judge by only for what you see in them: without the hard ones the score is "
    "better, and the network is not.",
)


def _next(out: Path) -> Iterator[Part]:
    command = f"residua data apply {quote(str(out / 'clean.csv'))} -o manifest.csv"
    yield Code(command, "After editing the column action; manifest.csv must lie above the images:")


def _title(cleaned: Cleaned, kind: str) -> str:
    return f"{_SAID[kind][0]}: {len(cleaned.kinds[kind]):,}"


def _labels(cleaned: Cleaned) -> Iterator[Section]:
    if cleaned.confidence is None:
        return
    places = cleaned.kinds["label"]
    if not places:
        yield Section("Suspected labels: none", (Text(("No label is contradicted with confidence.",)),))
        return
    pictures = tuple(p for place in places[:SHOWN] for p in _picture(cleaned, place))
    more = f"{SHOWN} of {len(places):,} are shown; clean.csv lists all. " if len(places) > SHOWN else ""
    caption = f"{more}Label → suggestion, the least sure label first."
    yield Section(f"Suspected labels: {len(places):,}", (Pictures(pictures, caption),))


def _others(cleaned: Cleaned, kind: str) -> Part:
    places = tuple(dict.fromkeys(cleaned.kinds[kind]))
    cure = _SAID[kind][1]
    more = f"{OTHERS} of {len(places):,} are shown; clean.csv lists all. " if len(places) > OTHERS else ""
    if kind == "unreadable":
        rows = tuple((cleaned.rows[p].path, cleaned.rows[p].reason) for p in places[:OTHERS])
        return Table(("file", "why"), rows, f"{more}{cure}")
    pictures = tuple(p for place in places[:OTHERS] for p in _picture(cleaned, place, short=False))
    return Pictures(pictures, f"{more}{cure}")


def _picture(cleaned: Cleaned, place: int, *, short: bool = True) -> Iterator[Picture]:
    row = cleaned.rows[place]
    title = f"{row.label} → {row.suggested}" if row.suggested != row.label else row.label
    reason = row.reason.partition("; ")[0] if short else row.reason
    where = f"{row.action} · to judge by" if place >= cleaned.learn else row.action
    lines = tuple(filter(None, (PurePath(row.path).stem, reason, where)))
    try:
        image = cleaned.images.image(place, "rgb", lambda size: min(size) // SIDE)
    except DataError:  # it was readable a minute ago; the page goes on without it
        return
    image.thumbnail((SIDE, SIDE))
    yield Picture(np.asarray(image), title, lines)


def _classes(cleaned: Cleaned) -> Iterator[Section]:
    summaries = cleaned.summaries()
    if not summaries:
        return
    rows = tuple(
        (one.name, f"{one.images:,}", f"{one.wrong:.1f} %", f"{one.suspects:,}", one.taken_for)
        for one in summaries[:CLASSES]
    )
    more = f"{CLASSES} of {len(summaries):,} classes, the worst first." if len(summaries) > CLASSES else ""
    head = ("class", "images", "wrong, by estimate", "suspected", "mostly taken for")
    yield Section("The classes", (Table(head, rows, more, numeric=(1, 2, 3)),))
