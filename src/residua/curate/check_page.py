"""The contact sheet of a data set: what `check` found, with pictures, as one page that works offline."""

from collections.abc import Iterator
from pathlib import PurePath

import numpy as np
from numpy.typing import NDArray

from residua.curate.checked import Checked
from residua.errors import DataError
from residua.report.page import Figure, Numbers, Page, Part, Picture, Pictures, Section, Table, Text, render
from residua.report.training_figures import bars
from residua.tasks.survey import DataFinding
from residua.version import __version__

SIDE = 112
"""Longest side of a thumbnail of one frame, in pixels."""
MARKED = 3
"""How much longer it is where something is marked in the image."""
GROUPS, MEMBERS = 8, 3
"""Groups of alike images shown of one kind, and images of one group."""
SINGLES = 24
"""Images shown of one kind that stand alone."""
ROWS = 30
"""Names listed of one kind; the JSON has all."""
CHARTED = 60
"""Classes that get a bar; of more, the largest and smallest half are shown."""
SAMPLED = 50
"""Pictures in the sample of the classes."""


def sheet(checked: Checked) -> str:
    """The whole page as HTML."""
    total = len(checked.scan.facts)
    problems = sum(finding.level == "problem" for finding in checked.findings)
    notes = len(checked.findings) - problems
    classes = {name for split in checked.classes().values() for name in split}
    numbers = (
        (f"{total:,}", f"{checked.noun}s"),
        (f"{len(classes):,}", "classes"),
        (str(problems), "kind of problem" if problems == 1 else "kinds of problem"),
        (str(notes), "thing to know" if notes == 1 else "things to know"),
    )
    sections = [Section("What was found", (Numbers(numbers), *_overview(checked)))]
    sections += [_of(checked, finding) for finding in checked.findings if finding.groups or finding.names]
    sections.append(Section("The classes", tuple(_classes(checked))))
    sections.append(_sample(checked))
    sections.append(Section("The files", tuple(_files(checked))))
    found = "1 kind of problem was found" if problems == 1 else f"{problems} kinds of problem were found"
    said = found if problems else "no problem was found"
    counts = ", ".join(f"{len(images):,} in {images.name}" for images in checked.splits)
    splits = f" ({counts})" if len(checked.splits) > 1 else ""
    lead = f"{total:,} {checked.noun}s of {len(classes):,} classes{splits} were opened and compared; {said}."
    footer = f"Written by residua {__version__}; nothing was changed, moved or deleted."
    return render(Page(f"Data check of {_short(checked.source)}", lead, tuple(sections), footer))


def _overview(checked: Checked) -> Iterator[Part]:
    if not checked.findings:
        said = f"Nothing: every {checked.noun} was read, none comes twice, and none is in two splits."
        yield Text((said,))
        return
    rows = tuple(
        (finding.level, finding.what, f"{finding.count:,}", finding.cure) for finding in checked.findings
    )
    strong = tuple(place for place, finding in enumerate(checked.findings) if finding.level == "problem")
    yield Table(("", "what", "count", "what to do"), rows, numeric=(2,), strong=strong)


def _of(checked: Checked, finding: DataFinding) -> Section:
    title = f"{finding.what[0].upper()}{finding.what[1:]}: {finding.count:,}"
    if finding.key in ("unreadable", "empty"):
        return Section(title, (_reasons(checked, finding), Text((_sentence(finding.cure),))))
    if finding.key == "metadata":
        return Section(title, tuple(_metadata(checked, finding)))
    if finding.names:
        rows = tuple((name,) for name in finding.names[:ROWS])
        return Section(
            title, (Table(("name",), rows, _more(finding.count, ROWS)), Text((_sentence(finding.cure),)))
        )
    pairs = len(finding.groups[0]) > 1
    shown = finding.groups[: GROUPS if pairs else SINGLES]
    pictures = tuple(
        picture
        for number, group in enumerate(shown, 1)
        for place in group[:MEMBERS]
        for picture in _picture(checked, place, f"group {number}" if pairs and len(shown) > 1 else "")
    )
    caption = " ".join([_more(finding.count, len(shown)), _sentence(finding.cure)]).strip()
    return Section(title, (Pictures(pictures, caption),))


def _sentence(said: str) -> str:
    """`said` with a capital and a full stop."""
    return f"{said[0].upper()}{said[1:]}."


def _more(count: int, shown: int) -> str:
    return f"{shown:,} of {count:,} are shown; --json lists all." if count > shown else ""


def _reasons(checked: Checked, finding: DataFinding) -> Table:
    places = [group[0] for group in finding.groups[:ROWS]]
    rows = tuple((checked.title(place), _why(checked, place)) for place in places)
    return Table(("file", "why"), rows, _more(finding.count, ROWS))


def _why(checked: Checked, place: int) -> str:
    """Why an image cannot be read, without its name, which stands beside."""
    _, name, why = checked.scan.reasons[place].partition(PurePath(checked.title(place)).name)
    return why.strip() if name else checked.scan.reasons[place]


def _metadata(checked: Checked, finding: DataFinding) -> Iterator[Part]:
    assert checked.metadata is not None
    found = checked.metadata
    rows = (
        ("a small tree that sees size, dimensions, format and camera", f"{found.accuracy:.1f} %"),
        ("always the commonest class", f"{found.baseline:.1f} %"),
    )
    yield Table(
        ("who guesses the class", "right"),
        rows,
        f"Five folds, {found.images:,} {checked.noun}s.",
        numeric=(1,),
    )
    yield Text((f"It looked most at: {', '.join(found.facts)}. {_sentence(finding.cure)}",))


def _picture(checked: Checked, place: int, group: str) -> Iterator[Picture]:
    images, i = checked.where(place)
    try:
        yield Picture(_thumb(checked, place), _name(images.title(i)), _lines(checked, place, group))
    except DataError:  # it was readable a minute ago; the page goes on without it
        return


def _lines(checked: Checked, place: int, group: str) -> tuple[str, ...]:
    fact = checked.scan.facts[place]
    size = f"{fact['width']} × {fact['height']} {fact['mode']}"
    split = checked.where(place)[0].name if len(checked.splits) > 1 else ""
    where = " · ".join(filter(None, [group, split]))
    return tuple(filter(None, [where, "" if checked.marks else checked.label(place), size]))


def _thumb(checked: Checked, place: int) -> NDArray[np.uint8]:
    images, i = checked.where(place)
    side = SIDE * (MARKED if checked.marks else images.gate.frames)
    image = images.image(i, "rgb", lambda size: min(size) // side)
    image.thumbnail((side, side))
    return np.asarray(checked.marks.drawn(place, image) if checked.marks else image)


def _classes(checked: Checked) -> Iterator[Part]:
    noun = checked.counted
    for split, held in checked.classes().items():
        ranked = sorted(held, key=lambda name: (-held[name], name))
        shown = ranked if len(ranked) <= CHARTED else [*ranked[: CHARTED // 2], *ranked[-CHARTED // 2 :]]
        caption = f"{noun.capitalize()} of each class in {split}, the largest first." + (
            f" {len(ranked) - len(shown):,} classes between them are left out."
            if len(shown) < len(ranked)
            else ""
        )
        drawn = bars(tuple(shown), tuple(float(held[name]) for name in shown), unit="")
        spoken = f"{ranked[0]} has {held[ranked[0]]:,} {noun}, {ranked[-1]} has {held[ranked[-1]]:,}."
        yield Figure(drawn, caption, spoken)


def _sample(checked: Checked) -> Section:
    """The first readable images of each class, spread over the classes."""
    images = checked.splits[0]
    classes = len(images.classes)
    each = max(1, min(5, SAMPLED // max(1, classes)))
    pictures: list[Picture] = []
    for label in np.linspace(0, classes - 1, min(classes, SAMPLED // each)).round().astype(int).tolist():
        members = np.flatnonzero((images.labels == label) & checked.scan.facts["readable"][: len(images)])
        for place in members[:each].tolist():
            size = checked.scan.facts[place]
            title = [*([] if checked.marks else [images.classes[label]]), _name(images.title(place))]
            lines = (*title[1:], f"{size['width']} × {size['height']}")
            pictures.append(Picture(_thumb(checked, place), title[0], lines))
    more = f" {classes - SAMPLED // each:,} classes are left out." if classes > SAMPLED // each else ""
    which = f"The first {checked.noun}s"
    if checked.marks:
        caption = f"{which} in {images.name}, with the {checked.marks.noun} that are marked in them."
        key = Figure(
            checked.marks.key,
            "Colours of the classes.",
            f"Colours of {', '.join(checked.classes()[images.name])}.",
        )
        return Section("A sample", (key, Pictures(tuple(pictures), caption)))
    caption = f"{which} of each class in {images.name}, as they are stored.{more}"
    return Section("A sample of every class", (Pictures(tuple(pictures), caption),))


def _files(checked: Checked) -> Iterator[Part]:
    facts = checked.scan.facts[checked.scan.facts["readable"]]
    if not len(facts):
        yield Text((f"No {checked.noun} can be read.",))
        return
    rows = [
        ("width, pixels", facts["width"]),
        ("height, pixels", facts["height"]),
        ("file, kB", facts["bytes"] / 1000),
    ]
    if (facts["bytes"] < 0).any():
        rows.pop()
    rows += [
        (what, facts[name])
        for what, name in (("frames", "frames"), ("frames a second", "rate"))
        if (facts[name] > 1).any()
    ]
    quantiles = tuple(
        (name, *(f"{q:,.0f}" for q in np.quantile(v, (0, 0.05, 0.5, 0.95, 1)))) for name, v in rows
    )
    head = ("", "least", "5 %", "median", "95 %", "most")
    yield Table(head, quantiles, f"Sizes of the {checked.noun}s that can be read.", numeric=(1, 2, 3, 4, 5))
    kinds = [f"{kind} {mode}".strip() for kind, mode in zip(facts["kind"], facts["mode"], strict=True)]
    names, counts = np.unique(kinds, return_counts=True)
    order = np.argsort(-counts, kind="stable")[:ROWS]
    listed = tuple((str(names[k]), f"{counts[k]:,}") for k in order)
    yield Table(("format and mode", f"{checked.noun}s"), listed, "How pixels are stored.", numeric=(1,))


def _name(title: str) -> str:
    """The last part of a path: its folder is the class, which stands beside."""
    return _short(PurePath(title).name, 40)


def _short(text: str, most: int = 60) -> str:
    """`text` with its middle left out where it is long: the end of a path says most."""
    return text if len(text) <= most else f"{text[: most // 3]}…{text[-(2 * most // 3) :]}"
