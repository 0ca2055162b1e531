"""Dialect: how another library names the layers of a network, and the translation between its names and ours.

The translation is total and strict: every name is read and every name is filled, or an error is raised.
"""

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
STEPS = {"+1}": 1, "-1}": -1}
"""How a field of a template ends that is one more or one less than ours, `{n+1}`: what is added."""
COUNTER = "num_batches_tracked"
"""Batches that a norm has counted. Files from before torch 0.4.1 and frozen norms lack it; it is not used."""
WINDOW_1X1 = (1, 1)
"""Last axes of the weights of a 1x1 convolution, which those of a linear layer do not have."""


@dataclass(frozen=True, slots=True)
class Dialect:
    """One source's names, as a table of templates; a row reads both ways."""

    name: str
    """What `source=` calls it."""
    rows: tuple[tuple[str, str], ...]
    """Theirs and ours: `layer{stage+1}.{block}.bn{n}`, `stages.{stage}.{block}.residual.norm{n}`."""
    as_convs: tuple[str, ...] = ()
    """Our linear layers that are 1x1 convolutions there: shape (out, in, 1, 1) for our (out, in)."""
    lacks: tuple[tuple[str, str], ...] = ()
    """Our layers, as templates, that do not exist there, and what to do instead."""
    drops: str = ""
    """Pattern of their names that are left out because only training uses them; empty for none."""

    def names(self, keys: Iterable[str]) -> dict[str, str]:
        """Our key -> theirs, for all `keys` of a state dict.

        Raises:
            CheckpointError: The table has no row for a key.
        """
        keys = list(keys)
        theirs = self.known(keys)
        for key in keys:
            if key not in theirs:
                raise CheckpointError(f"{self.name} has no name for {key}: {self._advice(key)}")
        assert len(set(theirs.values())) == len(theirs), f"two keys share one name in {self.name}"
        return theirs

    def known(self, keys: Iterable[str]) -> dict[str, str]:
        """Our key -> theirs, for those of `keys` that the table has a row for."""
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
                return _fill(theirs, match.groupdict())
        return None

    def _advice(self, key: str) -> str:
        layer = key.rpartition(".")[0]
        matching = (advice for ours, advice in self.lacks if _pattern(ours).fullmatch(layer))
        return next(matching, "choose another source")

    def is_conv(self, key: str) -> bool:
        """Whether our matrix `key` is a 1x1 convolution there."""
        layer, _, leaf = key.rpartition(".")
        return leaf == "weight" and layer in self.as_convs


def translate(
    state: Mapping[str, Tensor], dialect: Dialect, keys: Iterable[str], *, to: Literal["ours", "theirs"]
) -> dict[str, Tensor]:
    """A state dict under other names.

    Args:
        state: Weights under their names, or ours.
        dialect: The table of names.
        keys: All keys of our network.
        to: Which names the result has.

    Raises:
        CheckpointError: A name of `state` is unknown, or one is missing.
    """
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
    reshape = _to_matrix if to == "ours" else _to_conv
    return {new: reshape(state[name]) if new in convs else state[name] for new, name in old.items()}


def listed(names: list[str]) -> str:
    """The first three names and how many more there are; `nothing` when there is none."""
    more = f" and {len(names) - 3} more" if len(names) > 3 else ""
    return ", ".join(names[:3]) + more if names else "nothing"


def _to_matrix(conv: Tensor) -> Tensor:
    """(out, in, 1, 1) -> (out, in); other shapes stay, for the check of shapes to report."""
    return conv.flatten(1) if conv.shape[2:] == WINDOW_1X1 else conv


def _to_conv(matrix: Tensor) -> Tensor:
    return matrix[..., None, None]


@cache
def _pattern(template: str) -> re.Pattern[str]:
    pattern = re.escape(template)
    for field, expression in FIELDS.items():
        pattern = pattern.replace(rf"\{{{field}\}}", f"(?P<{field}>{expression})")
    return re.compile(pattern)


def _fill(template: str, fields: Mapping[str, str]) -> str:
    for field, value in fields.items():
        template = template.replace(f"{{{field}}}", value)
        for end, step in STEPS.items():
            if (neighbour := f"{{{field}{end}") in template:
                template = template.replace(neighbour, str(int(value) + step))
    return template


def _fresh_counters(names: Iterable[str], state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    return {name: torch.tensor(0) for name in names if name.endswith(COUNTER) and name not in state}
