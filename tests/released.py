"""Published weights for tests: rows of a catalogue of their own, whose files are in the cache of the test."""

from dataclasses import replace
from typing import Any

import pytest
import torch

from residua.nn.network import Network, build
from residua.spec.named_network import arch_of
from residua.spec.preprocess import Preprocess
from residua.weights import caches, catalogue, save_as
from residua.weights.catalogue import ReleasedWeights
from small import randomise_norms

READS = Preprocess(40, 44, (0.1, 0.2, 0.3), (0.4, 0.5, 0.6), interpolation="bicubic")
"""What the networks of these weights read."""
ROW = ReleasedWeights(
    name="cifar_resnet20.tests.v1",
    model="cifar_resnet20",
    dialect="cifar",
    file="resnet20.pth",
    urls=("https://tests.invalid/resnet20.pth",),
    hub="",
    sha256="",
    size=1_100_000,
    top1=91.5,
    protocol="the 10,000 test images",
    source="https://tests.invalid/weights",
    licence="MIT",
    training_data="CIFAR-10",
    preprocess=READS,
    classes="cifar10",
    verified="",
)
"""Weights of a small network."""
SPELLINGS = catalogue._spellings.__wrapped__
"""All names of the catalogue, computed anew each time."""


def shaken(model: str, **changes: Any) -> Network:
    """The network called `model` with random weights, also in its norms and their statistics."""
    network = build(arch_of(model, **changes))
    randomise_norms(network)
    return network.eval()


def in_catalogue(monkeypatch: pytest.MonkeyPatch, *rows: ReleasedWeights) -> None:
    """Let the catalogue have these rows and no others."""
    monkeypatch.setattr(catalogue, "_catalogue", lambda: rows)
    monkeypatch.setattr(catalogue, "_spellings", SPELLINGS)


def released(monkeypatch: pytest.MonkeyPatch, **fields: Any) -> tuple[ReleasedWeights, Network]:
    """The only row of the catalogue, `ROW` with `fields`, its file in the cache, and the network in it."""
    row = replace(ROW, **fields)
    network = shaken(row.model)
    file = caches.own_path(row)
    file.parent.mkdir(parents=True, exist_ok=True)
    torch.save({"state_dict": save_as(network, row.dialect)}, file)
    in_catalogue(monkeypatch, row)
    return row, network
