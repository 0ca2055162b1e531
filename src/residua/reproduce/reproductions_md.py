"""The ledger: all reproductions that a folder of runs holds, as one page of Markdown that nobody types."""

from pathlib import Path

from residua.recipes.sentences import sentences
from residua.reproduce.grid import Setting, entries
from residua.reproduce.items import ITEMS
from residua.reproduce.page import HEAD, command, departed_from, left_out, rows, stand_ins, verdicts
from residua.reproduce.published import BUDGETS, Budget, Item
from residua.reproduce.reproduce import Reproduction, line_of, same_images
from residua.runs.run import Run, write

SOURCES = {"smoke": "digits"}
"""Images of runs that ask for no --data; other budgets use the paper's."""
MOST_SEEDS = 16
"""Seeds looked for, from 0 on."""
INTRODUCTION = """# Reproductions

Made by `residua reproduce --write-docs` from the runs in [results/reproduce](results/reproduce); not a number
is typed. The paper's numbers are quoted with their table; where no source was reached it says so. Labels are
found by comparing each run's recipe with what the paper states: *same protocol* (its data, schedule and test,
or all *but for* what is named), *scaled down* (its data, less of it or a shorter schedule), *different data*
(another set: compare orders, not heights). All of them: `residua reproduce --list`; how:
[reproducing.md](reproducing.md).
"""


def write_docs(file: Path, folder: Path) -> int:
    """Write the ledger of `folder` into `file`, and say how many items it holds; ValueError for none."""
    found = [kept for item in ITEMS.values() for budget in BUDGETS if (kept := held(item, budget, folder))]
    if not found:
        raise ValueError(f"{folder} holds no finished reproduction: give -o the folder that `reproduce` used")
    write(file, "\n".join([INTRODUCTION, *map(_section, found)]))
    return len(found)


def held(item: Item, budget: Budget, folder: Path) -> Reproduction | None:
    """What finished runs in `folder` say of `item` at `budget`; None unless all its networks have one.

    None too where networks of another question stand in, or where there is nothing to compare.
    """
    if not item.needs:
        return None
    kind = SOURCES.get(budget, item.needs[0])
    setting = Setting(kind, kind != "imagenet", budget)
    replaced = setting.small and any(row.stand_in for row in item.rows) and not item.is_scalable
    if replaced or len(item.nets(budget, small=False)) < 2:
        return None
    seeds = 0
    while seeds < MOST_SEEDS and _finished(item, setting, folder, seeds):
        seeds += 1
    if not seeds:
        return None
    runs = {key: Run(e.path) for key, e in entries(item, setting, folder / "runs", seeds=seeds).items()}
    same_images(runs.values())
    lines = tuple(line_of(item, row, setting, runs, seeds=seeds) for row in item.rows)
    return Reproduction(item, setting, lines, kind, Path(), 0.0)


def _finished(item: Item, setting: Setting, folder: Path, seed: int) -> bool:
    wanted = entries(item, setting, folder / "runs", seeds=seed + 1)
    mine = [Run(entry.path) for (_, of), entry in wanted.items() if of == seed]
    return bool(mine) and all(run.finished for run in mine)


def _section(found: Reproduction) -> str:
    item = found.item
    first = next(run for line in found.lines for run in line.runs)
    table = ["| " + " | ".join(HEAD) + " |", "| --- | --- | --- | ---: | ---: | --- |"]
    table += ["| " + " | ".join(cell.replace("|", "\\|") for cell in row) + " |" for row in rows(found)]
    told = [f"- {verdict}" for verdict in verdicts(found)]
    parts = [
        f"## {item.name}, {found.setting.budget}",
        f"{item.place}: {item.what}. Images: {found.data}. {item.says}",
        "\n".join(table),
        left_out(found),
        "\n".join(told),
        " ".join(sentences(first.recipe)),
        stand_ins(found),
        departed_from(found),
        f"```console\n$ {command(found)}\n```",
    ]
    return "\n\n".join(part for part in parts if part) + "\n"
