"""The page of a clean: the images to review before editing the table."""

from collections.abc import Iterator
from pathlib import Path, PurePath
from shlex import quote

import numpy as np

from residua.curate.actions import CleanResult
from residua.curate.check_page import THUMBNAIL_SIDE
from residua.errors import DataError
from residua.report.page import Code, Numbers, Page, Part, Picture, Pictures, Section, Table, Text, render
from residua.spec.amount import quantity
from residua.version import __version__

MAX_ISSUES = 60
"""Label issues that get a picture."""
MAX_OTHERS = 24
"""Images of every other finding that get one."""
MAX_CLASSES = 20
"""Classes in the table; the JSON has all."""

_OTHER_FINDINGS = {
    "unreadable": ("Unreadable files", "Repair them, or leave the action drop."),
    "duplicate": (
        "Duplicates",
        "One of each is kept: a validation image before a training image, then the most probable label.",
    ),
    "near": (
        "Near-duplicates",
        "Harmless within one split. Training images that look like a validation image are data leakage.",
    ),
    "outlier": (
        "Outliers",
        "Perhaps rare, perhaps not of this dataset. No action is suggested: look at them.",
    ),
}
"""Kind of finding -> title and explanation; label issues have a section of their own."""

_EXPLANATION = (
    "Every image was predicted by a network that was trained neither on it nor on a duplicate of it. A "
    "label issue is a label that is probably wrong by confident learning (Northcutt et al. 2021): another "
    "class is likelier, the label is among the least likely ones of its class, and among those that the "
    "other class surpasses most. How many each class and each pair of classes gets is the estimated number "
    "of wrong labels in it.",
    "The score is the predicted probability of the label: 0 is surely wrong, 1 surely right. Another class "
    "is suggested where it is 20 times as likely and above 90 %; a drop, where it is 20 times as likely and "
    "less sure (where that would drop more than 5 % of the images, 50 % is enough). All others are kept. A "
    "weak network finds issues in many right labels: the accuracy above tells how far to trust it. Below "
    "85 % the share of wrong labels cannot be told, because the network's own errors look the same; below "
    "50 % no action is suggested. Hard and rare images are listed most often, and they are worth keeping.",
    "Relabel or drop validation images only for what you see in them. Without the hard ones the score is "
    "better, but the network is not.",
)


def clean_page(result: CleanResult, out: Path) -> str:
    """The page as HTML.

    Args:
        result: The result of a clean.
        out: The folder that holds clean.csv, for the command that applies it.
    """
    counts = result.action_counts()
    numbers: list[tuple[str, str]] = []
    if result.accuracy is not None:
        numbers.append((f"{result.accuracy:.1f} %", "accuracy, by networks not trained on these images"))
    if result.wrong_percent is not None:
        numbers.append((f"{result.wrong_percent:.1f} %", "wrong labels, estimated"))
    numbers += [(f"{counts['relabel']:,}", "relabel suggested"), (f"{counts['drop']:,}", "drop suggested")]
    estimate = f"{result.estimate[0].upper()}{result.estimate[1:]}." if result.estimate else ""
    notes = Text(tuple(filter(None, (estimate, "; ".join(result.notes) + "."))))
    sections = [
        Section("Findings", (Numbers(tuple(numbers)), notes, _apply_command(out))),
        *_label_issues(result),
        *(_other_finding(result, kind) for kind in _OTHER_FINDINGS if result.findings[kind]),
        *_classes(result),
        Section("How to read this page", (Text(_EXPLANATION),)),
    ]
    lead = (
        f"For {counts['relabel'] + counts['drop']:,} of {quantity(len(result.images), 'image')} a change is "
        "suggested. You decide, in the column action of clean.csv."
    )
    footer = f"Written by residua {__version__}; no image was changed, moved or deleted."
    name = PurePath(result.source).name or result.source
    return render(Page(f"Cleaning of {name}", lead, tuple(sections), footer))


def _apply_command(out: Path) -> Part:
    command = f"residua data apply {quote(str(out / 'clean.csv'))} -o manifest.csv"
    return Code(
        command, "After editing the column action (manifest.csv must be in a folder above the images):"
    )


def _label_issues(result: CleanResult) -> Iterator[Section]:
    if result.confidence is None:
        return
    issues = result.findings["label"]
    if not issues:
        yield Section("Label issues: none", (Text(("No prediction contradicts a label with confidence.",)),))
        return
    pictures = tuple(p for index in issues[:MAX_ISSUES] for p in _picture(result, index, first_reason=True))
    caption = f"{_limit_note(len(issues), MAX_ISSUES)}Label → suggestion, the least probable label first."
    yield Section(f"Label issues: {len(issues):,}", (Pictures(pictures, caption),))


def _other_finding(result: CleanResult, kind: str) -> Section:
    title, explanation = _OTHER_FINDINGS[kind]
    indices = tuple(dict.fromkeys(result.findings[kind]))
    caption = f"{_limit_note(len(indices), MAX_OTHERS)}{explanation}"
    part: Part
    if kind == "unreadable":
        rows = tuple((result.rows[i].path, result.rows[i].reason) for i in indices[:MAX_OTHERS])
        part = Table(("file", "reason"), rows, caption)
    else:
        part = Pictures(tuple(p for i in indices[:MAX_OTHERS] for p in _picture(result, i)), caption)
    return Section(f"{title}: {len(result.findings[kind]):,}", (part,))


def _limit_note(count: int, limit: int) -> str:
    return f"{limit} of {count:,} are shown; clean.csv lists all. " if count > limit else ""


def _picture(result: CleanResult, index: int, *, first_reason: bool = False) -> Iterator[Picture]:
    row = result.rows[index]
    title = f"{row.label} → {row.suggested}" if row.suggested != row.label else row.label
    reason = row.reason.partition("; ")[0] if first_reason else row.reason
    action = f"{row.action} · validation" if result.is_val(index) else row.action
    lines = tuple(filter(None, (PurePath(row.path).stem, reason, action)))
    try:
        image = result.images.image(index, "rgb", lambda size: min(size) // THUMBNAIL_SIDE)
    except DataError:  # it was readable a minute ago; the page continues without it
        return
    image.thumbnail((THUMBNAIL_SIDE, THUMBNAIL_SIDE))
    yield Picture(np.asarray(image), title, lines)


def _classes(result: CleanResult) -> Iterator[Section]:
    summaries = result.class_summaries()
    if not summaries:
        return
    rows = tuple(
        (each.name, f"{each.images:,}", *each.wrong_cells, f"{each.issues:,}", each.confused_with)
        for each in summaries[:MAX_CLASSES]
    )
    total = len(summaries)
    caption = (
        f"{MAX_CLASSES} of {total:,} classes, those with most label noise first."
        if total > MAX_CLASSES
        else ""
    )
    estimate = ("wrong labels, estimated",) * len(summaries[0].wrong_cells)
    head = ("class", "images", *estimate, "label issues", "mostly confused with")
    numeric = tuple(range(1, len(head) - 1))
    yield Section("The classes", (Table(head, rows, caption, numeric=numeric),))
