"""One HTML file of a run or of a comparison: it needs no server and no script, on a phone and on paper.

The page is a report like all others of residua. Curves are sampled as for the page of the lab, so that a run
with 100,000 points is a small file and no spike is left out.
"""

import math
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path

import numpy as np

from residua.errors import ConfigError, ResiduaError
from residua.lab.columns import Numbers
from residua.lab.curve_lines import column_edges, curve_points, on_shared_axis
from residua.lab.lock_holders import LockHolders
from residua.lab.run_folder import RunFolder
from residua.lab.run_row import RunRow, file_versions, read_run_row, with_columns
from residua.lab.series_store import SeriesStore
from residua.recipes.sentences import sentences
from residua.report.bars import IntervalRow, interval_chart
from residua.report.chart import Series, plot
from residua.report.drawing.networks import draw_networks
from residua.report.page import Figure, Folded, Page, Part, Section, Table, Text, render
from residua.report.training_curves import Curve, Panel, training_curves
from residua.runs.run import Run, open_run
from residua.spec.amount import quantity
from residua.version import __version__

MAX_CURVES = 6
"""Curves in one panel: more colours cannot be told apart."""
MAX_PANELS = 4
"""Panels of curves; the runs with the best scores have one."""
PIXELS = 400
"""Columns that a curve is sampled for."""
MAX_EXPORT_RUNS = 200
"""Runs in one file."""


def runs_below(folders: Sequence[Path]) -> dict[str, Path]:
    """The runs that folders are or hold, by names that tell them apart.

    Raises:
        ConfigError: There is none in one of them.
    """
    runs: dict[str, Path] = {}
    for folder in folders:
        below = RunFolder(folder)
        names = below.names()
        if not names:
            raise ConfigError(f"{folder} holds no run: give a run, or a folder of runs")
        for name in sorted(names):
            is_free = name not in runs or runs[name] == below.path / name
            runs[name if is_free else str(folder / name)] = below.path / name
    return runs


def export_page(runs: Mapping[str, Path], store: SeriesStore) -> str:
    """A page about runs.

    Args:
        runs: Name -> run directory, at least one.
        store: Reads their metrics.

    Returns:
        The HTML document.

    Raises:
        ConfigError: There is no run, one is damaged, or there are too many.
    """
    if not 0 < len(runs) <= MAX_EXPORT_RUNS:
        raise ConfigError(f"{len(runs)} runs: give 1 to {MAX_EXPORT_RUNS}")
    rows = _ranked([_row(name, path, store) for name, path in runs.items()])
    sections = [Section("Curves", tuple(_curves(rows, runs, store)))]
    if len(rows) == 1:
        title, lead = rows[0].name, _score_sentence(rows[0])
        sections += _run_sections(runs[rows[0].name])
    else:
        title, lead = f"{len(rows)} runs", _lead(rows)
        sections.insert(0, Section("Scores", tuple(_scores(rows))))
    footer = f"Written by residua {__version__} from the files of the runs."
    return render(Page(title, lead, tuple(sections), footer))


def _row(name: str, path: Path, store: SeriesStore) -> RunRow:
    row = read_run_row(path, name, file_versions(path), LockHolders())
    if row.state == "damaged":
        raise ConfigError(f"{name} cannot be shown: {row.problem}")
    return with_columns(row, store.columns([path], ["step", row.metric])[0])


def _ranked(rows: Sequence[RunRow]) -> list[RunRow]:
    """The best score first; runs without one last."""

    def place(row: RunRow) -> tuple[bool, float, str]:
        value = row.best.value if row.best else math.inf
        return row.best is None, value if row.is_lower_better else -value, row.name

    return sorted(rows, key=place)


def _score_sentence(row: RunRow) -> str:
    about = f"{row.network} on {row.data}, {row.state} after {quantity(round(row.epoch), 'epoch')}"
    if row.best is None:
        return f"{about}. No score was measured yet."
    return f"{about}. Best {_metric(row)} {_value(row)} at step {row.best.step:,}."


def _lead(rows: Sequence[RunRow]) -> str:
    """The best run, and whether the next one may be as good."""
    best = rows[0]
    if best.best is None:
        return "No score was measured yet."
    text = f"{best.name} has the best {_metric(best)}: {_value(best)}."
    if best.best.low is None or best.best.high is None:
        return text
    near = sum(
        one.best is not None and one.best.low is not None and one.best.low <= best.best.high
        for one in rows[1:]
    )
    chosen = "The best of many runs on the same images looks better than it is on others."
    return f"{text} The intervals of {near} of the {len(rows) - 1} others overlap with its own. {chosen}"


def _metric(row: RunRow) -> str:
    return row.metric.replace("map50", "mAP@.5").replace("_", " ")


def _value(row: RunRow) -> str:
    assert row.best
    if row.best.low is None or row.best.high is None:
        return f"{row.best.value:.2f} %"
    interval = f"95 % interval {row.best.low:.2f} to {row.best.high:.2f}"
    return f"{row.best.value:.2f} % ({interval}, n = {row.num_test:,})"


def _scores(rows: Sequence[RunRow]) -> list[Part]:
    """The scores with their intervals as a drawing, and all runs as a table."""
    parts: list[Part] = []
    measured = [row for row in rows if row.best and row.best.low is not None and row.best.high is not None]
    intervals = tuple(
        IntervalRow(row.name, row.best.value, row.best.low, row.best.high, f"{row.best.value:.2f}")
        for row in measured[:20]
        if row.best and row.best.low is not None and row.best.high is not None
    )
    if intervals:
        caption = f"Best {_metric(rows[0])} in percent, with Wilson's 95 % interval of the test images."
        more = f" The best 20 of {len(measured)}." if len(measured) > len(intervals) else ""
        parts.append(Figure(interval_chart(intervals, unit="%"), caption + more, caption + more))
    head = ("run", "best", "95 % interval", "network", "recipe", "data", "seed", "epochs", "state")
    cells = tuple(
        (
            row.name,
            f"{row.best.value:.2f}" if row.best else "",
            f"{row.best.low:.2f} to {row.best.high:.2f}"
            if row.best and row.best.low is not None and row.best.high is not None
            else "",
            row.network,
            row.recipe,
            row.data,
            str(row.seed),
            f"{row.epoch:g}",
            row.state,
        )
        for row in rows
    )
    return [*parts, Table(head, cells, numeric=(1, 2, 6, 7), strong=(0,) if rows[0].best else ())]


def _curves(rows: Sequence[RunRow], runs: Mapping[str, Path], store: SeriesStore) -> list[Part]:
    """Curves of the best runs, in panels of few."""
    chosen = [row for row in rows if row.metric][: MAX_CURVES * MAX_PANELS]
    if not chosen:
        return [Text(("No epoch was finished yet.",))]
    metric = chosen[0].metric
    train = metric.removeprefix("ema_").replace("test_", "train_")
    columns = store.columns([runs[row.name] for row in chosen], ["step", "epoch", train, metric])
    curves = [
        curve
        for row, table in zip(chosen, columns, strict=True)
        if (curve := _curve(row.name, table, train, metric)) is not None
    ]
    if not curves:
        return [Text(("No epoch was finished yet.",))]
    note = f" The best {len(chosen)} of {len(rows)} runs." if len(chosen) < len(rows) else ""
    if "error" not in metric:
        lines = tuple(
            Series(one.name, tuple(zip(one.times, one.test, strict=True))) for one in curves[:MAX_CURVES]
        )
        caption = f"{_metric(chosen[0])} in percent by epoch.{note}"
        return [Figure(plot(lines, x="epoch", y="%"), caption, caption)]
    panels = tuple(
        Panel("" if len(curves) <= MAX_CURVES else f"places {start + 1} to {start + len(part)}", part)
        for start in range(0, len(curves), MAX_CURVES)
        if (part := tuple(curves[start : start + MAX_CURVES]))
    )
    caption = f"Error in percent by epoch. Thin: training, as augmented; bold: {_metric(chosen[0])}.{note}"
    ends = ", ".join(f"{one.name} ends at {one.end[1]:.2f} %" for one in curves[:MAX_CURVES])
    return [Figure(training_curves(panels), caption, f"Error curves: {ends}.")]


def _curve(name: str, table: Mapping[str, Numbers], train: str, metric: str) -> Curve | None:
    """A curve sampled for the width of a page; None without points."""
    x = table.get("epoch")
    if x is None or not len(x):
        return None
    unknown = np.full(len(x), np.nan)
    lines = [curve_points(x, table.get(column, unknown)) for column in (train, metric)]
    if not any(len(line.x) for line in lines):
        return None
    low, high = float(np.nanmin(x)), float(np.nanmax(x))
    edges = column_edges(low, high if high > low else low + 1, PIXELS, is_log=False)
    grid, values = on_shared_axis(lines, edges, max_points=2 * PIXELS)
    first, second = (tuple(map(float, one)) for one in values)
    return Curve(name, tuple(map(float, grid)), first, second)


def _run_sections(path: Path) -> list[Section]:
    """The network and the training of one run, as far as its files tell."""
    from residua.report.run_page import (
        architecture_table,
        training_section,
    )  # torch, which the lab does without

    sections: list[Section] = []
    with suppress(ResiduaError, OSError):
        run: Run = open_run(path)
        arch = run.recipe.arch
        drawing = Figure(
            draw_networks([arch]), f"{arch.name}, read from top to bottom.", f"The network {arch.name}."
        )
        sections.append(Section("Network", (architecture_table(arch), Folded("Drawing", (drawing,)))))
        sections.append(Section("Training", training_section(run, sentences(run.recipe))))
    return sections
