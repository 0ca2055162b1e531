"""docs/explanation/reproductions.md: all reproductions in a folder of runs, as one Markdown page."""

import re
from pathlib import Path

from residua.errors import ConfigError
from residua.files import write_file
from residua.recipes.sentences import sentences
from residua.report.page import Figures
from residua.reproduce import others
from residua.reproduce.claims import Outcome
from residua.reproduce.figures import figure
from residua.reproduce.grid import GridSetting, run_entries
from residua.reproduce.items import ITEMS
from residua.reproduce.markdown import side_by_side, wrap, write_pictures
from residua.reproduce.measured import Reproduction, count_row, reproduce_row, require_same_images
from residua.reproduce.others_page import HEAD as OTHERS_HEAD
from residua.reproduce.others_page import OthersReproduction, sources_note, study_sentences
from residua.reproduce.others_page import checked_claims as others_checked_claims
from residua.reproduce.others_page import claim_results as others_claims
from residua.reproduce.others_page import command as others_command
from residua.reproduce.others_page import figures as figures_of_others
from residua.reproduce.others_page import table_rows as others_rows
from residua.reproduce.page import (
    HEAD,
    checked_claims,
    claim_results,
    command,
    differences_note,
    left_out_note,
    reference_rows,
    small_networks_note,
    table_rows,
)
from residua.reproduce.projects_md import project_sections
from residua.reproduce.published import BUDGETS, Budget, Item
from residua.runs.run import DIVERGED, Run

PICTURES = "reproductions"
"""Folder of the pictures, beside the page."""
DEFAULT_SOURCES = {"smoke": "digits"}
"""Budget -> images of runs without --data; other budgets use the paper's."""
OUTCOMES: tuple[Outcome, ...] = ("seen", "cannot tell", "not seen")
"""Order of the outcomes in the list of all items."""
EARLIER = "small, earlier recipe"
"""Second part of the heading of runs of the earlier budget `small`."""
EARLIER_NOTE = (
    "These runs are old: the budget small then halved the batch, kept the learning rate 0.1 and warmed up "
    "only from 110 layers on. At that rate the loss of 56 layers explodes within 7 steps, in another "
    "implementation, too, and 4,000 steps are too few to recover. So these rows say nothing about depth. "
    "The budget has changed; no runs of it are here yet."
)
"""Why such runs are not to be trusted."""
MAX_SEEDS = 16
"""Seeds that are looked for, from 0 on."""
INTRODUCTION = """# Reproductions of the papers' tables and figures

`residua reproduce --write-docs` writes this page and its pictures from the runs and measurements in
[results/reproduce](../results/README.md): no number is typed by hand. The paper's numbers are quoted
with their table or figure.

The label compares each run's recipe with the paper's protocol:

- *same protocol*: the paper's data, schedule and test; *but for* names each other difference.
- *scaled down*: the paper's data, with fewer images, a shorter schedule or a smaller network.
- *different data*: another dataset. Compare the ranking of the networks, not the values.
- *protocol not available*: the paper's data; the schedule that the paper used was not published.
- *others' weights, judged here*: a network that others trained in full, whose errors were measured here.
  Training errors and curves are those that its owner recorded.

Under each table stand the paper's conclusions, judged on all pairs of rows that they are about: *seen*,
*not seen*, or *cannot tell*, where the 95 % interval of a difference includes zero. It comes from the seeds
(Welch's t), or, with one run, from the number of images; then what another seed would change is not in it.
Responses also have to differ by a tenth. The column *95 % interval* is that of one row: of the
mean over its seeds (Student's t), or of a single run's error as a share of its test images (Wilson).
Of several pairs the worst decides, so *not seen* needs the wider interval that allows for this choice
(Bonferroni). A network that diverged counts as worse than one that did not.

Curves are those of the median run; the band spans all seeds. [reproducing.md](../how-to/reproducing.md)
explains how to run an item, and what the rows at the budget small cannot show.
"""


def write_docs(file: Path, folder: Path) -> int:
    """Write the page.

    Pictures are written into the folder `reproductions` beside it.

    Args:
        file: The Markdown file, replaced if it exists.
        folder: The folder that `residua reproduce -o` used.

    Returns:
        The number of reproductions on the page.

    Raises:
        ConfigError: `folder` holds no finished reproduction.
    """
    pictures = file.parent / PICTURES
    sections, overview, count = [], ["| item | what it shows | here |", "| --- | --- | --- |"], 0
    for item in ITEMS.values():
        reproductions = _reproductions(item, folder)
        count += sum(bool(reproduction.data) for _, reproduction in reproductions)
        entries = [_overview_entry(item, kind, reproduction) for kind, reproduction in reproductions]
        overview.append(f"| {item.name} | {item.title} | {'; '.join(entries) or _absence(item)} |")
        for kind, reproduction in reproductions:
            if isinstance(reproduction, Reproduction):
                sections.append(_section(reproduction, kind, pictures))
            else:
                sections.append(_section_of_others(reproduction, pictures))
    for name, title, kind, section in project_sections(folder, pictures):
        overview.append(f"| {name} | {title} | {section_link(name, kind) if section else 'not run'} |")
        sections += [section] if section else []
    if not count:
        raise ConfigError(
            f"{folder} holds no finished reproduction: give -o the folder that `reproduce` used"
        )
    write_file(file, "\n".join([INTRODUCTION, "## All items\n", *overview, "", *sections]))
    return len(sections)


def _reproductions(item: Item, folder: Path) -> list[tuple[str, Reproduction | OthersReproduction]]:
    """All that there is of an item, each with the second part of its heading: `smoke`, `from weights` ..."""
    if item.obstacle:
        return []
    if not item.datasets:
        rows = tuple(count_row(row) for row in item.rows)
        return [("counted", Reproduction(item, GridSetting("digits", True, "smoke"), rows, "", Path(), 0.0))]
    reproductions: list[tuple[str, Reproduction | OthersReproduction]] = [
        (budget, reproduction)
        for budget in BUDGETS
        if (reproduction := finished_reproduction(item, budget, folder))
    ]
    if earlier := finished_reproduction(item, "small", folder, is_earlier=True):
        reproductions.append((EARLIER, earlier))
    if others_reproduction := measured_reproduction(item, folder):
        reproductions.append(("from weights", others_reproduction))
    return reproductions


def _overview_entry(item: Item, kind: str, reproduction: Reproduction | OthersReproduction) -> str:
    """A link to the section, with the number of conclusions by outcome."""
    results = (
        checked_claims(reproduction)
        if isinstance(reproduction, Reproduction)
        else others_checked_claims(reproduction)
    )
    outcomes = [result.outcome for result in results]
    counts = ", ".join(f"{outcomes.count(outcome)} {outcome}" for outcome in OUTCOMES if outcome in outcomes)
    has_parts = any(result.is_partial and result.outcome == "seen" for result in results)
    parts = " (of some, a part of the pairs)" if has_parts else ""
    if kind == EARLIER:
        counts = "not judged"
    return section_link(item.name, kind) + (f": {counts}{parts}" if counts else "")


def section_link(name: str, kind: str) -> str:
    """A link to the section of an item, by its heading."""
    anchor = re.sub(r"[^\w -]", "", f"{name}, {kind}".lower()).replace(" ", "-")
    return f"[{kind}](#{anchor})"


def _absence(item: Item) -> str:
    """Why an item has no section."""
    return f"not feasible: {item.obstacle}" if item.obstacle else "not run"


def measured_reproduction(item: Item, folder: Path) -> OthersReproduction | None:
    """The reproduction of `item` from networks that others trained.

    Args:
        item: The table or figure.
        folder: The folder that `residua reproduce -o` used; what was measured is in its `weights`.

    Returns:
        The rows of all networks with the studies of the item; None without any.
    """
    if item.name not in others.STUDIES:
        return None
    pairs = others.entries_of(item)
    studies = others.studies_of(pairs, item)
    rows = tuple(
        (row, network)
        for row, entry in pairs
        if (network := others.read_measured(folder / others.FOLDER / f"{entry.name}.json"))
        and set(studies[entry.name]) <= set(network.studies or {})
    )
    return OthersReproduction(item, rows) if rows else None


def finished_reproduction(
    item: Item, budget: Budget, folder: Path, *, is_earlier: bool = False
) -> Reproduction | None:
    """The reproduction of `item` at `budget` from the finished runs in `folder`.

    Args:
        item: The table or figure.
        budget: Length of the runs. It also decides the images: digits for `smoke`, else the paper's.
        folder: The folder that `residua reproduce -o` used; its runs are in `runs`.
        is_earlier: Whether the runs are those of the earlier budget `small`.

    Returns:
        Its values for the finished runs of each network, with seeds from 0 on, at most `MAX_SEEDS`. None
        unless all its networks have a finished run of seed 0; None, too, for fewer than two networks, and
        where the networks for small images do not keep the question of the paper.

    Raises:
        DataError: Two of the runs were trained on different images.
    """
    if not item.datasets:
        return None
    source = DEFAULT_SOURCES.get(budget, item.datasets[0])
    setting = GridSetting(source, source != "imagenet", budget, is_earlier=is_earlier)
    has_small_networks = setting.has_small_images and any(row.small_network for row in item.rows)
    if has_small_networks and not item.keeps_question:
        return None
    if len(item.networks(budget, small_images=False)) < 2:
        return None
    seeds = _finished_seeds(item, setting, folder)
    if not all(seeds.values()):
        return None
    entries = run_entries(item, setting, folder / "runs", seeds=seeds)
    runs = {key: Run(entry.path) for key, entry in entries.items()}
    require_same_images(runs.values())
    rows = tuple(reproduce_row(item, row, setting, runs, seeds=seeds) for row in item.rows)
    return Reproduction(item, setting, rows, source, Path(), 0.0)


def _finished_seeds(item: Item, setting: GridSetting, folder: Path) -> dict[str, int]:
    """Name of each network -> the number of its runs that finished or diverged, with seeds from 0 on."""
    counts: dict[str, int] = {}
    for (name, seed), entry in run_entries(item, setting, folder / "runs", seeds=MAX_SEEDS).items():
        counts.setdefault(name, 0)
        if counts[name] == seed and (Run(entry.path).finished or (entry.path / DIVERGED).is_file()):
            counts[name] += 1
    return counts


def _section(reproduction: Reproduction, kind: str, pictures: Path) -> str:
    """The section of an item that was trained or counted, whose pictures are written into `pictures`."""
    item = reproduction.item
    first_run = next((run for row in reproduction.rows for run in row.runs), None)
    images = f" Images: {reproduction.data}." if reproduction.data else ""
    drawing = figure(reproduction)
    drawings = drawing.items if isinstance(drawing, Figures) else (drawing,)
    name = f"{item.name.replace('/', '-')}-{kind.replace(',', '').replace(' ', '-')}"
    links = write_pictures(drawings, pictures, name)
    first = links.pop(0) if len(links) == 1 else ("", "")
    table = ["| " + " | ".join(HEAD) + " |", "| --- | --- | --- | --- | ---: | ---: | --- |"]
    for row in table_rows(reproduction):
        table.append("| " + " | ".join(cell.replace("|", "\\|") for cell in row) + " |")
    parts = [
        f"## {item.name}, {kind}",
        wrap(f"{item.source}: {item.title}.{images}{_conclusion(item)}"),
        "\n".join(table),
        wrap(EARLIER_NOTE if reproduction.setting.is_earlier else ""),
        wrap(left_out_note(reproduction)),
        _reference_table(item),
        "\n".join(f"- {result}" for result in claim_results(reproduction)),
        first[0],
        wrap(first[1]),
        side_by_side(links),
        wrap(" ".join(sentences(first_run.recipe)) if first_run else ""),
        wrap(small_networks_note(reproduction)),
        wrap(differences_note(reproduction)),
        "" if reproduction.setting.is_earlier else f"```console\n$ {command(reproduction)}\n```",
    ]
    return "\n\n".join(part for part in parts if part) + "\n"


def _conclusion(item: Item) -> str:
    """What the paper concludes, named so that nobody takes it for a result of the rows below."""
    start = "The paper concludes: " if item.claims else ""
    return f" {start}{item.conclusion}" if item.conclusion else ""


def _reference_table(item: Item) -> str:
    """The networks of other authors in the same table; empty for none."""
    if not item.references:
        return ""
    head, rows = reference_rows(item)
    lines = [head, ["---", *["---:"] * (len(head) - 1)], *rows]
    table = "\n".join(f"| {' | '.join(cells)} |" for cells in lines)
    return f"{item.reference_title}, quoted, and counted where residua has them:\n\n{table}"


def _section_of_others(reproduction: OthersReproduction, pictures: Path) -> str:
    """The section of an item from weights that others trained, whose pictures are written into `pictures`."""
    item = reproduction.item
    table = [f"| {' | '.join((*OTHERS_HEAD, 'label'))} |"]
    table += ["| --- | --- | --- | ---: | ---: | --- | ---: | ---: | --- |"]
    table += [f"| {' | '.join((*row, others.LABEL))} |" for row in others_rows(reproduction)]
    drawings = figures_of_others(reproduction, for_docs=True)
    images = write_pictures(drawings, pictures, item.name.replace("/", "-"), on_paper_already=True)
    first = images.pop(0) if item.figure != "responses" else ("", "")
    parts = [
        f"## {item.name}, from weights",
        wrap(f"{item.source}: {item.title}.{_conclusion(item)}"),
        "\n".join(table),
        "\n".join(f"- {result}" for result in (*others_claims(reproduction), *study_sentences(reproduction))),
        first[0],
        wrap(first[1]),
        side_by_side(images),
        wrap(sources_note(reproduction)),
        f"```console\n$ {others_command(reproduction)}\n```",
    ]
    return "\n\n".join(part for part in parts if part) + "\n"
