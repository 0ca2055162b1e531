"""The page of a comparison: one HTML file that a stranger can read offline."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from residua.jobs.compare import Pair
from residua.measure.compare import changed
from residua.measure.views import SAID
from residua.report.page import Code, Figure, Page, Part, Picture, Pictures, Section, Table, Text, render
from residua.report.plots import Range, ranges
from residua.runs.run import write
from residua.tasks.classify.pages import shown
from residua.tasks.classify.verdict import all_scores, protocol, said, short
from residua.version import __version__

MOST_CHANGED = 24
"""Pictures shown of those on which two networks disagree."""


def write_comparison(out: Path, pairs: Sequence[Pair], *, command: str) -> None:
    """Write the page of `pairs` to `out`: differences, what may be chance, and the images that changed."""
    first = pairs[0].first
    scores, noun = [first, *(pair.second for pair in pairs)], first.images.media_type.noun
    lead = (
        f"{len(scores)} networks on the same {first.score.n:,} {noun}s ({first.score.split}), "
        f"{SAID[first.score.views]}. Each is held against the first, {noun} by {noun}."
    )
    sections = [
        Section("Result", (_differences(pairs), _pairs_table(pairs), Text((_reading(pairs),)))),
        Section("Each alone", all_scores(scores)),
        *(Section(f"What {short(pair.second)} sees otherwise", (_changed(pair),)) for pair in pairs),
        Section("How it was measured", (protocol([first]), Code(command, "Measure it again:"))),
    ]
    names = " and ".join(short(one) for one in scores)
    write(out, render(Page(f"{names} compared", lead, tuple(sections), f"Written by residua {__version__}.")))


def chance(p: float) -> str:
    """A p-value as it is printed: `0.031`, `< 0.0001`."""
    return "< 0.0001" if p < 1e-4 else f"{p:.2g}"


def _differences(pairs: Sequence[Pair]) -> Figure:
    rows = tuple(
        Range(short(p.second), d.value, *d.interval, f"{d.value:+.2f}".replace("-", "−"))
        for p in pairs
        for d in (p.comparison.difference,)
    )
    drawn = ranges(rows, unit="difference of top-1 accuracy (points)", zero=True)
    caption = (
        f"Each minus {short(pairs[0].first)}, with its 95 % interval by paired bootstrap over "
        f"{pairs[0].first.images.media_type.noun}s. Right of zero is better."
    )
    return Figure(drawn, caption, "; ".join(f"{row.label} {row.said} points" for row in rows))


def _pairs_table(pairs: Sequence[Pair]) -> Table:
    rows = tuple(
        (
            short(pair.second),
            said(pair.comparison.difference),
            f"{pair.comparison.won:,}",
            f"{pair.comparison.lost:,}",
            f"{pair.comparison.both:,}",
            f"{pair.comparison.neither:,}",
            chance(pair.p),
        )
        for pair in pairs
    )
    head = ("network", "difference, points", "won", "lost", "right in both", "wrong in both", "p")
    many = ", raised for the number of pairs (Holm 1979)" if len(pairs) > 1 else ""
    caption = f"Against {short(pairs[0].first)}. p: exact McNemar test on won and lost{many}."
    return Table(head, rows, caption, numeric=(1, 2, 3, 4, 5, 6))


def _reading(pairs: Sequence[Pair]) -> str:
    lines = []
    for pair in pairs:
        better, c = pair.comparison.difference.value > 0, pair.comparison
        if pair.p < 0.05:
            lines.append(f"{short(pair.second)} is {'better' if better else 'worse'}, beyond chance.")
        else:
            lines.append(f"{short(pair.second)} won {c.won:,} and lost {c.lost:,}: that may be chance.")
    tail = (
        "One run each: another seed of the same recipe may differ as much, which no test on "
        f"{pairs[0].first.images.media_type.noun}s can see."
    )
    return " ".join([*lines, tail])


def _changed(pair: Pair) -> Part:
    one, two, images = pair.first.judgement, pair.second.judgement, pair.first.images
    places = changed(one, two)
    noun = images.media_type.noun
    if not len(places):
        return Text((f"Nothing: both say the same of every {noun}.",))
    items = []
    for i in places[:MOST_CHANGED].tolist():
        lines = tuple(
            _answer(name, judged.probabilities[i], images.classes)
            for name, judged in (("first", one), ("now", two))
        )
        good = bool(two.guesses[i] == one.labels[i])
        label = f"is {images.classes[one.labels[i]]}"
        items.append(Picture(shown(images, i), images.title(i), (label, *lines), good))
    shown_of = (
        f"{len(items)} of {len(places):,} {noun}s" if len(items) < len(places) else f"{len(items)} {noun}s"
    )
    return Pictures(
        tuple(items), f"{shown_of} on which the two disagree; those that changed sides come first."
    )


def _answer(
    who: str, probabilities: "np.ndarray[tuple[int, ...], np.dtype[np.float32]]", classes: tuple[str, ...]
) -> str:
    best = int(probabilities.argmax())
    return f"{who} {classes[best]} ({100 * probabilities[best]:.0f}\N{NO-BREAK SPACE}%)"
