"""Dialect: how others name the layers of a network, and the total translation between theirs and ours."""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cache
from typing import Literal

import torch
from torch import Tensor

from residua.errors import CheckpointError

FIELDS = {"stage": r"\d+", "block": r"\d+", "n": r"\d+", "layer": r".+"}
"""What a field of a template stands for; `layer` is a whole name."""
NEXT = "+1}"
"""How a field of a template ends that is one more than ours: `{n+1}`."""
COUNTER = "num_batches_tracked"
"""Batches a norm has seen: files from before torch 0.4.1 and frozen norms lack it; no network reads it."""
SPARE = (1, 1)
"""Axes that the weights of a 1x1 convolution have after those of a linear layer."""


@dataclass(frozen=True, slots=True)
class Dialect:
    """One source's names, as a table of templates; a row reads both ways."""

    name: str
    """What `source=` calls it."""
    rows: tuple[tuple[str, str], ...]
    """Their layer and ours: `layer{stage+1}.{block}.bn{n}`, `stages.{stage}.{block}.residual.norm{n}`."""
    as_convs: tuple[str, ...] = ()
    """Our linear layers that they keep as 1x1 convolutions: shape (out, in, 1, 1) for our (out, in)."""
    lacks: tuple[tuple[str, str], ...] = ()
    """Layers of ours that they have no place for, as templates, and what to do instead."""
    drops: str = ""
    """Pattern of their names that no network of ours reads, and that are left out; empty for none."""

    def names(self, keys: Iterable[str]) -> dict[str, str]:
        """Our key -> theirs, no name twice. CheckpointError when the table has no row for a key."""
        keys = list(keys)
        found = self.known(keys)
        for key in keys:
            if key not in found:
                raise CheckpointError(f"{self.name} has no name for {key}: {self._advice(key)}")
        assert len(set(found.values())) == len(found), f"two keys share one name in {self.name}"
        return found

    def known(self, keys: Iterable[str]) -> dict[str, str]:
        """The same for those of `keys` that the table has a row for."""
        split = {key: key.rpartition(".") for key in keys}
        names = {layer: self._name(layer) for layer in {layer for layer, _, _ in split.values()}}
        return {
            key: f"{theirs}{dot}{leaf}"
            for key, (layer, dot, leaf) in split.items()
            if (theirs := names[layer]) is not None
        }

    def _name(self, layer: str) -> str | None:
        for theirs, ours in self.rows:
            if match := _pattern(ours).fullmatch(layer):
                return _filled(theirs, match.groupdict())
        return None

    def _advice(self, key: str) -> str:
        layer = key.rpartition(".")[0]
        found = (advice for ours, advice in self.lacks if _pattern(ours).fullmatch(layer))
        return next(found, "choose another source")

    def is_conv(self, key: str) -> bool:
        """Whether our `key` is a matrix that they keep as a 1x1 convolution."""
        layer, _, leaf = key.rpartition(".")
        return leaf == "weight" and layer in self.as_convs


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
    unread = {name for name in set(state) - set(old.values()) if not name.endswith(COUNTER)}
    unexpected = [name for name in state if name in unread]
    if missing or unexpected:
        raise CheckpointError(
            f"{dialect.name if to == 'ours' else 'our'} names do not fit: "
            f"missing {listed(missing)}; unexpected {listed(unexpected)}: give weights of this network"
        )
    convs = {new for new, name in old.items() if dialect.is_conv(new if to == "ours" else name)}
    reshape = _flat if to == "ours" else _spread
    return {new: reshape(state[name]) if new in convs else state[name] for new, name in old.items()}


def listed(names: list[str]) -> str:
    """The first three names and how many more there are; `nothing` when there is none."""
    more = f" and {len(names) - 3} more" if len(names) > 3 else ""
    return ", ".join(names[:3]) + more if names else "nothing"


def _flat(conv: Tensor) -> Tensor:
    """(out, in, 1, 1) -> (out, in); anything else as it is, for the check of shapes to name."""
    return conv.flatten(1) if conv.shape[2:] == SPARE else conv


def _spread(matrix: Tensor) -> Tensor:
    return matrix[..., None, None]


@cache
def _pattern(template: str) -> re.Pattern[str]:
    pattern = re.escape(template)
    for field, found in FIELDS.items():
        pattern = pattern.replace(rf"\{{{field}\}}", f"(?P<{field}>{found})")
    return re.compile(pattern)


def _filled(template: str, fields: Mapping[str, str]) -> str:
    for field, value in fields.items():
        template = template.replace(f"{{{field}}}", value)
        if (following := f"{{{field}{NEXT}") in template:
            template = template.replace(following, str(int(value) + 1))
    return template


def _fresh_counters(names: Iterable[str], state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    return {name: torch.tensor(0) for name in names if name.endswith(COUNTER) and name not in state}
