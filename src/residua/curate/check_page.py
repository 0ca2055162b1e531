"""The contact sheet of a dataset: the findings of `check` with thumbnails, as one page that works offline."""

from collections.abc import Iterator
from pathlib import PurePath

import numpy as np
from numpy.typing import NDArray

from residua.curate.check import DataCheck
from residua.errors import DataError
from residua.report.bars import bar_chart
from residua.report.page import Figure, Numbers, Page, Part, Picture, Pictures, Section, Table, Text, render
from residua.spec.amount import plural, quantity
from residua.tasks.survey import DataFinding
from residua.version import __version__

THUMBNAIL_SIDE = 112
"""Longest side of a thumbnail of one frame, in pixels."""
ANNOTATED_FACTOR = 3
"""How much longer it is where boxes are drawn on the image."""
MAX_GROUPS, MAX_MEMBERS = 8, 3
"""Groups of duplicates shown for one finding, and images of one group."""
MAX_SINGLES = 24
"""Images shown for a finding of single images."""
MAX_ROWS = 30
"""Names listed for one finding; the JSON has all."""
MAX_BARS = 60
"""Classes that get a bar; of more, the largest and the smallest half are shown."""
MAX_SAMPLES = 50
"""Images in the sample of the classes."""


def contact_sheet(check: DataCheck) -> str:
    """The page as HTML."""
    total = len(check.scan.facts)
    problems = sum(finding.level == "problem" for finding in check.findings)
    notes = len(check.findings) - problems
    classes = {name for split in check.class_counts().values() for name in split}
    numbers = (
        (f"{total:,}", plural(total, check.noun)),
        (f"{len(classes):,}", plural(len(classes), "class")),
        (str(problems), f"{plural(problems, 'kind')} of problem"),
        (str(notes), plural(notes, "note")),
    )
    sections = [Section("Findings", (Numbers(numbers), *_overview(check)))]
    sections += [_section(check, finding) for finding in check.findings if finding.groups or finding.names]
    sections.append(Section("The classes", tuple(_class_charts(check))))
    sections.append(_sample(check))
    sections.append(Section("The files", tuple(_file_tables(check))))
    summary = f"{quantity(problems, 'kind')} of problem found" if problems else "no problem found"
    counts = ", ".join(f"{len(images):,} in {images.name}" for images in check.splits)
    splits = f" ({counts})" if len(check.splits) > 1 else ""
    lead = (
        f"{quantity(total, check.noun)} of {quantity(len(classes), 'class')}{splits}: "
        f"opened and compared, {summary}."
    )
    footer = f"Written by residua {__version__}; no file was changed, moved or deleted."
    name = PurePath(check.source).name or check.source
    return render(Page(f"Data check of {name}", lead, tuple(sections), footer))


def _overview(check: DataCheck) -> Iterator[Part]:
    if not check.findings:
        yield Text(
            (f"Nothing: every {check.noun} is readable; there are no duplicates and no data leakage.",)
        )
        return
    rows = tuple(
        (finding.level, finding.what, f"{finding.count:,}", finding.cure) for finding in check.findings
    )
    problems = tuple(i for i, finding in enumerate(check.findings) if finding.level == "problem")
    yield Table(("level", "what", "count", "what to do"), rows, numeric=(2,), strong=problems)


def _section(check: DataCheck, finding: DataFinding) -> Section:
    title = f"{finding.what[0].upper()}{finding.what[1:]}: {finding.count:,}"
    cure = _sentence(finding.cure)
    if finding.key in ("unreadable", "empty"):
        return Section(title, (_reasons(check, finding), Text((cure,))))
    if finding.key == "metadata":
        return Section(title, tuple(_metadata(check, finding)))
    if finding.names:
        rows = tuple((name,) for name in finding.names[:MAX_ROWS])
        table = Table(("name",), rows, _limit_note(finding.count, MAX_ROWS))
        return Section(title, (table, Text((cure,))))
    is_grouped = len(finding.groups[0]) > 1
    groups = finding.groups[: MAX_GROUPS if is_grouped else MAX_SINGLES]
    pictures = tuple(
        picture
        for number, group in enumerate(groups, 1)
        for index in group[:MAX_MEMBERS]
        for picture in _picture(check, index, f"group {number}" if is_grouped and len(groups) > 1 else "")
    )
    caption = " ".join([_limit_note(finding.count, len(groups)), cure]).strip()
    return Section(title, (Pictures(pictures, caption),))


def _sentence(text: str) -> str:
    return f"{text[0].upper()}{text[1:]}."


def _limit_note(count: int, limit: int) -> str:
    return f"{limit:,} of {count:,} are shown; --json lists all." if count > limit else ""


def _reasons(check: DataCheck, finding: DataFinding) -> Table:
    indices = [group[0] for group in finding.groups[:MAX_ROWS]]
    rows = tuple((check.title(index), _reason(check, index)) for index in indices)
    return Table(("file", "reason"), rows, _limit_note(finding.count, MAX_ROWS))


def _reason(check: DataCheck, index: int) -> str:
    """Why an image cannot be read, without the file name that the message begins with."""
    _, name, reason = check.scan.reasons[index].partition(PurePath(check.title(index)).name)
    return reason.strip() if name else check.scan.reasons[index]


def _metadata(check: DataCheck, finding: DataFinding) -> Iterator[Part]:
    assert check.metadata is not None
    leak = check.metadata
    rows = (
        ("a small decision tree on file size, dimensions, format and camera", f"{leak.accuracy:.1f} %"),
        ("always the commonest class", f"{leak.baseline:.1f} %"),
    )
    caption = f"Five-fold cross-validation on {quantity(leak.images, check.noun)}."
    yield Table(("prediction", "accuracy"), rows, caption, numeric=(1,))
    yield Text((f"Most important to the tree: {', '.join(leak.facts)}. {_sentence(finding.cure)}",))


def _picture(check: DataCheck, index: int, group: str) -> Iterator[Picture]:
    images, i = check.locate(index)
    try:
        yield Picture(_thumbnail(check, index), _file_name(images.title(i)), _lines(check, index, group))
    except DataError:  # it was readable a minute ago; the page continues without it
        return


def _lines(check: DataCheck, index: int, group: str) -> tuple[str, ...]:
    fact = check.scan.facts[index]
    size = f"{fact['width']} × {fact['height']} {fact['mode']}"
    split = check.locate(index)[0].name if len(check.splits) > 1 else ""
    where = " · ".join(filter(None, [group, split]))
    return tuple(filter(None, [where, "" if check.marks else check.label(index), size]))


def _thumbnail(check: DataCheck, index: int) -> NDArray[np.uint8]:
    images, i = check.locate(index)
    side = THUMBNAIL_SIDE * (ANNOTATED_FACTOR if check.marks else images.media_type.frames_per_picture)
    image = images.image(i, "rgb", lambda size: min(size) // side)
    image.thumbnail((side, side))
    return np.asarray(check.marks.draw(index, image) if check.marks else image)


def _class_charts(check: DataCheck) -> Iterator[Part]:
    noun = check.counted_noun
    for split, counts in check.class_counts().items():
        ranked = sorted(counts, key=lambda name: (-counts[name], name))
        half = MAX_BARS // 2
        names = ranked if len(ranked) <= MAX_BARS else [*ranked[:half], *ranked[-half:]]
        caption = f"{noun.capitalize()} of each class in {split}, the largest first."
        if len(names) < len(ranked):
            caption += f" {quantity(len(ranked) - len(names), 'class')} in the middle left out."
        chart = bar_chart(tuple(names), tuple(float(counts[name]) for name in names), unit="")
        first, last = ranked[0], ranked[-1]
        alternative = f"{first} has {counts[first]:,} {noun}, {last} has {counts[last]:,}."
        yield Figure(chart, caption, alternative)


def _sample(check: DataCheck) -> Section:
    """The first readable images of each class, spread over the classes."""
    images, facts = check.splits[0], check.scan.facts
    classes = len(images.classes)
    per_class = max(1, min(5, MAX_SAMPLES // max(1, classes)))
    sampled = min(classes, MAX_SAMPLES // per_class)
    pictures: list[Picture] = []
    for label in np.linspace(0, classes - 1, sampled).round().astype(int).tolist():
        members = np.flatnonzero((images.labels == label) & facts["readable"][: len(images)])
        for index in members[:per_class].tolist():
            size = f"{facts[index]['width']} × {facts[index]['height']}"
            name = _file_name(images.title(index))
            title, lines = (name, (size,)) if check.marks else (images.classes[label], (name, size))
            pictures.append(Picture(_thumbnail(check, index), title, lines))
    if check.marks:
        legend = Figure(
            check.marks.key,
            "Colours of the classes.",
            f"Colours of {', '.join(check.class_counts()[images.name])}.",
        )
        caption = f"The first {check.noun}s in {images.name}, with their annotated {check.marks.noun}."
        return Section("A sample", (legend, Pictures(tuple(pictures), caption)))
    left_out = f" {quantity(classes - sampled, 'class')} left out." if classes > sampled else ""
    caption = f"The first {check.noun}s of each class in {images.name}, as they are stored.{left_out}"
    return Section("A sample of every class", (Pictures(tuple(pictures), caption),))


def _file_tables(check: DataCheck) -> Iterator[Part]:
    facts = check.scan.facts[check.scan.facts["readable"]]
    if not len(facts):
        yield Text((f"No {check.noun} can be read.",))
        return
    columns = [("width, pixels", facts["width"]), ("height, pixels", facts["height"])]
    if (facts["bytes"] >= 0).all():
        columns.append(("file, kB", facts["bytes"] / 1000))
    for what, name in (("frames", "frames"), ("frames a second", "rate")):
        if (facts[name] > 1).any():
            columns.append((what, facts[name]))
    quantiles = tuple(
        (what, *(f"{q:,.0f}" for q in np.quantile(values, (0, 0.05, 0.5, 0.95, 1))))
        for what, values in columns
    )
    head = ("size", "minimum", "5 %", "median", "95 %", "maximum")
    yield Table(head, quantiles, f"Sizes of the readable {check.noun}s.", numeric=(1, 2, 3, 4, 5))
    kinds = [f"{kind} {mode}".strip() for kind, mode in zip(facts["kind"], facts["mode"], strict=True)]
    names, counts = np.unique(kinds, return_counts=True)
    order = np.argsort(-counts, kind="stable")[:MAX_ROWS]
    rows = tuple((str(names[k]), f"{counts[k]:,}") for k in order)
    yield Table(("format and mode", f"{check.noun}s"), rows, "How pixels are stored.", numeric=(1,))


def _file_name(title: str) -> str:
    """The last part of a path."""
    return PurePath(title).name
