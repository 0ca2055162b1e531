"""Blocks removed at will give what the lesion study gives, from maps in memory or without any."""

import numpy as np
import pytest
import torch
from torch import Tensor

from residua.analyse.block_removal import BlockRemoval
from residua.analyse.lesion import lesion_study
from residua.errors import ConfigError
from residua.jobs.models import create_model
from residua.nn.network import Network


def untrained(name: str) -> tuple[Network, Tensor]:
    torch.manual_seed(0)
    network = create_model(name, num_classes=4).eval()
    return network, torch.randn(12, 3, 32, 32)


@pytest.mark.parametrize("name", ["cifar_resnet20", "cifar_plain20", "cifar_resnet20:order=e"])
def test_errors_are_those_of_the_lesion_study(name: str) -> None:
    network, inputs = untrained(name)
    labels = torch.arange(12) % 4
    study, removal = lesion_study(network, inputs, labels), BlockRemoval(network, inputs)
    assert removal.names == study.names
    assert removal.removable == tuple(not np.isnan(error) for error in study.removed)
    for number, error in enumerate(study.removed):
        if removal.removable[number]:
            wrong = removal.probabilities(frozenset({number})).argmax(1) != labels.numpy()
            assert 100 * wrong.mean() == pytest.approx(error)


@pytest.mark.parametrize("max_bytes", [0, 1 << 20, 1 << 30])
def test_results_do_not_depend_on_the_maps_in_memory(max_bytes: int) -> None:
    network, inputs = untrained("cifar_resnet20")
    removal = BlockRemoval(network, inputs, max_bytes=max_bytes)
    assert sum(value.nbytes for value in removal._maps.values()) <= max_bytes
    with torch.inference_mode():
        whole = torch.softmax(network(inputs), 1).numpy()
    np.testing.assert_allclose(removal.probabilities(), whole, atol=1e-6)
    reference = BlockRemoval(network, inputs, max_bytes=0)
    for removed in ({0}, {8}, {3, 7}, {1, 2, 4, 5, 7, 8}):
        expected = reference.probabilities(frozenset(removed))
        np.testing.assert_allclose(removal.probabilities(frozenset(removed)), expected, atol=1e-6)
    assert not np.allclose(removal.probabilities(frozenset({0})), whole, atol=1e-4)


def test_blocks_that_cannot_be_removed_are_refused() -> None:
    removal = BlockRemoval(*untrained("cifar_plain20"))
    assert not removal.removable[3]
    with pytest.raises(ConfigError, match=r"stages\.1\.0"):
        removal.probabilities(frozenset({3}))
    with pytest.raises(ConfigError, match="9"):
        removal.probabilities(frozenset({9}))
