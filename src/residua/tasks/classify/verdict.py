"""The verdict on networks that name classes: as a table, as JSON, and as a page for strangers offline."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from residua.measure.calibration import Reliability, Temperature, reliability, temperature
from residua.measure.score import Estimate, Score
from residua.measure.views import SAID
from residua.report.page import (
    Code,
    Figure,
    Numbers,
    Page,
    Part,
    Pictures,
    Section,
    Table,
    Text,
    render,
)
from residua.report.plots import Range, Series, plot, ranges
from residua.spec.record import to_plain
from residua.tasks.classify.answers import Named, of_judgement
from residua.tasks.classify.found import Found
from residua.tasks.classify.pages import WORST, errors, picture
from residua.tasks.kind import Told
from residua.version import __version__

EXACT = 10_000
"""Images from which on a second decimal of a percentage means anything."""


@dataclass(frozen=True, eq=False, slots=True)
class ByClass:
    """What networks that name classes said: `residua.tasks.kind.Verdict` says what each method is for."""

    found: tuple[Found, ...]
    """Network after network, each under one protocol after the other."""

    def onward(self, path: Path) -> tuple[str, ...]:
        """Naming other examples, and a comparison."""
        wanted = "VIDEO --timeline t.html" if self.found[0].score.clip else "IMAGE"
        return f"residua predict {path} {wanted}", f"residua compare {path} OTHER"

    @property
    def scores(self) -> list[Score]:
        """Numbers with their protocols, network after network."""
        return [one.score for one in self.found]

    def told(self) -> Told:
        """A row for each score; what their views show below."""
        several = len({one.name for one in self.found}) > 1
        rows = tuple((*((one.name,) if several else ()), *_row(one.score)) for one in self.found)
        noun = f"{self.found[0].images.gate.noun}s"
        head = ("views", noun, "weights", "n", "top-1", "95 % interval", "top-5", "mean over classes", "ECE")
        views = dict.fromkeys(one.score.views for one in self.found)
        clips = dict.fromkeys(f"{s.views}: {s.clip}" for s in self.scores if s.clip)
        shown = "views: " + "; ".join(f"{view} = {SAID[view]}" for view in views)
        return Told(("network", *head) if several else head, rows, 4 if several else 3, notes=(shown, *clips))

    def plain(self) -> list[dict[str, Any]]:
        """The scores as JSON values, each with the network's name as `run`."""
        return [{**to_plain(one.score), "run": one.name} for one in self.found]

    def answers(self, topk: int) -> Named:
        """What the first network said of every example: its `topk` likeliest classes."""
        return of_judgement(self.found[0].images, self.found[0].judgement, topk=topk)

    def page(self, command: str) -> str:
        """Every score, then the first one's answers in detail."""
        first = self.found[0]
        noun = first.images.gate.noun
        lead = f"{first.score.n:,} {noun}s ({first.score.split}), {SAID[first.score.views]}."
        sections = (
            Section("Result", (_numbers(self.found), *all_scores(self.found))),
            Section("Does it know what it knows?", _calibration(first)),
            Section("Where it errs", (*errors(first.images, first.judgement), _surprising(first))),
            Section("How it was measured", (protocol(self.found), Code(command, "Measure it again:"))),
        )
        footer = f"Written by residua {__version__}."
        return render(Page(f"{short(first)} judged", lead, sections, footer))


def said(estimate: Estimate | None, *, places: int = 2) -> str:
    """`92.50 (90.10 to 94.30)`, or a dash where there is none."""
    if estimate is None:
        return "–"
    value, low, high = (f"{number:.{places}f}" for number in (estimate.value, *estimate.interval))
    return f"{value} ({low} to {high})".replace("-", "−")


def short(found: Found) -> str:
    """The last part of its name."""
    return Path(found.name).name


def _row(score: Score) -> tuple[str, ...]:
    low, high = score.interval
    rest = zip((score.top5, score.macro, score.ece), (" %", " %", ""), strict=True)
    return (
        score.views,
        score.split,
        score.weights,
        f"{score.n:,}",
        f"{score.top1:.2f} %",
        f"{low:.2f} to {high:.2f} %",
        *("–" if one is None else f"{one.value:.2f}{unit}" for one, unit in rest),
    )


def _numbers(found: Sequence[Found]) -> Numbers:
    """The first score's; of clips the accuracy of both protocols, for one alone misleads."""
    score = found[0].score
    both = [one.score for one in found if one.score.clip and one.name == found[0].name] or [score]
    items = []
    for each in both:
        low, high = each.interval
        what = f"{each.views}-level accuracy" if each.clip else "top-1 accuracy"
        items.append((f"{each.top1:.2f} %", f"{what}, 95 % interval {low:.2f} to {high:.2f}"))
    if score.top5:
        items.append((f"{score.top5.value:.2f} %", "top-5 accuracy"))
    if score.macro:
        items.append((f"{score.macro.value:.2f} %", "mean over classes"))
    if score.ece:
        items.append((f"{score.ece.value:.2f}", "expected calibration error, in percentage points"))
    return Numbers(tuple(items))


def all_scores(found: Sequence[Found]) -> tuple[Part, ...]:
    """Every score: drawn where there are several, then in two tables that a page can hold."""
    names = _labels(found)
    scores = [one.score for one in found]
    noun = f"{found[0].images.gate.noun}s"
    many = f"n = {scores[0].n:,} {noun}, weights: {', '.join(dict.fromkeys(s.weights for s in scores))}"
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
    names = [short(one) if " + " not in one.name else "all together" for one in found]
    views = [one.score.views for one in found]
    if len(set(names)) == 1:
        return views
    return names if len(set(views)) == 1 else [f"{n}, {v}" for n, v in zip(names, views, strict=True)]


def _calibration(found: Found) -> tuple[Part, ...]:
    seen = reliability(found.judgement.probabilities, found.judgement.labels)
    heat = temperature(found.judgement.probabilities, found.judgement.labels)
    noun = f"{found.images.gate.noun}s"
    caption = (
        f"Bins of confidence against the share of their {noun} that are right. On the dashed line the "
        "network is as sure as it is right; below it, too sure. The larger a dot, the more "
        f"{noun} it stands for."
    )
    says = f"Reliability diagram: expected calibration error {seen.ece.value:.2f} percentage points."
    parts: list[Part] = [Figure(reliability_diagram(seen), caption, says)]
    if heat:
        parts.append(Text((heat_sentence(heat, noun),)))
    return tuple(parts)


def reliability_diagram(seen: Reliability) -> str:
    """Accuracy over confidence, one dot a bin, beside the line of those who know what they know."""
    guide = Series("", ((0.0, 0.0), (100.0, 100.0)), "guide")
    points = tuple(zip(seen.confidence, seen.accuracy, strict=True))
    dots = Series("", points, "dots", areas=tuple(map(float, seen.count)))
    return plot((dots, guide), x="confidence (%)", y="right (%)", until=(100.0, 100.0))


def heat_sentence(heat: Temperature, noun: str) -> str:
    """What the temperature is, and what it mends, in a sentence."""
    mood = "the network was too sure" if heat.value > 1 else "the network was not sure enough"
    if heat.loss_after >= heat.loss_before:
        mood = f"nothing is gained, so these {noun} do not tell that it is badly calibrated"
    return (
        f"Logits divided by {heat.value:.2f}, a temperature fitted on one half of the {noun}, change the "
        f"loss of the other {heat.n:,} from {heat.loss_before:.3f} to {heat.loss_after:.3f} nats and their "
        f"calibration error from {heat.ece_before:.2f} to {heat.ece_after:.2f} points: {mood}. "
        "No answer changes, only how sure it sounds."
    )


def _surprising(found: Found) -> Pictures:
    worst = found.judgement.most_surprising(WORST)
    items = tuple(picture(found.images, int(i), found.judgement) for i in worst)
    return Pictures(items, "Most surprising: their own class was given the least probability.")


def protocol(found: Sequence[Found]) -> Text:
    """What each view shows, and where the intervals come from."""
    noun = f"{found[0].images.gate.noun}s"
    shown = dict.fromkeys((one.score.views, one.score.clip) for one in found)
    lines = [f"{view}: {SAID[view]}{f' ({clip})' if clip else ''}." for view, clip in shown]
    network = (
        "Probabilities are averaged over views. Intervals are Wilson's for shares; for loss, mean over "
        f"classes and calibration error, 1,000 resamples of the {noun}."
    )
    return Text((" ".join(lines), network))
