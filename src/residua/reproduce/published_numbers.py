"""What the papers print about one network: the rows of all tables and figures that are of it."""

from dataclasses import dataclass
from functools import cache

from residua.reproduce.items import ITEMS
from residua.reproduce.published import Measure, PublishedRow
from residua.spec.arch import Arch

MEASURE_TEXTS: dict[Measure, str] = {
    "train_error": "training error, %",
    "test_error": "test error, %",
    "top1_error": "top-1 error, %",
    "top5_error": "top-5 error, %",
    "params": "parameters",
    "macs": "multiply-adds",
    "activations": "activations on the main path",
    "response": "mean standard deviation of the responses",
    "map": "mean average precision at IoU .5 to .95, %",
    "map50": "mean average precision at IoU .5, %",
}
"""Measure -> its name and unit in text."""


@dataclass(frozen=True, slots=True)
class PublishedNumber:
    """One number of a paper about a network."""

    item: str
    """The table or figure: `he2015/table6`."""
    source: str
    """The same in text: `He et al. 2015, table 6`."""
    label: str
    """The paper's name for the network."""
    measure: Measure
    """What the number is."""
    data: str
    """Data of the paper, e.g. `cifar10`."""
    views: str
    """How test images are cropped and resized."""
    text: str
    """The number as the paper prints it, or why there is none."""
    is_number: bool
    """Whether the paper printed a number."""


def published_numbers(arch: Arch) -> tuple[PublishedNumber, ...]:
    """What the papers print about `arch`, in their order; nothing for a network that they do not have.

    Names, classes and input of the network may differ from the paper's.
    """
    layers = _layers(arch)
    rows = _rows_by_depth().get(arch.depth(), ())
    return tuple(number for number, row in rows if _layers(row.network.arch()) == layers)


def _layers(arch: Arch) -> tuple[object, ...]:
    """What `arch` computes, whatever it is called and reads."""
    return arch.stem, arch.stages, arch.tail, arch.head


@cache
def _rows_by_depth() -> dict[int, list[tuple[PublishedNumber, PublishedRow]]]:
    """Depth of the network -> the rows of all items; building every network takes a moment once."""
    rows: dict[int, list[tuple[PublishedNumber, PublishedRow]]] = {}
    for item in ITEMS.values():
        for row in item.rows:
            number = PublishedNumber(
                item.name, item.source, row.label, row.measure, row.data, row.views, row.paper_text,
                row.paper is not None,
            )  # fmt: skip
            rows.setdefault(row.network.arch().depth(), []).append((number, row))
    return rows
