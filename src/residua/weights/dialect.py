"""Dialect: how others name the layers of a network, and the total translation between theirs and ours."""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cache
from typing import Literal

import torch
from torch import Tensor

from residua.weights.store import CheckpointError

FIELDS = {"stage": r"\d+", "block": r"\d+", "n": r"\d+", "layer": r".+"}
"""What a field of a template stands for; `layer` is a whole name."""
COUNTER = "num_batches_tracked"
"""Batches a norm has seen: files from before torch 0.4.1 lack it, and no network of ours reads it."""


@dataclass(frozen=True, slots=True)
class Dialect:
    """One source's names, as a table of templates; a row reads both ways."""

    name: str
    """What `source=` calls it."""
    rows: tuple[tuple[str, str], ...]
    """Their layer and ours, e.g. `layer{stage}.{block}.bn{n}`, `stages.{stage}.{block}.residual.norm{n}`."""
    first_stage: int = 1
    """Their number of our stage 0."""

    def names(self, keys: Iterable[str]) -> dict[str, str]:
        """Our key -> theirs, no name twice. CheckpointError when the table has no row for a key."""
        found = {key: self._name(key) for key in keys}
        assert len(set(found.values())) == len(found), f"two keys share one name in {self.name}"
        return found

    def _name(self, key: str) -> str:
        layer, dot, leaf = key.rpartition(".")
        for theirs, ours in self.rows:
            if match := re.fullmatch(_pattern(ours), layer):
                fields = match.groupdict()
                if "stage" in fields:
                    fields["stage"] = str(int(fields["stage"]) + self.first_stage)
                return theirs.format_map(fields) + dot + leaf
        raise CheckpointError(f"{self.name} has no name for {key}: choose another source")


def translate(
    state: Mapping[str, Tensor], dialect: Dialect, keys: Iterable[str], *, to: Literal["ours", "theirs"]
) -> dict[str, Tensor]:
    """`state` under other names; `keys` are all of ours. CheckpointError on a key left unread or unfilled."""
    names = dialect.names(keys)
    if to == "ours":
        state = {**_fresh_counters(names.values(), state), **state}
        old = names
    else:
        old = {theirs: ours for ours, theirs in names.items()}
    missing = [name for name in old.values() if name not in state]
    unread = set(state) - set(old.values())
    unexpected = [name for name in state if name in unread]
    if missing or unexpected:
        raise CheckpointError(
            f"{dialect.name if to == 'ours' else 'our'} names do not fit: "
            f"missing {listed(missing)}; unexpected {listed(unexpected)}: give weights of this network"
        )
    return {new: state[name] for new, name in old.items()}


def listed(names: list[str]) -> str:
    """The first three names and how many more there are; `nothing` when there is none."""
    more = f" and {len(names) - 3} more" if len(names) > 3 else ""
    return ", ".join(names[:3]) + more if names else "nothing"


@cache
def _pattern(template: str) -> str:
    pattern = re.escape(template)
    for field, found in FIELDS.items():
        pattern = pattern.replace(rf"\{{{field}\}}", f"(?P<{field}>{found})")
    return pattern


def _fresh_counters(names: Iterable[str], state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    return {name: torch.tensor(0) for name in names if name.endswith(COUNTER) and name not in state}
