"""The page about a reproduction: figure, table, claims, recipe in sentences, and the command."""

import math
import shlex
from collections.abc import Iterable
from dataclasses import replace

from residua.recipes.sentences import recipe_docstring, sentences
from residua.report import drawing
from residua.report.bars import ReferenceBar, reference_bars
from residua.report.page import Code, Figure, Figures, Page, Part, Section, Table, Text
from residua.report.run_page import error_curve
from residua.report.training_curves import Curve, Panel, training_curves
from residua.reproduce.claims import ClaimResult, MeasuredValues, check_claim
from residua.reproduce.grid import DIFFERENT_DATA
from residua.reproduce.measured import ReproducedRow, Reproduction, recorded_responses
from residua.reproduce.published import DRAWN_ONLY, Item, PaperClaim
from residua.spec import zoo
from residua.spec.describe import cost
from residua.spec.describe import table as architecture_table
from residua.spec.record import to_plain
from residua.version import __version__

HEAD = ("network", "paper", "here", "difference", "training error", "label")
"""Columns of the table."""
COUNT_UNITS = {"params": 1e6, "macs": 1e9}
"""Measure of counts -> how many a printed unit holds: millions and billions."""
AXIS_LABELS = {
    "params": "parameters (millions)",
    "macs": "multiply-adds (billions)",
    "response": "mean deviation",
}
"""Measure -> label of the axis; `error (%)` for all others."""


def page(reproduction: Reproduction) -> Page:
    """The page of a finished reproduction."""
    item = reproduction.item
    with_values = [row for row in reproduction.rows if row.values]
    parts: list[Part] = [figure(reproduction)] if with_values else []
    notes = (left_out_note(reproduction), unseen_views_note(reproduction))
    parts += [_table(reproduction), *(Text((note,)) for note in notes if note)]
    sections = [Section("Results", tuple(parts))]
    if conclusions := tuple(filter(None, (item.conclusion, *claim_results(reproduction)))):
        sections.append(Section("What the paper concludes", (Text(conclusions),)))
    if item.figure == "bars" and not item.datasets:
        sections.append(Section("Stages and depths", (_stages(with_values),)))
    if with_values:
        sections.append(Section("The networks", (_networks(with_values),)))
    if item.references:
        sections.append(Section("Networks of other authors in the same table", (_references(item),)))
    sections.append(Section("How it was made", _making(reproduction)))
    title = item.title[0].upper() + item.title[1:]
    footer = f"{item.name}, written by residua {__version__}."
    return Page(title, _lead(reproduction, with_values), tuple(sections), footer)


def _lead(reproduction: Reproduction, with_values: list[ReproducedRow]) -> str:
    item = reproduction.item
    if not reproduction.data:
        verb = "drawn" if item.figure in ("blocks", "networks") else "counted"
        return f"{item.source}: {verb} from the networks, nothing was trained."
    labels = ", ".join(dict.fromkeys(row.label for row in with_values)) or "nothing was trained"
    return f"{item.source}, at the budget {reproduction.setting.budget}: {labels}. {reproduction.data}."


def table_rows(reproduction: Reproduction) -> list[tuple[str, ...]]:
    """The cells under `HEAD`, for every row of the paper within the budget."""
    return [_cells(row) for row in reproduction.rows_in_budget]


def _cells(row: ReproducedRow) -> tuple[str, ...]:
    errors = row.train_errors
    train_error = f"{sum(errors) / len(errors):.2f} %" if errors else ""
    difference = ""
    if math.isfinite(row.difference):
        signed = f"{row.difference / COUNT_UNITS.get(row.published.measure, 1.0):+.2f}"
        difference = signed.replace("-", "\N{MINUS SIGN}")
    return row.published.label, row.published.paper_text, value_text(row), difference, train_error, row.label


def value_text(row: ReproducedRow) -> str:
    """Mean, standard deviation and n of a row, or why it has no value: `8.75 ± 0.20 (n = 3)`."""
    if not row.values:
        return row.note
    measure = row.published.measure
    scale, unit = COUNT_UNITS.get(measure, 1.0), {"params": " M", "macs": " G"}.get(measure, "")
    spread = f" ± {row.deviation / scale:.2f}" if math.isfinite(row.deviation) else ""
    count = "" if row.published.is_counted else f" (n = {len(row.values)})"
    return f"{row.mean / scale:.2f}{spread}{unit}{count}"


def left_out_note(reproduction: Reproduction) -> str:
    """Which rows the budget leaves out; empty if none."""
    labels = "; ".join(reproduction.labels_left_out)
    return f"Left out at the budget {reproduction.setting.budget}: {labels}." if labels else ""


def unseen_views_note(reproduction: Reproduction) -> str:
    """A warning where networks were tested with views that their training did not resemble; else empty."""
    unaugmented = [row for row in reproduction.rows if row.runs and row.runs[0].recipe.augment.kind == "none"]
    views = dict.fromkeys(row.published.views for row in unaugmented if row.published.views != "center")
    if not views:
        return ""
    return (
        f"Tested with {', '.join(views)}, but trained on unchanged images, without crops, flips or resizing. "
        "The errors are high for that reason: they only show that the protocol runs."
    )


def checked_claims(reproduction: Reproduction) -> tuple[ClaimResult, ...]:
    """For each conclusion of the paper whose networks were trained: do these values show it?"""
    results = []
    for claim in reproduction.item.claims:
        rows = (_values(row, claim) for row in reproduction.rows)
        results.append(check_claim(claim, {values.label: values for values in rows if values}))
    return tuple(result for result in results if result)


def claim_results(reproduction: Reproduction) -> tuple[str, ...]:
    """The sentence of each result."""
    return tuple(result.sentence for result in checked_claims(reproduction))


def _values(row: ReproducedRow, claim: PaperClaim) -> MeasuredValues | None:
    """The values of a row in the measure of a claim; None without any."""
    by_training = claim.measure == "train_error"
    values = row.train_errors if by_training else row.values
    if not values or not row.runs:
        return None
    is_share = by_training or row.published.measure.endswith("error")
    images = int(row.runs[0].identity["train" if by_training else "test"]) if is_share else 0
    return MeasuredValues(row.published.label, values, images)


def _table(reproduction: Reproduction) -> Table:
    """The rows; a column with the same content everywhere becomes a part of the caption."""
    rows = reproduction.rows_in_budget
    cells: list[tuple[str, ...]] = table_rows(reproduction)
    columns = [place for place in range(len(HEAD)) if any(row[place] for row in cells)]
    caption: list[str] = []
    labels = {row[-1] for row in cells if row[-1]}
    if len(labels) == 1:
        columns = [place for place in columns if HEAD[place] != "label"]
        caption = [f"All rows: {labels.pop()}."] if reproduction.data else []
    if all(row.published.paper_text == DRAWN_ONLY for row in rows):
        columns = [place for place in columns if HEAD[place] != "paper"]
        caption.append("The paper draws them and prints no number.")
    counts = {len(row.values) for row in reproduction.rows if row.values and not row.published.is_counted}
    if len(counts) == 1:
        n = counts.pop()
        cells = [tuple(cell.removesuffix(f" (n = {n})") for cell in row) for row in cells]
        caption.append(f"Mean ± standard deviation over {n} seeds." if n > 1 else "One seed.")
    if any(row.published.measure.endswith("error") for row in reproduction.rows):
        caption.insert(0, "Errors in percent.")
    if (measure := reproduction.item.rows[0].measure) in COUNT_UNITS:
        caption.insert(0, {"params": "Parameters.", "macs": "Multiply-adds."}[measure])
    if HEAD.index("difference") in columns:
        caption.append("Difference: here minus the paper's.")
    caption += _remarks(reproduction)
    cells = [
        (row[0], row[1].removesuffix(f" ({reproduced.published.remark})"), *row[2:])
        for row, reproduced in zip(cells, rows, strict=True)
    ]
    head, picked = tuple(HEAD[p] for p in columns), tuple(tuple(row[p] for p in columns) for row in cells)
    numeric = tuple(place for place, name in enumerate(head) if name in HEAD[2:5])
    has_notes = any(row.note for row in rows)  # a note would make a wide column if it could not wrap
    return Table(head, picked, " ".join(caption), numeric=numeric[1:] if has_notes else numeric)


def _remarks(reproduction: Reproduction) -> list[str]:
    """The remarks on the paper's numbers; once where all have the same."""
    published = [row.published for row in reproduction.rows_in_budget if row.published.paper is not None]
    remarks = {row.label: row.remark for row in published}
    if len(set(remarks.values())) == 1 and len(remarks) > 1:
        remark = next(iter(remarks.values()))
        return [f"All in the paper: {remark}."] if remark else []
    return [f"{label} in the paper: {remark}." for label, remark in remarks.items() if remark]


def _networks(rows: list[ReproducedRow]) -> Table:
    """The trained or counted networks with their cost."""
    archs = {
        row.network: (row.runs[0].recipe.arch if row.runs else row.published.network.arch()) for row in rows
    }
    cells = []
    for name, arch in archs.items():
        size = cost(arch)
        cells.append((name, str(arch.depth()), f"{size.params / 1e6:.2f} M", f"{size.macs / 1e6:,.1f} M"))
    head = ("network", "layers", "parameters", "multiply-adds")
    caption = "As trained, at the size of these images." if rows[0].runs else ""
    return Table(head, tuple(cells), caption, numeric=(1, 2, 3))


def _stages(rows: list[ReproducedRow]) -> Table:
    """Counted networks of equally many stages side by side: the layers of each stage, as in the papers."""
    tables = {row.published.label: architecture_table(row.published.network.arch()) for row in rows}
    cells = []
    for parts in zip(*tables.values(), strict=True):
        part = f"{parts[0].part}, {parts[0].size}×{parts[0].size}"
        cells.append((part, *(_broken_at_layers(part.layers) for part in parts)))
    return Table(("part, output", *tables), tuple(cells), "The output is that of a part's last layer.")


def _broken_at_layers(layers: str) -> str:
    """`[3×3, 64; 3×3, 64] × 2` without the spaces at which a layer would break in two."""
    if not layers.startswith("["):
        return layers
    return layers.replace(", ", ",\N{NO-BREAK SPACE}").replace("× ", "×\N{NO-BREAK SPACE}")


def reference_rows(item: Item) -> tuple[tuple[str, ...], list[tuple[str, ...]]]:
    """Head and rows of the networks of other authors: the paper's numbers, and counts of ours."""
    rows = [(reference.label, *reference.paper, *_counts(reference.network)) for reference in item.references]
    head = ("network", *item.reference_columns, "parameters", "multiply-adds")
    if any(reference.network for reference in item.references):
        return head, rows
    return head[:-2], [row[:-2] for row in rows]


def _counts(network: str) -> tuple[str, str]:
    """Parameters and multiply-adds, without classifiers that only training uses; empty for no network."""
    if not network:
        return "", ""
    size = cost(replace(zoo.arch(network), sides=()))
    return f"{size.params / 1e6:.2f} M", f"{size.macs / 1e9:.2f} G"


def _references(item: Item) -> Table:
    head, rows = reference_rows(item)
    caption = "Quoted from the paper, in percent; counted here where residua has the network."
    return Table(head, tuple(rows), caption, numeric=tuple(range(1, len(head))))


def command(reproduction: Reproduction) -> str:
    """The command that repeats the reproduction."""
    setting, seeds = reproduction.setting, max([1, *(len(row.values) for row in reproduction.rows)])
    item = reproduction.item
    words = [f"residua reproduce {item.name} --budget {setting.budget}"]
    words += [f"-m {shlex.quote(text)}" for text in item.added]
    name = setting.dataset_name
    if reproduction.data and not (name == "digits" and setting.budget == "smoke"):
        words.append(f"--data {name if name in ('digits', 'cifar10', 'cifar100') else 'DATA'}")
    return " ".join(words + ([f"--seeds {seeds}"] if seeds > 1 else []))


def _making(reproduction: Reproduction) -> tuple[Part, ...]:
    repeat = Code(command(reproduction), "To repeat it:")
    runs = [run for row in reproduction.rows for run in row.runs]
    if not runs:
        return (repeat,)
    recipe = runs[0].recipe
    environment = runs[0].environment
    machine, software = environment.hardware, f"{environment.software}."
    docstring = recipe_docstring(recipe)
    paragraphs = (
        " ".join(sentences(recipe)),
        f"About this recipe: {docstring}" if docstring else "",
        _varying_fields_note(reproduction),
        small_networks_note(reproduction),
        differences_note(reproduction),
        f"{machine}; {software}",
    )
    return (*(Text((paragraph,)) for paragraph in paragraphs if paragraph), repeat)


def _varying_fields_note(reproduction: Reproduction) -> str:
    """Which parts of the recipe are not the same in all runs; empty for none."""
    first, *others = [run.recipe for row in reproduction.rows for run in row.runs]
    parts = [name for name in to_plain(first) if name not in ("arch", "seed", "data", "plan")]
    varying = {name for other in others for name in parts if getattr(first, name) != getattr(other, name)}
    if not varying:
        return ""
    return f"Not the same in all runs: {', '.join(sorted(varying))}; each run keeps its recipe."


def differences_note(reproduction: Reproduction) -> str:
    """The differences from the paper's protocol on its own data, each once; empty for none."""
    texts = dict.fromkeys(
        str(difference)
        for row in reproduction.rows
        for difference in row.differences
        if difference.field != "network"
    )
    return f"Differences from the paper: {'; '.join(texts)}." if texts else ""


def small_networks_note(reproduction: Reproduction) -> str:
    """Which networks were trained because the images are too small for the paper's; empty for none."""
    names = {
        row.published.network.name: row.network
        for row in reproduction.rows
        if row.runs and row.network != row.published.network.name
    }
    if not names:
        return ""
    pairs = ", ".join(f"{trained} for {published}" for published, trained in names.items())
    return f"These images are too small for the paper's networks. Trained instead: {pairs}."


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
        case "bars":
            return _bars(rows)


def curve_panels(rows: Iterable[ReproducedRow]) -> tuple[Panel, ...]:
    """The training curves of the median runs, grouped as in the paper, with the paper's final errors."""
    curves: dict[str, list[Curve]] = {}
    for row in rows:
        if row.median_run:
            measured = error_curve(row.median_run, row.published.label)
            paper = row.published.paper if row.published.paper is not None else math.nan
            with_paper = Curve(measured.name, measured.times, measured.train, measured.test, paper)
            curves.setdefault(row.published.panel, []).append(with_paper)
    return tuple(Panel(title, tuple(members)) for title, members in curves.items())


def _values_text(rows: list[ReproducedRow]) -> str:
    return "; ".join(f"{row.published.label}: {value_text(row)}" for row in rows)


def _curve_caption(rows: list[ReproducedRow]) -> str:
    seeds = len(rows[0].values)
    median = f" Of {seeds} seeds, the one with the median error." if seeds > 1 else ""
    has_paper = any(row.published.paper is not None for row in rows)
    rings = " Grey rings: final test errors printed in the paper." if has_paper else ""
    return f"Thin: training error; bold: test error.{median}{rings}"


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
    spread = f", mean and standard deviation over {seeds} seeds" if seeds > 1 else ""
    caption = f"Bars: measured here{spread}. Grey diamonds: the paper's numbers."
    if any(row.label == DIFFERENT_DATA for row in rows):
        caption += " Not on the same data: compare the ranking, not the values."
    return Figure(
        reference_bars(bars, unit=AXIS_LABELS.get(measure, "error (%)")), caption, _values_text(rows)
    )


def _responses(rows: list[ReproducedRow]) -> Figures:
    """Both panels of He et al. 2015, fig. 7, of the first seed of each network."""
    from residua.analyse.responses import Responses, response_plots

    responses = {row.published.label: Responses(**recorded_responses(row.runs[0])) for row in rows}
    in_order, by_size = response_plots(responses, {name: place for place, name in enumerate(responses)})
    text = "; ".join(f"{row.published.label}: mean {row.mean:.2f}" for row in rows)
    return Figures(
        (
            Figure(
                in_order, "Standard deviation of each 3×3 layer's output, in the order of the layers.", text
            ),
            Figure(by_size, "The same values, the largest first.", text),
        )
    )


def _drawn_networks(rows: list[ReproducedRow], *, whole: bool) -> Figures:
    """Each network as a column, or its commonest block letter by letter."""
    draw = drawing.draw_column_only if whole else drawing.draw_commonest_block
    archs = [(row.published.label, row.published.network.arch()) for row in rows]
    return Figures(tuple(Figure(draw(arch), label, drawing.describe_network(arch)) for label, arch in archs))
