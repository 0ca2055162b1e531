"""The figure of a reproduction: curves, bars, responses or drawn networks."""

import math
import statistics
from collections.abc import Iterable
from dataclasses import replace

from residua.report import drawing
from residua.report.bars import ReferenceBar, bar_chart, reference_bars
from residua.report.page import Figure, Figures
from residua.report.run_page import error_curve
from residua.report.training_curves import Curve, Panel, training_curves
from residua.reproduce.grid import DIFFERENT_DATA
from residua.reproduce.measured import ReproducedRow, Reproduction, recorded_responses
from residua.reproduce.published import Item
from residua.spec import zoo
from residua.spec.describe import cost

UNLEARNED = 50.0
"""Training error in percent from which on a network has not learned: its responses do not stretch the axis.
Our choice."""
COUNT_UNITS = {"params": 1e6, "macs": 1e9}
"""Measure of counts -> how many a printed unit holds: millions and billions."""
AXIS_LABELS = {
    "params": "parameters (millions)",
    "macs": "multiply-adds (billions)",
    "activations": "activations on the main path",
    "response": "mean deviation",
}
"""Measure -> label of the axis; `error (%)` for all others."""


def value_text(row: ReproducedRow) -> str:
    """Mean, standard deviation and n of a row, or why it has no value: `8.75 ± 0.20 (n = 3)`."""
    if not row.values:
        return row.note
    measure = row.published.measure
    if measure == "activations":
        return f"{row.mean:.0f}"
    scale, unit = COUNT_UNITS.get(measure, 1.0), {"params": " M", "macs": " G"}.get(measure, "")
    spread = f" ± {row.deviation / scale:.2f}" if math.isfinite(row.deviation) else ""
    diverged = f", {row.num_diverged} more diverged" if row.num_diverged else ""
    count = "" if row.published.is_counted else f" (n = {len(row.values)}{diverged})"
    return f"{row.mean / scale:.2f}{spread}{unit}{count}"


def figure(reproduction: Reproduction) -> Figure | Figures:
    """Curves, bars, responses or drawn networks, of the rows that have values; at least one has."""
    rows = [row for row in reproduction.rows if row.values]
    match reproduction.item.figure:
        case "curves":
            return Figure(training_curves(curve_panels(rows)), _curve_caption(rows), _values_text(rows))
        case "responses":
            return _responses(rows)
        case "blocks" | "networks":
            return _drawn_networks(rows, whole=reproduction.item.figure == "networks")
        case "history":
            return _history(reproduction.item)
        case "bars":
            return _bars(rows)


def curve_panels(rows: Iterable[ReproducedRow]) -> tuple[Panel, ...]:
    """The training curves of the median runs, grouped as in the paper, with the paper's final errors."""
    curves: dict[str, list[Curve]] = {}
    for row in rows:
        if row.median_run:
            measured = error_curve(row.median_run, row.published.label)
            paper = row.published.paper if row.published.paper is not None else math.nan
            with_paper = replace(measured, paper=paper, band=_band(row))
            curves.setdefault(row.published.panel, []).append(with_paper)
    return tuple(Panel(title, tuple(members)) for title, members in curves.items())


def _band(row: ReproducedRow) -> tuple[tuple[float, float], ...]:
    """Lowest and highest test error of all runs of a row, by epoch; empty for one run."""
    tests = [error_curve(run, "").test for run in row.runs]
    return tuple((min(errors), max(errors)) for errors in zip(*tests, strict=True)) if len(tests) > 1 else ()


def _values_text(rows: list[ReproducedRow]) -> str:
    return "; ".join(f"{row.published.label}: {value_text(row)}" for row in rows)


def _curve_caption(rows: list[ReproducedRow]) -> str:
    seeds = max(len(row.values) for row in rows)
    median = "median" if seeds > 2 else "better"
    few = "" if all(len(row.values) == seeds for row in rows) else ", where there are so many"
    lines = f" Of {seeds} seeds{few}, the run with the {median} error" if seeds > 1 else ""
    band = f"{lines}; band: lowest to highest test error of all." if seeds > 1 else ""
    has_paper = any(row.published.paper is not None for row in rows)
    rings = " Rings: final test errors printed in the paper." if has_paper else ""
    if has_paper and any(row.label == DIFFERENT_DATA for row in rows):
        rings += " They are of other images: compare the ranking, not the values."
    return f"Thin: training error; bold: test error.{band}{rings}"


def _bars(rows: list[ReproducedRow]) -> Figure:
    measure = rows[0].published.measure
    scale = COUNT_UNITS.get(measure, 1.0)
    bars = tuple(
        ReferenceBar(
            row.published.label,
            row.mean / scale,
            row.deviation / scale,
            row.published.paper / scale if row.published.paper is not None else math.nan,
        )
        for row in rows
    )
    seeds = max(len(row.values) for row in rows)
    few = "" if all(len(row.values) == seeds for row in rows) else "up to "
    spread = f", mean and standard deviation over {few}{seeds} seeds" if seeds > 1 else ""
    has_paper = any(row.published.paper is not None for row in rows)
    caption = f"Bars: measured here{spread}." + (" Grey diamonds: the paper's numbers." if has_paper else "")
    if any(row.label == DIFFERENT_DATA for row in rows):
        caption += " Not on the same data: compare the ranking, not the values."
    return Figure(
        reference_bars(bars, unit=AXIS_LABELS.get(measure, "error (%)")), caption, _values_text(rows)
    )


def _responses(rows: list[ReproducedRow]) -> Figures:
    """Both panels of He et al. 2015, fig. 7, of the median run of each network."""
    from residua.analyse.responses import Responses, response_plots

    runs = {row.published.label: row.median_run for row in rows}
    responses = {label: Responses(**recorded_responses(run)) for label, run in runs.items() if run}
    learned = [max(responses[row.published.label].deviations) for row in rows if has_learned(row)]
    highest = max(learned, default=math.inf)
    colours = {name: place for place, name in enumerate(responses)}
    in_order, by_size = response_plots(responses, colours, highest=highest)
    cut = [name for name, one in responses.items() if max(one.deviations) > highest]
    note = (
        f" Cut off above {highest:.3g}: {' and '.join(cut)}, which did not learn (training error "
        f"{UNLEARNED:.0f} % or more)."
        if cut
        else ""
    )
    text = "; ".join(f"{row.published.label}: mean {row.mean:.2f}" for row in rows)
    first = "Standard deviation of each 3×3 layer's output, in the order of the layers."
    return Figures(
        (
            Figure(in_order, f"{first}{note}", text),
            Figure(by_size, "The same values, the largest first.", text),
        )
    )


def has_learned(row: ReproducedRow) -> bool:
    """Whether at least half of the training images end up right."""
    return not row.train_errors or statistics.fmean(row.train_errors) < UNLEARNED


def _history(item: Item) -> Figures:
    """Layers, parameters, multiply-adds and published errors of the entries, as one chart each."""
    columns, entries = item.reference_columns, item.references
    labels = tuple(f"{entry.label}, {entry.paper[columns.index('year')]}" for entry in entries)
    sizes = [cost(replace(zoo.arch(entry.network), sides=())) for entry in entries]
    depths = tuple(float(zoo.arch(entry.network).depth()) for entry in entries)
    errors = tuple(float(entry.paper[-1] or "nan") for entry in entries)
    charts = (
        ("Layers with weights.", depths, ""),
        ("Parameters.", tuple(size.params / 1e6 for size in sizes), "M"),
        ("Multiply-adds for one image.", tuple(size.macs / 1e9 for size in sizes), "G"),
        ("Top-5 error of the entry on the test set, as published.", errors, "%"),
    )
    figures = []
    for caption, values, unit in charts:
        svg = bar_chart(labels, values, unit=unit, missing="no source reached")
        numbers = ("no source reached" if math.isnan(value) else f"{value:.4g}" for value in values)
        text = "; ".join(f"{label}: {number}" for label, number in zip(labels, numbers, strict=True))
        figures.append(Figure(svg, caption, text))
    return Figures(tuple(figures))


def _drawn_networks(rows: list[ReproducedRow], *, whole: bool) -> Figures:
    """Each network as a column, or its commonest block letter by letter."""
    draw = drawing.draw_column_only if whole else drawing.draw_commonest_block
    archs = [(row.published.label, row.published.network.arch()) for row in rows]
    return Figures(tuple(Figure(draw(arch), label, drawing.describe_network(arch)) for label, arch in archs))
