"""Parts of the papers' pages: networks, recipes and published numbers, from the tables of the package."""

from collections.abc import Sequence
from pathlib import Path

from residua.recipes import recipe
from residua.recipes.fields import example_network
from residua.recipes.sentences import SOURCES, sentences
from residua.reproduce.items import ITEMS
from residua.reproduce.published import Item, PublishedRow
from residua.spec import describe, detector, zoo
from residua.spec.recipe import Recipe

REPRODUCTIONS = Path(__file__).parents[1] / "explanation/reproductions.md"
MEASURES = {
    "train_error": "training error, %",
    "test_error": "test error, %",
    "top1_error": "top-1 error, %",
    "top5_error": "top-5 error, %",
    "params": "parameters",
    "macs": "multiply-adds",
    "activations": "activations on the main path",
    "response": "response",
    "map": "mAP at IoU .5 to .95, %",
    "map50": "mAP at IoU .5, %",
}
"""Measure of a row -> the quantity in its cell."""


def table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A table in Markdown."""
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in line)} |" for line in lines)


def architecture(*names: str) -> str:
    """The architecture table of networks with the same parts: a column for each network."""
    archs = [zoo.arch(name) for name in names]
    columns = [describe.table(arch) for arch in archs]
    rows = [
        (lines[0].part, describe.extent(lines[0].size), *(f"`{line.words}`" for line in lines))
        for lines in zip(*columns, strict=True)
    ]
    costs = [describe.cost(arch) for arch in archs]
    rows.append(("parameters", "", *(f"{cost.params:,}" for cost in costs)))
    rows.append(("multiply-adds", "", *(f"{cost.macs:,}" for cost in costs)))
    return table(("part", "map", *(f"`{name}`" for name in names)), rows)


def recipes(paper: str) -> str:
    """The paper's recipes as the package has them, in sentences."""
    texts = []
    for name in (name for name in SOURCES if name.startswith(f"{paper}.")):
        about = [text for text in sentences(_example(name)) if not text.startswith("Precision")]
        texts.append(f"`--recipe {name}`\n\n{' '.join(about)}\n")
    return "\n".join(texts)


def _example(name: str) -> Recipe:
    """The recipe `name` for its example network."""
    network = example_network(name)
    _, arch = detector.named(network) if detector.split_name(network) else (None, zoo.arch(network))
    return recipe(name, arch, "DATA")


def results(paper: str) -> str:
    """A section for each table and figure of a paper: numbers, conclusion and reproduction."""
    return "\n".join(_section(item) for item in ITEMS.values() if item.paper == paper)


def _section(item: Item) -> str:
    """The section of one table or figure."""
    title = f"### {item.source}: {item.title}\n"
    parts = [title, f"{item.conclusion}\n"] if item.conclusion else [title]
    if item.obstacle:
        parts.append(f"residua does not reproduce it: {item.obstacle}.\n")
    numbers = [row for row in item.rows if row.paper is not None]
    if numbers or item.references:
        parts.append(_numbers(item, numbers))
    elif item.rows:
        parts.append(", ".join(dict.fromkeys(f"`{row.network.name}`" for row in item.rows)) + "\n")
    if item.rows:
        parts += [f"```console\n$ residua reproduce {item.name}\n```\n", _here(item)]
    return "\n".join(parts)


def _numbers(item: Item, numbers: list[PublishedRow]) -> str:
    """The paper's numbers, of its own networks and of others'."""
    missing = len(item.rows) > len(numbers)
    shown = list(item.rows) if missing else numbers
    rows = [
        (
            row.label.removesuffix(", top1").removesuffix(", top5"),
            f"`{row.network.name}`",
            MEASURES[row.measure],
            row.views,
            row.data,
            row.paper_text,
        )
        for row in shown
    ]
    rows += [
        (
            reference.label,
            f"`{reference.network}`" if reference.network else "",
            f"{column}, %",
            "",
            "",
            value,
        )
        for reference in item.references
        for column, value in zip(item.reference_columns, reference.paper, strict=True)
        if value
    ]
    return table(("in the paper", "network", "quantity", "views", "data", "value"), rows) + "\n"


def _here(item: Item) -> str:
    """Links to the values that were reproduced in this repository, by budget."""
    heads = [line[3:] for line in REPRODUCTIONS.read_text().splitlines() if line.startswith("## ")]
    found = [head for head in heads if head.startswith(f"{item.name}, ")]
    links = (f"[{head.partition(', ')[2]}](reproductions.md#{_anchor(head)})" for head in found)
    return " · ".join(links) + "\n"


def _anchor(head: str) -> str:
    """The anchor of a heading, as Markdown makes it on GitHub."""
    return "".join(c for c in head.lower().replace(" ", "-") if c.isalnum() or c in "-_")
