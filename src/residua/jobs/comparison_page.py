"""The page of a comparison: one HTML file without links."""

from collections.abc import Sequence
from pathlib import Path

from residua.files import write_file
from residua.jobs.compare import Pair
from residua.measure.compare import changed
from residua.measure.evaluation import Evaluation
from residua.measure.views import VIEW_TEXTS
from residua.report.bars import IntervalRow, interval_chart
from residua.report.page import Code, Figure, Page, Part, Picture, Pictures, Section, Table, Text, render
from residua.report.run_page import comparison_title
from residua.spec.amount import quantity
from residua.tasks.classify.evaluations import format_estimate, protocol_text, score_parts, short_name
from residua.tasks.classify.pages import thumbnail
from residua.version import __version__

MAX_PICTURES = 24
"""Most pictures of examples that two networks predict differently."""


def write_comparison(out: Path, pairs: Sequence[Pair], *, command: str) -> None:
    """Write the page of a comparison.

    Args:
        out: The HTML file.
        pairs: From `compare`.
        command: Printed as the way to repeat the comparison.
    """
    first = pairs[0].first
    evaluations, noun = [first, *(pair.second for pair in pairs)], first.split.media_type.noun
    lead = (
        f"{len(evaluations)} networks on the same {quantity(first.score.n, noun)} ({first.score.split}), "
        f"{VIEW_TEXTS[first.protocol]}. Each is compared with the first, {noun} by {noun}."
    )
    sections = [
        Section("Result", (_differences(pairs), _pairs_table(pairs), Text((conclusions(pairs),)))),
        Section("Each alone", score_parts(evaluations)),
        *(
            Section(f"What {short_name(pair.second)} predicts differently", (_changed(pair),))
            for pair in pairs
        ),
        Section("How it was measured", (protocol_text([first]), Code(command, "Measure it again:"))),
    ]
    title = comparison_title([one.network for one in evaluations])
    footer = f"Written by residua {__version__}."
    write_file(out, render(Page(title, lead, tuple(sections), footer)))


def format_p(p: float) -> str:
    """A p-value as it is printed: `0.031`, `< 0.0001`."""
    return "< 0.0001" if p < 1e-4 else f"{p:.2g}"


def _differences(pairs: Sequence[Pair]) -> Figure:
    rows = tuple(
        IntervalRow(short_name(p.second), d.value, *d.interval, f"{d.value:+.2f}".replace("-", "−"))
        for p in pairs
        for d in (p.comparison.difference,)
    )
    chart = interval_chart(rows, unit="difference of top-1 accuracy (points)", zero=True)
    caption = (
        f"Each minus {short_name(pairs[0].first)}, with its 95 % interval by paired bootstrap over "
        f"{pairs[0].first.split.media_type.noun}s. Right of zero is better."
    )
    return Figure(chart, caption, "; ".join(f"{row.label} {row.text} points" for row in rows))


def _pairs_table(pairs: Sequence[Pair]) -> Table:
    rows = tuple(
        (
            short_name(pair.second),
            format_estimate(pair.comparison.difference),
            f"{pair.comparison.wins:,}",
            f"{pair.comparison.losses:,}",
            f"{pair.comparison.both:,}",
            f"{pair.comparison.neither:,}",
            format_p(pair.p),
        )
        for pair in pairs
    )
    head = ("network", "difference, points", "won", "lost", "right in both", "wrong in both", "p")
    many = ", corrected for the number of pairs (Holm 1979)" if len(pairs) > 1 else ""
    caption = f"Against {short_name(pairs[0].first)}. p: exact McNemar test on won and lost{many}."
    return Table(head, rows, caption, numeric=(1, 2, 3, 4, 5, 6))


def conclusions(pairs: Sequence[Pair]) -> str:
    """What follows from the tests of `pairs`, and what does not, in sentences."""
    lines = []
    for pair in pairs:
        is_better, c = pair.comparison.difference.value > 0, pair.comparison
        name = short_name(pair.second)
        if pair.p < 0.05:
            lines.append(f"{name} is {'better' if is_better else 'worse'}, beyond chance.")
        else:
            lines.append(f"{name} won {c.wins:,} and lost {c.losses:,}: that may be chance.")
    tail = (
        "One run each: another seed of the same recipe may differ as much, which no test on "
        f"{pairs[0].first.split.media_type.noun}s can show."
    )
    return " ".join([*lines, tail])


def _changed(pair: Pair) -> Part:
    one, two, split = pair.first, pair.second, pair.first.split
    indices = changed(one, two)
    noun = split.media_type.noun
    if not len(indices):
        return Text((f"Nothing: both predict the same class for every {noun}.",))
    items = []
    for i in indices[:MAX_PICTURES].tolist():
        label = f"label {split.classes[one.labels[i]]}"
        lines = (label, f"first {_prediction(one, i)}", f"now {_prediction(two, i)}")
        is_right = bool(two.predicted[i] == one.labels[i])
        items.append(Picture(thumbnail(split, i), split.title(i), lines, is_right))
    count = f"{len(items)} of " if len(items) < len(indices) else ""
    caption = (
        f"{count}{quantity(len(indices), noun)} on which the two disagree; those "
        "that only one of them gets right come first."
    )
    return Pictures(tuple(items), caption)


def _prediction(evaluation: Evaluation, i: int) -> str:
    """The predicted class of example `i` with its probability."""
    name = evaluation.split.classes[evaluation.predicted[i]]
    return f"{name} ({100 * evaluation.probabilities[i].max():.0f}\N{NO-BREAK SPACE}%)"
