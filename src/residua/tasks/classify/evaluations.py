"""ClassEvaluations: evaluations of classifiers as a table, as JSON and as a page without links."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from residua.errors import ConfigError
from residua.measure.calibration import Reliability, Temperature, reliability, temperature
from residua.measure.evaluation import Evaluation, average, match_examples
from residua.measure.score import Estimate, Score
from residua.measure.views import VIEW_TEXTS
from residua.report.bars import IntervalRow, interval_chart
from residua.report.chart import Series, plot
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
from residua.report.run_page import evaluation_title
from residua.spec.amount import quantity
from residua.spec.record import nearest, to_plain
from residua.spec.text_table import TextTable
from residua.tasks.classify.pages import WORST, mistakes, picture
from residua.tasks.classify.predictions import ClassPredictions
from residua.version import __version__

EXACT = 10_000
"""Images from which on a second decimal of a percentage is worth printing."""


@dataclass(frozen=True, eq=False, slots=True)
class ClassEvaluations:
    """`residua.tasks.predict_task.Evaluations` of classifiers."""

    evaluations: tuple[Evaluation, ...]
    """Network by network, each under one protocol after the other."""

    @classmethod
    def of(cls, evaluations: Sequence[Evaluation], *, ensemble: bool) -> "ClassEvaluations":
        """`evaluations` as they are, or with `ensemble` one for each protocol, averaged over the networks.

        Raises:
            ConfigError: The members of an ensemble have other classes or other examples.
        """
        networks = dict.fromkeys(one.network for one in evaluations)
        if not ensemble or len(networks) < 2:
            return cls(tuple(evaluations))
        members = match_examples(evaluations)
        protocols = dict.fromkeys(one.protocol for one in members)
        return cls(
            tuple(average([one for one in members if one.protocol == protocol]) for protocol in protocols)
        )

    @property
    def scores(self) -> list[Score]:
        """Numbers with their protocols, network by network."""
        return [one.score for one in self.evaluations]

    def table(self) -> TextTable:
        """A row for each score, and what the views show."""
        several = len({one.network for one in self.evaluations}) > 1
        rows = tuple((*((one.network,) if several else ()), *_row(one.score)) for one in self.evaluations)
        noun = f"{self.evaluations[0].split.media_type.noun}s"
        head = ("views", noun, "weights", "n", "top-1", "95 % interval", "top-5", "mean over classes", "ECE")
        protocols = dict.fromkeys(one.protocol for one in self.evaluations)
        clips = dict.fromkeys(f"{s.views}: {s.clip}" for s in self.scores if s.clip)
        views = "views: " + "; ".join(f"{name} = {VIEW_TEXTS[name]}" for name in protocols)
        return TextTable(
            ("network", *head) if several else head, rows, 4 if several else 3, notes=(views, *clips)
        )

    def to_json(self) -> list[dict[str, Any]]:
        """The scores as JSON values, each with the network's path as `run`."""
        return [{**to_plain(one.score), "run": one.network} for one in self.evaluations]

    def predictions(self, topk: int) -> ClassPredictions:
        """The `topk` likeliest classes that the first network predicts for every example."""
        return ClassPredictions.of_evaluation(self.evaluations[0], topk=topk)

    def next_commands(self, path: Path) -> tuple[str, ...]:
        """Predicting other examples, and a comparison."""
        inputs = "VIDEO --timeline t.html" if self.evaluations[0].clip else "IMAGE"
        return f"residua predict {path} {inputs}", f"residua compare {path} OTHER"

    def page(self, command: str) -> str:
        """All scores, then the first evaluation in detail."""
        first = self.evaluations[0]
        noun = first.split.media_type.noun
        lead = f"{quantity(first.score.n, noun)} ({first.score.split}), {VIEW_TEXTS[first.protocol]}."
        sections = (
            Section("Result", (_numbers(self.evaluations), *score_parts(self.evaluations))),
            Section("Calibration", _calibration(first)),
            Section("Mistakes", (*mistakes(first), _least_likely_labels(first))),
            Section(
                "How it was measured", (protocol_text(self.evaluations), Code(command, "Measure it again:"))
            ),
        )
        footer = f"Written by residua {__version__}."
        return render(Page(evaluation_title(first.network), lead, sections, footer))


def check_views(paths: Sequence[Path], views: Sequence[str], allowed: Collection[str]) -> None:
    """ConfigError for a view that does not exist, or is not `allowed` for the networks at `paths`.

    Args:
        paths: Paths of the networks, at least one; the message names the first.
        views: Names of the views that the user asked for; none passes.
        allowed: Names of the views of the task: those of images or those of videos.

    Raises:
        ConfigError: A view is unknown, or belongs to another task.
    """
    for view in views:
        if view not in VIEW_TEXTS:
            raise ConfigError(f"no view {view!r}: {nearest(view, VIEW_TEXTS)}")
        if view not in allowed:
            raise ConfigError(
                f"{paths[0]} is evaluated under {', '.join(allowed)}, not {view!r}: leave --views out"
            )


def format_estimate(estimate: Estimate | None, *, places: int = 2) -> str:
    """`92.50 (90.10 to 94.30)`, or a dash where there is none."""
    if estimate is None:
        return "–"
    value, low, high = (f"{number:.{places}f}" for number in (estimate.value, *estimate.interval))
    return f"{value} ({low} to {high})".replace("-", "−")


def short_name(evaluation: Evaluation) -> str:
    """The last part of the network's path."""
    return Path(evaluation.network).name


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


def _numbers(evaluations: Sequence[Evaluation]) -> Numbers:
    """Those of the first score; of clips the accuracy under both protocols, because one alone misleads."""
    score = evaluations[0].score
    scores = [one.score for one in evaluations if one.clip and one.network == evaluations[0].network] or [
        score
    ]
    items = []
    for each in scores:
        low, high = each.interval
        what = f"{each.views}-level accuracy" if each.clip else "top-1 accuracy"
        items.append((f"{each.top1:.2f} %", f"{what}, 95 % interval {low:.2f} to {high:.2f}"))
    if score.top5:
        items.append((f"{score.top5.value:.2f} %", "top-5 accuracy"))
    if score.macro:
        items.append((f"{score.macro.value:.2f} %", "mean over classes"))
    if score.ece:
        low, high = score.ece.interval
        items.append(
            (
                f"{score.ece.value:.2f}",
                f"expected calibration error in percentage points, 95 % interval {low:.2f} to {high:.2f}",
            )
        )
    return Numbers(tuple(items))


def score_parts(evaluations: Sequence[Evaluation]) -> tuple[Part, ...]:
    """All scores: as a chart where there are several, then in two tables that fit a page."""
    what, names = _labels(evaluations)
    scores = [one.score for one in evaluations]
    noun = f"{evaluations[0].split.media_type.noun}s"
    many = f"n = {scores[0].n:,} {noun}, weights: {', '.join(dict.fromkeys(s.weights for s in scores))}"
    digits = 2 if scores[0].n >= EXACT else 1
    shares = tuple(
        (name, *(format_estimate(e, places=digits) for e in (Estimate(s.top1, s.interval), s.top5, s.macro)))
        for name, s in zip(names, scores, strict=True)
    )
    certainty = tuple(
        (name, format_estimate(s.loss, places=3), format_estimate(s.ece, places=digits))
        for name, s in zip(names, scores, strict=True)
    )
    head = (what, "top-1, %", "top-5, %", "mean over classes, %")
    tables = (
        Table(head, shares, f"Accuracy, with 95 % intervals. {many}.", numeric=(1, 2, 3)),
        Table((what, "loss, nats", "calibration error, points"), certainty, "Certainty.", numeric=(1, 2)),
    )
    if len(evaluations) < 2:
        return tables
    rows = [
        IntervalRow(n, s.top1, *s.interval, f"{s.top1:.2f} %") for n, s in zip(names, scores, strict=True)
    ]
    best = max(range(len(scores)), key=lambda place: scores[place].top1)
    text = f"Best: {scores[best].top1:.2f} %, {names[best]}."
    caption = "Top-1 accuracy with 95 % intervals (Wilson 1927)."
    return (Figure(interval_chart(tuple(rows), unit="top-1 accuracy (%)"), caption, text), *tables)


def _labels(evaluations: Sequence[Evaluation]) -> tuple[str, list[str]]:
    """What distinguishes the scores, the network, the views or both, and its value for each."""
    names = [short_name(one) if " + " not in one.network else "all together" for one in evaluations]
    views = [one.protocol for one in evaluations]
    if len(set(names)) == 1:
        return "views", views
    if len(set(views)) == 1:
        return "network", names
    return "network, views", [f"{n}, {v}" for n, v in zip(names, views, strict=True)]


def _calibration(evaluation: Evaluation) -> tuple[Part, ...]:
    bins = reliability(evaluation.probabilities, evaluation.labels)
    fitted = temperature(evaluation.probabilities, evaluation.labels)
    noun = f"{evaluation.split.media_type.noun}s"
    caption = (
        f"Predicted confidence against the share of {noun} that are right, in bins of confidence. On the "
        "dashed line the two are equal; below it the network is overconfident. The area of a dot is the "
        f"number of {noun} in its bin."
    )
    text = f"Reliability diagram: expected calibration error {bins.ece.value:.2f} percentage points."
    parts: list[Part] = [Figure(reliability_diagram(bins), caption, text)]
    if fitted:
        parts.append(Text((temperature_sentence(fitted, noun),)))
    return tuple(parts)


def reliability_diagram(bins: Reliability) -> str:
    """Accuracy over confidence, one dot a bin, and the line of perfect calibration."""
    guide = Series("", ((0.0, 0.0), (100.0, 100.0)), "guide")
    points = tuple(zip(bins.confidence, bins.accuracy, strict=True))
    dots = Series("", points, "dots", areas=tuple(map(float, bins.count)))
    return plot((dots, guide), x="confidence (%)", y="right (%)", until=(100.0, 100.0))


def temperature_sentence(fitted: Temperature, noun: str) -> str:
    """The temperature and its effect, in a sentence; `noun` is the plural of the examples."""
    finding = "the network was overconfident" if fitted.value > 1 else "the network was underconfident"
    if fitted.loss_after >= fitted.loss_before:
        finding = f"nothing is gained, so these {noun} do not show that it is badly calibrated"
    return (
        f"Logits divided by {fitted.value:.2f}, a temperature fitted on one half of the {noun}, change the "
        f"loss of the other {fitted.n:,} from {fitted.loss_before:.3f} to {fitted.loss_after:.3f} nats and "
        f"their calibration error from {fitted.ece_before:.2f} to {fitted.ece_after:.2f} points: {finding}. "
        "Predicted classes stay the same, only their confidence changes."
    )


def _least_likely_labels(evaluation: Evaluation) -> Pictures:
    items = tuple(picture(evaluation, int(i)) for i in evaluation.least_likely_labels(WORST))
    return Pictures(items, "The least likely labels: the network gave the label the lowest probability.")


def protocol_text(evaluations: Sequence[Evaluation]) -> Text:
    """What each view shows, and how the intervals are computed."""
    noun = f"{evaluations[0].split.media_type.noun}s"
    views = dict.fromkeys((one.protocol, one.clip) for one in evaluations)
    lines = [f"{view}: {VIEW_TEXTS[view]}{f' ({clip})' if clip else ''}." for view, clip in views]
    network = (
        "Probabilities are averaged over views. Intervals are Wilson's for shares; for loss, mean over "
        f"classes and calibration error, 1,000 resamples of the {noun}. Chance makes a calibration error "
        "larger: its interval is corrected for that, and begins at 0 where chance may explain all of it."
    )
    return Text((" ".join(lines), network))
