"""The page about a reproduction: figure, table, claims, recipe in sentences, and the command."""

import math
import shlex
from dataclasses import replace

from residua.recipes.sentences import recipe_docstring, sentences
from residua.report.page import Code, Page, Part, Section, Table, Text
from residua.reproduce.claims import ClaimResult, MeasuredValues, check_claim
from residua.reproduce.figures import COUNT_UNITS, figure, has_learned, value_text
from residua.reproduce.listing import default_seeds
from residua.reproduce.measured import ReproducedRow, Reproduction
from residua.reproduce.published import DRAWN_ONLY, Item, PaperClaim
from residua.spec import zoo
from residua.spec.describe import cost
from residua.spec.describe import table as architecture_table
from residua.spec.record import to_plain
from residua.version import __version__

HEAD = ("network", "paper", "here", "95 % interval", "difference", "training error", "label")
"""Columns of the table."""
NUMERIC = ("here", "95 % interval", "difference", "training error")
"""Those that hold numbers."""


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
        sections.append(Section(item.reference_title, (_references(item),)))
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
    start = row.published.label, row.published.paper_text, value_text(row), interval_text(row)
    return *start, difference, train_error, row.label


def interval_text(row: ReproducedRow) -> str:
    """`8.31 to 9.42`; empty for a row without an interval."""
    low, high = row.interval
    return f"{low:.2f} to {high:.2f}" if math.isfinite(low) else ""


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
    """For each conclusion of the paper whose networks were trained: do these values show it?

    Runs of the earlier budget `small` are not judged: its recipe kept deep networks from learning.
    """
    if reproduction.setting.is_earlier:
        return ()
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
    if row.num_diverged and not row.values:
        return MeasuredValues(row.published.label, (math.inf,) * row.num_diverged, has_diverged=True)
    values = row.train_errors if by_training else row.values
    if row.published.is_counted and row.values:
        return MeasuredValues(row.published.label, row.values)
    if not values or not row.runs or (row.published.measure == "response" and not has_learned(row)):
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
        spread = "The interval is that of the mean (Student's t)."
        images = "The interval comes from the number of test images (Wilson)."
        has_interval = any(row[HEAD.index("95 % interval")] for row in cells)
        caption.append(f"Mean ± standard deviation over {n} seeds." if n > 1 else "One seed.")
        caption += [spread if n > 1 else images] if has_interval else []
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
    numeric = tuple(place for place, name in enumerate(head) if name in NUMERIC)
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
        size = cost(replace(arch, sides=()))
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
    setting, item = reproduction.setting, reproduction.item
    words = [f"residua reproduce {item.name} --budget {setting.budget}"]
    words += [f"-m {shlex.quote(text)}" for text in item.added]
    name = setting.dataset_name
    if reproduction.data and not (name == "digits" and setting.budget == "smoke"):
        words.append(f"--data {name if name in ('digits', 'cifar10', 'cifar100') else 'DATA'}")
    return " ".join([*words, *_seeds_option(reproduction)])


def _seeds_option(reproduction: Reproduction) -> list[str]:
    """`--seeds N` where the number of runs is not the default one."""
    trained = {row.network: len(row.values) for row in reproduction.rows if row.runs}
    counts, setting = set(trained.values()), reproduction.setting
    usual = default_seeds(reproduction.item, setting.budget, small_images=setting.has_small_images)
    is_usual = all(usual.get(name) == count for name, count in trained.items())
    return [f"--seeds {max(counts)}"] if counts and not is_usual else []


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
