"""The list of networks: which are asked for, in which order, and what they cost."""

import re
from collections.abc import Sequence
from dataclasses import dataclass

from residua.spec import zoo
from residua.spec.amount import number
from residua.spec.arch import Arch
from residua.spec.describe import plain_numbers
from residua.spec.record import nearest

ORDERS = ("params", "macs", "activations", "depth", "receptive_field", "name")
"""What a list can be sorted by."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which networks are asked for; an empty field asks for nothing."""

    patterns: tuple[str, ...] = ()
    """Shell-style patterns, any of which may match; none asks for all."""
    family: str = ""
    """As in `Arch.family`."""
    paper: str = ""
    """As `paper_of` gives it: `he2015`."""
    max_params: str = ""
    """Most learnable numbers: `30M`."""
    max_macs: str = ""
    """Most multiply-adds: `5G`."""
    size: int = 0
    """Side of the images, in pixels."""


@dataclass(frozen=True, slots=True)
class ModelEntry:
    """A network with the numbers that people compare."""

    arch: Arch
    """The network."""
    numbers: dict[str, int]
    """As `residua.spec.describe.plain_numbers` gives them."""

    def plain(self) -> dict[str, str | int]:
        """As JSON values."""
        arch = self.arch
        texts = {"name": arch.name, "family": arch.family, "source": arch.source, "paper": paper_of(arch)}
        return {**texts, **self.numbers}


def paper_of(arch: Arch) -> str:
    """First author and year of where it comes from, `he2015`; empty for what is ours."""
    found = re.match(r"([A-Z]\w+) (?:et al\.|and \w+) (\d{4})", arch.source)
    return found[1].lower() + found[2] if found else ""


def catalogue(wanted: Wanted, *, order: str = "", reverse: bool = False) -> list[ModelEntry]:
    """The networks asked for, in the papers' order or from small to large by one of ORDERS.

    ValueError for an unknown pattern, family, paper or order, for an amount that is none, and when nothing is
    left.
    """
    if order and order not in ORDERS:
        raise ValueError(f"cannot sort by {order!r}: {nearest(order, ORDERS)}")
    archs = [zoo.arch(name) for name in _matching(wanted.patterns)]
    for what, word, of in (("family", wanted.family, _family), ("paper", wanted.paper, paper_of)):
        known = sorted({of(zoo.arch(name)) for name in zoo.NAMES} - {""}) if word else []
        if word and word not in known:
            raise ValueError(f"no {what} {word!r}: {nearest(word, known)}")
        archs = [arch for arch in archs if word in ("", of(arch))]
    most = {"params": wanted.max_params, "macs": wanted.max_macs}
    limits = {field: number(text) for field, text in most.items() if text}
    found = [ModelEntry(arch, plain_numbers(arch)) for arch in archs]
    found = [entry for entry in found if all(entry.numbers[what] <= most for what, most in limits.items())]
    found = [entry for entry in found if wanted.size in (0, entry.numbers["input"])]
    if not found:
        raise ValueError("no network is left: loosen a limit; `residua models` lists all with their numbers")
    if order:
        by_name = order == "name"
        found.sort(key=lambda entry: (entry.arch.name, 0) if by_name else ("", entry.numbers[order]))
    return found[::-1] if reverse else found


def comparison(names: Sequence[str]) -> list[ModelEntry]:
    """The networks of exactly these names, in this order. ValueError below two, or for an unknown name."""
    if len(names) < 2:
        raise ValueError("a comparison needs two names or more: residua models --compare resnet50 iresnet50")
    return [ModelEntry(arch, plain_numbers(arch)) for arch in map(zoo.arch, names)]


def _family(arch: Arch) -> str:
    return arch.family


def _matching(patterns: Sequence[str]) -> list[str]:
    for pattern in patterns:
        if not zoo.names(pattern):
            raise ValueError(f"no model matches {pattern!r}: {nearest(pattern, zoo.NAMES)}")
    chosen = {name for pattern in patterns for name in zoo.names(pattern)}
    return [name for name in zoo.NAMES if name in chosen or not patterns]
