"""The pages of an evaluation and of a comparison: one HTML file each, that a stranger can read offline."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from residua.jobs.compare import Pair
from residua.jobs.evaluate import Found
from residua.measure.calibration import Reliability, Temperature, reliability, temperature
from residua.measure.compare import changed
from residua.measure.score import Estimate, Score
from residua.measure.views import SAID
from residua.report.page import (
    Code,
    Figure,
    Numbers,
    Page,
    Part,
    Picture,
    Pictures,
    Section,
    Table,
    Text,
    render,
)
from residua.report.plots import Range, Series, plot, ranges
from residua.tasks.classify.pages import WORST, errors, picture, shown
from residua.training.run import write
from residua.version import __version__

EXACT = 10_000
"""Images from which on a second decimal of a percentage means anything."""
MOST_CHANGED = 24
"""Pictures shown of those on which two networks disagree."""


def write_evaluation(out: Path, found: Sequence[Found], *, command: str) -> None:
    """Write the page of `found` to `out`: every score, then the first one's answers in detail."""
    first = found[0]
    lead = f"{first.score.n:,} {first.images.gate.noun}s ({first.score.split}), {SAID[first.score.views]}."
    sections = [
        Section("Result", (_numbers(first.score), *_all_scores(found))),
        Section("Does it know what it knows?", _calibration(first)),
        Section("Where it errs", (*errors(first.images, first.judgement), _surprising(first))),
        Section("How it was measured", (_protocol(found), Code(command, "Measure it again:"))),
    ]
    page = Page(
        f"{Path(first.name).name} judged", lead, tuple(sections), f"Written by residua {__version__}."
    )
    write(out, render(page))


def write_comparison(out: Path, pairs: Sequence[Pair], *, command: str) -> None:
    """Write the page of `pairs` to `out`: differences, what may be chance, and the images that changed."""
    first = pairs[0].first
    scores = [first, *(pair.second for pair in pairs)]
    lead = (
        f"{len(scores)} networks on the same {first.score.n:,} images ({first.score.split}), "
        f"{SAID[first.score.views]}. Each is held against the first, image by image."
    )
    sections = [
        Section("Result", (_differences(pairs), _pairs_table(pairs), Text((_reading(pairs),)))),
        Section("Each alone", _all_scores(scores)),
        *(Section(f"What {_short(pair.second)} sees otherwise", (_changed(pair),)) for pair in pairs),
        Section("How it was measured", (_protocol([first]), Code(command, "Measure it again:"))),
    ]
    names = " and ".join(_short(one) for one in scores)
    write(out, render(Page(f"{names} compared", lead, tuple(sections), f"Written by residua {__version__}.")))


def said(estimate: Estimate | None, *, places: int = 2) -> str:
    """`92.50 (90.10 to 94.30)`, or a dash where there is none."""
    if estimate is None:
        return "–"
    value, low, high = (f"{number:.{places}f}" for number in (estimate.value, *estimate.interval))
    return f"{value} ({low} to {high})".replace("-", "−")


def chance(p: float) -> str:
    """A p-value as it is printed: `0.031`, `< 0.0001`."""
    return "< 0.0001" if p < 1e-4 else f"{p:.2g}"


def _short(found: Found) -> str:
    return Path(found.name).name


def _numbers(score: Score) -> Numbers:
    low, high = score.interval
    items = [(f"{score.top1:.2f} %", f"top-1 accuracy, 95 % interval {low:.2f} to {high:.2f}")]
    if score.top5:
        items.append((f"{score.top5.value:.2f} %", "top-5 accuracy"))
    if score.macro:
        items.append((f"{score.macro.value:.2f} %", "mean over classes"))
    if score.ece:
        items.append((f"{score.ece.value:.2f}", "expected calibration error, in percentage points"))
    return Numbers(tuple(items))


def _all_scores(found: Sequence[Found]) -> tuple[Part, ...]:
    """Every score: drawn where there are several, then in two tables that a page can hold."""
    names = _labels(found)
    scores = [one.score for one in found]
    many = f"n = {scores[0].n:,} images, weights: {', '.join(dict.fromkeys(s.weights for s in scores))}"
    digits = 2 if scores[0].n >= EXACT else 1
    shares = tuple(
        (name, *(said(e, places=digits) for e in (Estimate(s.top1, s.interval), s.top5, s.macro)))
        for name, s in zip(names, scores, strict=True)
    )
    sureness = tuple(
        (name, said(s.loss, places=3), said(s.ece, places=digits))
        for name, s in zip(names, scores, strict=True)
    )
    head = ("", "top-1, %", "top-5, %", "mean over classes, %")
    tables = (
        Table(head, shares, f"Accuracy, with 95 % intervals. {many}.", numeric=(1, 2, 3)),
        Table(("", "loss, nats", "calibration error, points"), sureness, "Certainty.", numeric=(1, 2)),
    )
    if len(found) < 2:
        return tables
    rows = [Range(n, s.top1, *s.interval, f"{s.top1:.2f} %") for n, s in zip(names, scores, strict=True)]
    best = max(range(len(scores)), key=lambda place: scores[place].top1)
    says = f"Best: {scores[best].top1:.2f} %, {names[best]}."
    caption = "Top-1 accuracy with 95 % intervals (Wilson 1927)."
    return (Figure(ranges(tuple(rows), unit="top-1 accuracy (%)"), caption, says), *tables)


def _labels(found: Sequence[Found]) -> list[str]:
    """What tells scores apart: the network, the views, or both."""
    names = [_short(one) if " + " not in one.name else "all together" for one in found]
    views = [one.score.views for one in found]
    if len(set(names)) == 1:
        return views
    return names if len(set(views)) == 1 else [f"{n}, {v}" for n, v in zip(names, views, strict=True)]


def _calibration(found: Found) -> tuple[Part, ...]:
    seen = reliability(found.judgement.probabilities, found.judgement.labels)
    heat = temperature(found.judgement.probabilities, found.judgement.labels)
    caption = (
        "Bins of confidence against the share of their images that are right. On the dashed line the network "
        "is as sure as it is right; below it, too sure. The larger a dot, the more images it stands for."
    )
    says = f"Reliability diagram: expected calibration error {seen.ece.value:.2f} percentage points."
    parts: list[Part] = [Figure(reliability_diagram(seen), caption, says)]
    if heat:
        parts.append(Text((heat_sentence(heat),)))
    return tuple(parts)


def reliability_diagram(seen: Reliability) -> str:
    """Accuracy over confidence, one dot a bin, beside the line of those who know what they know."""
    guide = Series("", ((0.0, 0.0), (100.0, 100.0)), "guide")
    points = tuple(zip(seen.confidence, seen.accuracy, strict=True))
    dots = Series("", points, "dots", areas=tuple(map(float, seen.count)))
    return plot((dots, guide), x="confidence (%)", y="right (%)", until=(100.0, 100.0))


def heat_sentence(heat: Temperature) -> str:
    """What the temperature is, and what it mends, in a sentence."""
    mood = "the network was too sure" if heat.value > 1 else "the network was not sure enough"
    if heat.loss_after >= heat.loss_before:
        mood = "nothing is gained, so these images do not tell that it is badly calibrated"
    return (
        f"Logits divided by {heat.value:.2f}, a temperature fitted on one half of the images, change the "
        f"loss of the other {heat.n:,} from {heat.loss_before:.3f} to {heat.loss_after:.3f} nats and their "
        f"calibration error from {heat.ece_before:.2f} to {heat.ece_after:.2f} points: {mood}. "
        "No answer changes, only how sure it sounds."
    )


def _surprising(found: Found) -> Pictures:
    worst = found.judgement.most_surprising(WORST)
    items = tuple(picture(found.images, int(i), found.judgement) for i in worst)
    return Pictures(items, "Most surprising: their own class was given the least probability.")


def _protocol(found: Sequence[Found]) -> Text:
    views = tuple(dict.fromkeys(one.score.views for one in found))
    lines = [f"{view}: {SAID[view]}." for view in views]
    network = (
        "Probabilities are averaged over views. Intervals are Wilson's for shares; for loss, mean over "
        "classes and calibration error, 1,000 resamples of the images."
    )
    return Text((" ".join(lines), network))


def _differences(pairs: Sequence[Pair]) -> Figure:
    rows = tuple(
        Range(_short(p.second), d.value, *d.interval, f"{d.value:+.2f}".replace("-", "−"))
        for p in pairs
        for d in (p.comparison.difference,)
    )
    drawn = ranges(rows, unit="difference of top-1 accuracy (points)", zero=True)
    caption = (
        f"Each minus {_short(pairs[0].first)}, with its 95 % interval by paired bootstrap over images. "
        "Right of zero is better."
    )
    return Figure(drawn, caption, "; ".join(f"{row.label} {row.said} points" for row in rows))


def _pairs_table(pairs: Sequence[Pair]) -> Table:
    rows = tuple(
        (
            _short(pair.second),
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
    caption = f"Against {_short(pairs[0].first)}. p: exact McNemar test on won and lost{many}."
    return Table(head, rows, caption, numeric=(1, 2, 3, 4, 5, 6))


def _reading(pairs: Sequence[Pair]) -> str:
    lines = []
    for pair in pairs:
        better, c = pair.comparison.difference.value > 0, pair.comparison
        if pair.p < 0.05:
            lines.append(f"{_short(pair.second)} is {'better' if better else 'worse'}, beyond chance.")
        else:
            lines.append(f"{_short(pair.second)} won {c.won:,} and lost {c.lost:,}: that may be chance.")
    tail = (
        "One run each: another seed of the same recipe may differ as much, which no test on images can see."
    )
    return " ".join([*lines, tail])


def _changed(pair: Pair) -> Part:
    one, two, images = pair.first.judgement, pair.second.judgement, pair.first.images
    places = changed(one, two)
    if not len(places):
        return Text(("Nothing: both say the same of every image.",))
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
        f"{len(items)} of {len(places):,} images" if len(items) < len(places) else f"{len(items)} images"
    )
    return Pictures(
        tuple(items), f"{shown_of} on which the two disagree; those that changed sides come first."
    )


def _answer(
    who: str, probabilities: "np.ndarray[tuple[int, ...], np.dtype[np.float32]]", classes: tuple[str, ...]
) -> str:
    best = int(probabilities.argmax())
    return f"{who} {classes[best]} ({100 * probabilities[best]:.0f}\N{NO-BREAK SPACE}%)"
