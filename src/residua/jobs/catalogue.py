"""The list of networks: filtered, sorted and compared by what they cost."""

import re
from collections.abc import Sequence
from dataclasses import dataclass

from residua.errors import ConfigError
from residua.spec import zoo
from residua.spec.amount import parse_count
from residua.spec.arch import Arch
from residua.spec.describe import plain_numbers
from residua.spec.named_network import arch_of, is_network
from residua.spec.record import nearest

SORT_KEYS = ("params", "macs", "activations", "depth", "receptive_field", "name")
"""Numbers by which a list can be sorted."""


@dataclass(frozen=True, slots=True)
class ModelFilter:
    """Which networks to list; an empty field filters nothing."""

    patterns: tuple[str, ...] = ()
    """Shell-style patterns, any of which may match, or networks with changes; none matches all."""
    family: str = ""
    """As in `Arch.family`."""
    paper: str = ""
    """As `paper_of` gives it: `he2015`."""
    max_params: str = ""
    """Largest number of parameters: `30M`."""
    max_macs: str = ""
    """Largest number of multiply-adds: `5G`."""
    size: int = 0
    """Side of the images, in pixels."""


@dataclass(frozen=True, slots=True)
class ModelEntry:
    """A network with its costs."""

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
    """First author and year of the network's paper, `he2015`; empty for networks of our own."""
    source = re.match(r"([A-Z]\w+) (?:et al\.|and \w+) (\d{4})", arch.source)
    return source[1].lower() + source[2] if source else ""


def list_entries(chosen: ModelFilter, *, sort: str = "", reverse: bool = False) -> list[ModelEntry]:
    """The networks that pass a filter.

    Args:
        chosen: The filter.
        sort: One of SORT_KEYS, from small to large; empty keeps the order of the papers.
        reverse: Reverse the order.

    Raises:
        ConfigError: A pattern, family, paper, sort key or amount is unknown, or nothing passes the filter.
    """
    if sort and sort not in SORT_KEYS:
        raise ConfigError(f"cannot sort by {sort!r}: {nearest(sort, SORT_KEYS)}")
    archs = [arch_of(name) for name in _matching(chosen.patterns)]
    for what, word, of in (("family", chosen.family, _family), ("paper", chosen.paper, paper_of)):
        known = sorted({of(zoo.arch(name)) for name in zoo.NAMES} - {""}) if word else []
        if word and word not in known:
            raise ConfigError(f"no {what} {word!r}: {nearest(word, known)}")
        archs = [arch for arch in archs if word in ("", of(arch))]
    maxima = {"params": chosen.max_params, "macs": chosen.max_macs}
    limits = {field: parse_count(text) for field, text in maxima.items() if text}
    entries = [ModelEntry(arch, plain_numbers(arch)) for arch in archs]
    entries = [
        entry for entry in entries if all(entry.numbers[what] <= limit for what, limit in limits.items())
    ]
    entries = [entry for entry in entries if chosen.size in (0, entry.numbers["input"])]
    if not entries:
        raise ConfigError(
            "no network passes the filter: loosen a limit; `residua models` lists all with their numbers"
        )
    if sort:
        by_name = sort == "name"
        entries.sort(key=lambda entry: (entry.arch.name, 0) if by_name else ("", entry.numbers[sort]))
    return entries[::-1] if reverse else entries


def compare_entries(names: Sequence[str]) -> list[ModelEntry]:
    """The networks with exactly these names, each with changes where wanted, in this order.

    Raises:
        ConfigError: There are fewer than two names, or one is unknown.
    """
    if len(names) < 2:
        raise ConfigError("a comparison needs two names or more: residua models --compare resnet50 iresnet50")
    return [ModelEntry(arch, plain_numbers(arch)) for arch in map(arch_of, names)]


def _family(arch: Arch) -> str:
    return arch.family


def _matching(patterns: Sequence[str]) -> list[str]:
    changed = [text for text in patterns if is_network(text) and text not in zoo.NAMES]
    for pattern in patterns:
        if pattern not in changed and not zoo.names(pattern):
            hint = f"try '*{pattern}*'" if zoo.names(f"*{pattern}*") else nearest(pattern, zoo.NAMES)
            raise ConfigError(f"no model matches {pattern!r}: {hint}")
    chosen = {name for pattern in patterns for name in zoo.names(pattern)}
    return [*(name for name in zoo.NAMES if name in chosen or not patterns), *changed]
