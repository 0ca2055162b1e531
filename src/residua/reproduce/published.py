"""Published: what a paper printed and which network it stands for; values, with no way to train them."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Literal

from residua.spec import change, zoo
from residua.spec.arch import Arch
from residua.spec.zoo import he2016

Budget = Literal["smoke", "small", "full"]
BUDGETS: tuple[Budget, ...] = ("smoke", "small", "full")
"""Minutes on digits; a short schedule on the papers' data; the papers' own schedule."""
ABSENT = "paper value not available"
"""Said wherever no source for a number was reached."""
DRAWN = "drawn, not counted"
"""Said where a figure shows a network and prints no number."""


@dataclass(frozen=True, slots=True)
class Net:
    """A network that a row stands for."""

    name: str
    """How it is called in tables and in the folder of its runs."""
    build: Callable[[], Arch]
    """Makes it."""

    def arch(self) -> Arch:
        """The network, under its name."""
        return replace(self.build(), name=self.name)


def net(name: str, *, shortcut: str = "", order: str = "") -> Net:
    """The network that `create_model(name, shortcut=..., order=...)` builds."""

    def build() -> Arch:
        arch = zoo.arch(name)
        arch = change.with_shortcut(arch, shortcut) if shortcut else arch
        return change.with_order(arch, order) if order else arch

    return Net("_".join(part for part in (name, shortcut.replace(",", "+"), order) if part), build)


def bottleneck(depth: int, *, order: str = "a") -> Net:
    """A CIFAR bottleneck net of 9n+2 layers, for pictures too small for those of ImageNet."""

    def build() -> Arch:
        return change.with_order(he2016.cifar_bottleneck("", depth=depth), order)

    return Net(f"cifar_bottleneck{depth}{'' if order == 'a' else order}", build)


@dataclass(frozen=True, slots=True)
class PublishedRow:
    """One network under one protocol, with the paper's number for it."""

    label: str
    """The paper's name for it."""
    net: Net
    """The network."""
    paper: float | None = None
    """The paper's number, in the measure's unit; None where it printed none, or none was reached."""
    deviation: float | None = None
    """The paper's own deviation, in the same unit."""
    said: str = ""
    """What belongs to the paper's number: `best of 5`, `fail (> 20 %)`."""
    measure: Literal[
        "train_error", "test_error", "top1_error", "top5_error", "params", "macs", "response", "map", "map50"
    ] = "test_error"
    """What is compared: errors in percent (top-1 and top-5 under `views`), counts, a mean deviation, or mean
    average precision in percent (at overlaps .5 to .95, or .5)."""
    views: str = "center"
    """How test images are shown."""
    data: str = "cifar10"
    """Data of the paper: `cifar10`, `cifar100`, `imagenet`, `coco`, `voc2007`, `voc2012`, `kinetics400` or
    `something2`."""
    panel: str = ""
    """Rows of one name share a pair of axes, and a colour with those at the same place in other panels."""
    budgets: tuple[Budget, ...] = BUDGETS
    """Budgets at which it is trained; at others it is listed as left out."""
    stand_in: Net | None = None
    """What is trained in its place on pictures too small for it; None for itself."""

    def __post_init__(self) -> None:
        """A row without a number says so."""
        if self.paper is None and not self.said:
            object.__setattr__(self, "said", ABSENT)

    def asks_at(self, budget: Budget) -> bool:
        """Whether a network must be trained for it at `budget`."""
        return budget in self.budgets and self.measure not in ("params", "macs")

    def trained(self, *, small: bool) -> Net:
        """The network that is trained for it on large or `small` pictures."""
        return self.stand_in if small and self.stand_in else self.net

    @property
    def printed(self) -> str:
        """The paper's number as it is shown."""
        if self.paper is None:
            return self.said
        number = _count(self.paper) if self.measure in ("params", "macs") else f"{self.paper:.2f}"
        spread = f" ± {self.deviation:.2f}" if self.deviation is not None else ""
        return f"{number}{spread}" + (f" ({self.said})" if self.said else "")


@dataclass(frozen=True, slots=True)
class Claim:
    """That one row is worse than another: what the paper concludes, to be checked against what came out."""

    worse: str
    """Label of the row with the higher error."""
    better: str
    """Label of the row with the lower error."""
    measure: Literal["train_error", "test_error"] = "test_error"
    """In training error, or in the row's own measure."""


@dataclass(frozen=True, slots=True)
class Item:
    """A table or figure: what it says and what it takes."""

    name: str
    """`he2015/fig6`."""
    what: str
    """One line: what it shows."""
    place: str
    """`He et al. 2015, figure 6`."""
    rows: tuple[PublishedRow, ...] = ()
    """Its lines; none where it cannot be reproduced."""
    figure: Literal["curves", "bars", "responses", "blocks", "networks"] = "bars"
    """How it is drawn."""
    says: str = ""
    """One or two sentences: what the paper concludes, and what must not be read into it."""
    claims: tuple[Claim, ...] = ()
    """What should be seen."""
    seeds: int = 1
    """Runs of each network in the paper."""
    is_scalable: bool = False
    """Whether the networks that stand in were built to ask the same question on small pictures."""
    reason: str = ""
    """Why it cannot be reproduced; empty where it can."""

    @property
    def paper(self) -> str:
        """`he2015`."""
        return self.name.partition("/")[0]

    @property
    def needs(self) -> tuple[str, ...]:
        """The paper's data, each once."""
        return tuple(dict.fromkeys(row.data for row in self.rows if row.measure not in ("params", "macs")))

    def nets(self, budget: Budget, *, small: bool) -> tuple[Net, ...]:
        """The networks trained at `budget`, each once; on `small` pictures those that stand in."""
        wanted = [row.trained(small=small) for row in self.rows if row.asks_at(budget)]
        return tuple({net.name: net for net in wanted}.values())


def _count(value: float) -> str:
    return f"{value / 1e9:.2f} G" if value >= 1e9 else f"{value / 1e6:.2f} M"
