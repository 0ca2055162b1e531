"""What the papers printed: their tables and figures as values. Other modules train the networks."""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from itertools import combinations
from typing import Literal

from residua.errors import ConfigError
from residua.spec import change, zoo
from residua.spec.arch import Arch
from residua.spec.named_network import arch_of
from residua.spec.zoo import he2016

Budget = Literal["smoke", "small", "full"]
BUDGETS: tuple[Budget, ...] = ("smoke", "small", "full")
"""Minutes on digits; a short schedule on the papers' data; the papers' own schedule."""
Measure = Literal[
    "train_error",
    "test_error",
    "top1_error",
    "top5_error",
    "params",
    "macs",
    "activations",
    "response",
    "map",
    "map50",
]
"""Errors in percent, counts, a mean standard deviation, or mean average precision in percent."""
NO_PAPER_VALUE = "paper value not available"
"""Shown in place of a number for which no source was reached."""
DRAWN_ONLY = "drawn, not counted"
"""Shown where a figure draws a network and prints no number."""
ADDED = "not in the paper"
"""Shown in place of a number for a network that the user added."""


@dataclass(frozen=True, slots=True)
class NamedNetwork:
    """A network with the name that it has in tables and run folders."""

    name: str
    """Unique among the networks of an item."""
    build: Callable[[], Arch]
    """Makes the architecture; its own name is replaced."""

    def arch(self) -> Arch:
        """The architecture, under `name`."""
        return replace(self.build(), name=self.name)


def zoo_network(name: str, *, shortcut: str = "", order: str = "", stride_on: str = "") -> NamedNetwork:
    """The network that `create_model(name, shortcut=..., order=..., stride_on=...)` builds.

    Args:
        name: A name of the zoo, e.g. `cifar_resnet110`.
        shortcut: Another shortcut, e.g. `B` or `scale0.5`; empty keeps the network's own.
        order: Letter of He et al. 2016, figure 4, a to e; empty keeps the network's own.
        stride_on: `1x1` or `3x3`, the convolution with the stride; empty keeps the network's own.
    """

    def build() -> Arch:
        arch = zoo.arch(name)
        arch = change.with_stride_on(arch, stride_on) if stride_on else arch
        arch = change.with_shortcut(arch, shortcut) if shortcut else arch
        return change.with_order(arch, order) if order else arch

    parts = (name, shortcut.replace(",", "+"), order, stride_on)
    return NamedNetwork("_".join(part for part in parts if part), build)


def cifar_bottleneck_network(depth: int, *, order: str = "a") -> NamedNetwork:
    """A CIFAR network of bottlenecks that is trained where images are too small for an ImageNet network.

    Args:
        depth: Layers, 9n+2 (He et al. 2016, appendix).
        order: Letter of He et al. 2016, figure 4, a to e.
    """

    def build() -> Arch:
        return change.with_order(he2016.cifar_bottleneck("", depth=depth), order)

    return NamedNetwork(f"cifar_bottleneck{depth}{'' if order == 'a' else order}", build)


@dataclass(frozen=True, slots=True)
class PublishedRow:
    """One network under one protocol, with the paper's number for it."""

    label: str
    """The paper's name for it."""
    network: NamedNetwork
    """The network of the paper."""
    paper: float | None = None
    """The paper's number, in the measure's unit; None where it printed none, or no source was reached."""
    deviation: float | None = None
    """The standard deviation that the paper prints, in the same unit."""
    remark: str = ""
    """What belongs to the paper's number: `mean of 5`, `fail (> 20 %)`; never empty without a number."""
    measure: Measure = "test_error"
    """What is compared: errors under `views`, counts, or average precision at IoU .5 to .95 (`map`) or .5."""
    views: str = "center"
    """How test images are cropped and resized, as in `residua evaluate --views`."""
    data: str = "cifar10"
    """Data of the paper: `cifar10`, `cifar100`, `imagenet`, `coco`, `voc2007` or `voc2012`."""
    panel: str = ""
    """Rows with the same panel share a pair of axes; a colour means the same place in every panel."""
    budgets: tuple[Budget, ...] = BUDGETS
    """Budgets at which it is trained; at others it is listed as left out."""
    small_network: NamedNetwork | None = None
    """Trained instead on images that are too small for `network`; None where `network` fits them."""

    def __post_init__(self) -> None:
        if self.paper is None and not self.remark:
            object.__setattr__(self, "remark", NO_PAPER_VALUE)

    @property
    def is_counted(self) -> bool:
        """Whether the value is counted from the architecture, without training."""
        return self.measure in ("params", "macs", "activations")

    def is_trained_at(self, budget: Budget) -> bool:
        """Whether a network must be trained for it at `budget`."""
        return budget in self.budgets and not self.is_counted

    def network_for(self, *, small_images: bool) -> NamedNetwork:
        """The network that is trained for it on large or small images."""
        return self.small_network if small_images and self.small_network else self.network

    @property
    def paper_text(self) -> str:
        """The paper's number as tables show it, e.g. `6.61 ± 0.16 (mean of 5; best 6.43)`."""
        if self.paper is None:
            return self.remark
        number = _count_text(self.paper) if self.is_counted else f"{self.paper:.2f}"
        spread = f" ± {self.deviation:.2f}" if self.deviation is not None else ""
        return f"{number}{spread}" + (f" ({self.remark})" if self.remark else "")


@dataclass(frozen=True, slots=True)
class PaperClaim:
    """A conclusion of the paper about rows of a table; `claims.py` checks it on the reproduced values."""

    says: str
    """The conclusion in a few words: `plain nets get worse with depth`."""
    pairs: tuple[tuple[str, str], ...]
    """Labels of a row with the higher value and of one with the lower; all of them make the conclusion."""
    measure: Literal["train_error", "test_error"] = "test_error"
    """`train_error` compares training errors, `test_error` the rows' own measure."""
    limit: float | None = None
    """Value that the lower row of each pair has to be below and the higher one not; None compares them."""


def falling(*labels: str) -> tuple[tuple[str, str], ...]:
    """The pairs of a claim that each row is lower than all before it."""
    return tuple(combinations(labels, 2))


def lowest(best: str, *others: str) -> tuple[tuple[str, str], ...]:
    """The pairs of a claim that `best` is lower than every one of `others`."""
    return tuple((other, best) for other in others)


@dataclass(frozen=True, slots=True)
class Reference:
    """A network of other authors in a table of the paper: it is quoted, and counted where residua has it."""

    label: str
    """The paper's name for it."""
    paper: tuple[str, ...]
    """What the paper prints under the item's `reference_columns`; empty for a dash."""
    network: str = ""
    """Its name in the zoo; empty where residua does not have it."""


@dataclass(frozen=True, slots=True)
class Item:
    """A table or figure of a paper: its rows, its conclusion, and what reproducing it takes."""

    name: str
    """`he2015/fig6`."""
    title: str
    """One line: what it shows."""
    source: str
    """`He et al. 2015, figure 6`."""
    rows: tuple[PublishedRow, ...] = ()
    """Its rows or curves; none where it cannot be reproduced."""
    figure: Literal["curves", "bars", "responses", "blocks", "networks", "history"] = "bars"
    """How it is drawn."""
    conclusion: str = ""
    """One or two sentences: what the paper concludes, and what must not be read into it."""
    claims: tuple[PaperClaim, ...] = ()
    """The parts of the conclusion that numbers can confirm."""
    keeps_question: bool = False
    """Whether the rows' `small_network`s were built to ask the paper's question on small images."""
    obstacle: str = ""
    """Why it cannot be reproduced; empty where it can."""
    references: tuple[Reference, ...] = ()
    """Networks of other authors in the same table."""
    reference_columns: tuple[str, ...] = ()
    """What the paper prints of those: `top-1 error`."""
    reference_title: str = "Networks of other authors in the same table"
    """Heading of those."""
    added: tuple[str, ...] = ()
    """Networks that the user added, as text; their rows are the last."""

    @property
    def paper(self) -> str:
        """`he2015`, `he2016` or `duta2020`."""
        return self.name.partition("/")[0]

    @property
    def datasets(self) -> tuple[str, ...]:
        """The data that its trained rows need, each once; empty where everything is counted."""
        return tuple(dict.fromkeys(row.data for row in self.rows if not row.is_counted))

    def networks(self, budget: Budget, *, small_images: bool) -> tuple[NamedNetwork, ...]:
        """The networks trained at `budget` on large or small images, each once, in the order of the rows."""
        trained = [
            row.network_for(small_images=small_images) for row in self.rows if row.is_trained_at(budget)
        ]
        return tuple({network.name: network for network in trained}.values())


def with_networks(item: Item, texts: Sequence[str]) -> Item:
    """`item` with further networks, which are trained or counted as its own are.

    Args:
        item: A table or figure.
        texts: Networks by name, with changes where wanted, or JSON files.

    Returns:
        The item with a row for each network and each measure, on the data and under the views of its last row
        with that measure.

    Raises:
        ConfigError: A network is unknown, or has a name that the item has already.
    """
    last = {(row.measure, row.views, row.data): row for row in item.rows}.values()
    rows = list(item.rows)
    for text in texts:
        arch = arch_of(text)
        network = NamedNetwork(re.sub(r"[^\w.=+-]", "_", arch.name), partial(replace, arch))
        if any(network.name in _names(row) for row in rows):
            raise ConfigError(f"{item.name} has a network {network.name} already: leave {text} out")
        rows += [
            PublishedRow(
                arch.name, network, remark=ADDED, measure=row.measure, views=row.views, data=row.data,
                panel=row.panel,
            )
            for row in last
        ]  # fmt: skip
    return replace(item, rows=tuple(rows), added=tuple(texts))


def _names(row: PublishedRow) -> set[str]:
    return {network.name for network in (row.network, row.small_network) if network}


def _count_text(value: float) -> str:
    return f"{value / 1e9:.2f} G" if value >= 1e9 else f"{value / 1e6:.2f} M"
