"""docs/reproductions.md: all reproductions in a folder of runs, as one Markdown page."""

import textwrap
from pathlib import Path

from residua.errors import ConfigError
from residua.files import write_file
from residua.recipes.sentences import sentences
from residua.reproduce.grid import GridSetting, run_entries
from residua.reproduce.items import ITEMS
from residua.reproduce.measured import Reproduction, reproduce_row, require_same_images
from residua.reproduce.page import (
    HEAD,
    claim_results,
    command,
    differences_note,
    left_out_note,
    small_networks_note,
    table_rows,
)
from residua.reproduce.published import BUDGETS, Budget, Item
from residua.runs.run import Run

DEFAULT_SOURCES = {"smoke": "digits"}
"""Budget -> images of runs without --data; other budgets use the paper's."""
MAX_SEEDS = 16
"""Seeds that are looked for, from 0 on."""
INTRODUCTION = """# Reproductions of the papers' tables and figures

`residua reproduce --write-docs` writes this page from the runs in [results/reproduce](results/reproduce): no
number is typed by hand. The paper's numbers are quoted with their table or figure.

The label compares each run's recipe with the paper's protocol:

- *same protocol*: the paper's data, schedule and test; *but for* names each other difference.
- *scaled down*: the paper's data, with fewer images, a shorter schedule or a smaller network.
- *different data*: another dataset. Compare the ranking of the networks, not the values.

`residua reproduce --list` lists all items; [reproducing.md](reproducing.md) explains how to run them.
"""


def write_docs(file: Path, folder: Path) -> int:
    """Write the page.

    Args:
        file: The Markdown file, replaced if it exists.
        folder: The folder that `residua reproduce -o` used.

    Returns:
        The number of reproductions on the page.

    Raises:
        ConfigError: `folder` holds no finished reproduction.
    """
    attempts = (finished_reproduction(item, budget, folder) for item in ITEMS.values() for budget in BUDGETS)
    reproductions = [reproduction for reproduction in attempts if reproduction]
    if not reproductions:
        raise ConfigError(
            f"{folder} holds no finished reproduction: give -o the folder that `reproduce` used"
        )
    write_file(file, "\n".join([INTRODUCTION, *map(_section, reproductions)]))
    return len(reproductions)


def finished_reproduction(item: Item, budget: Budget, folder: Path) -> Reproduction | None:
    """The reproduction of `item` at `budget` from the finished runs in `folder`.

    Args:
        item: The table or figure.
        budget: Length of the runs. It also decides the images: digits for `smoke`, else the paper's.
        folder: The folder that `residua reproduce -o` used; its runs are in `runs`.

    Returns:
        Its values for the seeds from 0 on for which every network has a finished run, at most `MAX_SEEDS`.
        None unless all its networks have a finished run of seed 0; None, too, for fewer than two networks.
        None, finally, where the networks for small images do not keep the question of the paper.

    Raises:
        DataError: Two of the runs were trained on different images.
    """
    if not item.datasets:
        return None
    source = DEFAULT_SOURCES.get(budget, item.datasets[0])
    setting = GridSetting(source, source != "imagenet", budget)
    has_small_networks = setting.has_small_images and any(row.small_network for row in item.rows)
    if has_small_networks and not item.keeps_question:
        return None
    if len(item.networks(budget, small_images=False)) < 2:
        return None
    seeds = 0
    while seeds < MAX_SEEDS and _is_seed_finished(item, setting, folder, seeds):
        seeds += 1
    if not seeds:
        return None
    entries = run_entries(item, setting, folder / "runs", seeds=seeds)
    runs = {key: Run(entry.path) for key, entry in entries.items()}
    require_same_images(runs.values())
    rows = tuple(reproduce_row(item, row, setting, runs, seeds=seeds) for row in item.rows)
    return Reproduction(item, setting, rows, source, Path(), 0.0)


def _is_seed_finished(item: Item, setting: GridSetting, folder: Path, seed: int) -> bool:
    entries = run_entries(item, setting, folder / "runs", seeds=seed + 1)
    runs = [Run(entry.path) for (_, entry_seed), entry in entries.items() if entry_seed == seed]
    return bool(runs) and all(run.finished for run in runs)


def _section(reproduction: Reproduction) -> str:
    item = reproduction.item
    first_run = next(run for row in reproduction.rows for run in row.runs)
    table = ["| " + " | ".join(HEAD) + " |", "| --- | --- | --- | ---: | ---: | --- |"]
    for row in table_rows(reproduction):
        table.append("| " + " | ".join(cell.replace("|", "\\|") for cell in row) + " |")
    parts = [
        f"## {item.name}, {reproduction.setting.budget}",
        _wrap(f"{item.source}: {item.title}. Images: {reproduction.data}. {item.conclusion}"),
        "\n".join(table),
        _wrap(left_out_note(reproduction)),
        "\n".join(f"- {result}" for result in claim_results(reproduction)),
        _wrap(" ".join(sentences(first_run.recipe))),
        _wrap(small_networks_note(reproduction)),
        _wrap(differences_note(reproduction)),
        f"```console\n$ {command(reproduction)}\n```",
    ]
    return "\n\n".join(part for part in parts if part) + "\n"


def _wrap(paragraph: str) -> str:
    return textwrap.fill(paragraph, 120, break_long_words=False, break_on_hyphens=False)
