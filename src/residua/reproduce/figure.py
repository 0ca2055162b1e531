"""The figure of a reproduction: curves, bars, responses, or the networks drawn as the paper draws them."""

import math
from collections.abc import Iterable

from residua.report import drawing
from residua.report.curve_labels import Beside, beside
from residua.report.curves import Curve
from residua.report.page import Figure, Figures
from residua.report.run_page import curve
from residua.report.training_figures import Panel, training_curves
from residua.reproduce.measured import responses
from residua.reproduce.reproduce import Line, Reproduction

UNITS = {"params": "parameters (millions)", "macs": "multiply-adds (billions)", "response": "mean deviation"}
"""What the bars count; errors otherwise."""
SCALES = {"params": 1e6, "macs": 1e9}
"""What one unit of a bar is."""


def figure(found: Reproduction) -> Figure | Figures:
    """What is drawn of the lines that have values, of which there is at least one."""
    shown = [line for line in found.lines if line.values]
    match found.item.figure:
        case "curves":
            said = "; ".join(f"{line.row.label}: {ours(line)}" for line in shown)
            return Figure(training_curves(panels(shown)), _curve_caption(shown), said)
        case "responses":
            return _responses(shown)
        case "blocks" | "networks":
            return _drawn(shown, whole=found.item.figure == "networks")
        case "bars":
            return _bars(shown)


def ours(line: Line) -> str:
    """Mean, deviation and n; or why there is no value."""
    if not line.values:
        return line.note
    scale, unit = SCALES.get(line.row.measure, 1.0), {"params": " M", "macs": " G"}.get(line.row.measure, "")
    spread = f" ± {line.deviation / scale:.2f}" if math.isfinite(line.deviation) else ""
    count = "" if line.row.measure in SCALES else f" (n = {len(line.values)})"
    return f"{line.mean / scale:.2f}{spread}{unit}{count}"


def panels(shown: Iterable[Line]) -> tuple[Panel, ...]:
    """The curves of the median runs, grouped as in the paper."""
    groups: dict[str, list[Curve]] = {}
    for line in shown:
        if line.middle:
            made = curve(line.middle, line.row.label)
            paper = line.row.paper if line.row.paper is not None else math.nan
            made = Curve(made.name, made.times, made.train, made.test, paper)
            groups.setdefault(line.row.panel, []).append(made)
    return tuple(Panel(title, tuple(curves)) for title, curves in groups.items())


def _curve_caption(shown: list[Line]) -> str:
    seeds = len(shown[0].values)
    which = f" Of {seeds} seeds, the one with the median error." if seeds > 1 else ""
    rings = any(line.row.paper is not None for line in shown)
    paper = " Grey rings: where the paper's test curves end, by its tables." if rings else ""
    return f"Thin: training error; bold: test error.{which}{paper}"


def _bars(shown: list[Line]) -> Figure:
    scale = SCALES.get(shown[0].row.measure, 1.0)
    bars = tuple(
        Beside(
            line.row.label,
            line.mean / scale,
            line.deviation / scale,
            line.row.paper / scale if line.row.paper is not None else math.nan,
        )
        for line in shown
    )
    seeds = max(len(line.values) for line in shown)
    spread = f", the mean over {seeds} seeds and its deviation" if seeds > 1 else ""
    caption = f"Bars: measured here{spread}. Grey diamonds: the paper's numbers."
    different = any(line.label == "different data" for line in shown)
    caption += " Not on the same data: compare orders, not heights." if different else ""
    said = "; ".join(f"{line.row.label}: {ours(line)}" for line in shown)
    return Figure(beside(bars, unit=UNITS.get(shown[0].row.measure, "error (%)")), caption, said)


def _responses(shown: list[Line]) -> Figures:
    """Both panels of He et al. 2015, fig. 7, of the first seed of each network."""
    from residua.analyse import drawings
    from residua.analyse.responses import Responses

    found = {line.row.label: Responses(**responses(line.runs[0])) for line in shown}
    in_order, by_size = drawings.responses(found, {name: place for place, name in enumerate(found)})
    said = "; ".join(f"{line.row.label}: mean {line.mean:.2f}" for line in shown)
    return Figures(
        (
            Figure(in_order, "Deviation of each 3×3 layer's output, in the order of the layers.", said),
            Figure(by_size, "The same, the largest first.", said),
        )
    )


def _drawn(shown: list[Line], *, whole: bool) -> Figures:
    """Each network as a column, or its commonest block letter by letter."""
    draw = drawing.column_of if whole else drawing.commonest
    archs = [(line.row.label, line.row.net.arch()) for line in shown]
    return Figures(tuple(Figure(draw(arch), label, drawing.told(arch)) for label, arch in archs))
