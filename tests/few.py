"""What `make test` asks of a few, and `make battery` of all: values of `pytest.mark.parametrize`.

A promise that holds for every network, every fault or every interruption takes minutes to test for all of
them. The few that are named cover what differs; the others carry the mark `battery`.
"""

from collections.abc import Collection, Iterable
from typing import Any

import pytest

from residua.spec.zoo import NAMES, arch

FAMILIES = {arch(name).family: name for name in reversed(NAMES)}
"""The first name of each family."""


def few_of(values: Iterable[Any], few: Collection[Any]) -> list[Any]:
    """`values`, of which those not among `few` wait for the battery."""
    return [value if value in few else pytest.param(value, marks=pytest.mark.battery) for value in values]


def one_of_each_family(names: Iterable[str]) -> list[Any]:
    """`names` of networks, of which the first of each family does not wait for the battery."""
    ordered = list(names)
    few = {arch(name).family: name for name in reversed(ordered)}
    return few_of(ordered, list(few.values()))
