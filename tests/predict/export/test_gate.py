"""The gate lets a file pass that computes what the network does, and no other."""

from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from sample_network import sample_network

from residua.errors import CheckpointError, NonFiniteError
from residua.nn.network import Network
from residua.predict.export.facts import Takes
from residua.predict.export.gate import (
    BATCHES,
    GateBatch,
    compare,
    gate_batches,
    generated_photos,
    with_odd_sizes,
)
from residua.predict.export.graph import export_graph

PHOTOS = generated_photos(6, colour="rgb")


@pytest.fixture(scope="module")
def network() -> Network:
    return sample_network().eval()


@pytest.fixture(scope="module")
def batches(network: Network) -> list[GateBatch]:
    return gate_batches(network, PHOTOS, "inputs")


def computing(network: Network, *, factor: float = 1.0) -> Any:
    """The network as a file that was loaded; with a factor, a wrong one."""

    def compute(arrays: Any) -> Any:
        with torch.inference_mode():
            return network(torch.from_numpy(arrays)).numpy() * factor

    return compute


def test_that_a_true_file_agrees(network: Network, batches: list[GateBatch]) -> None:
    parity = compare(computing(network), batches, takes="inputs")
    assert parity.agrees
    assert parity.same_top1 == 1
    assert parity.images == sum(BATCHES) * 2


@pytest.mark.parametrize("factor", [1.01, -1, float("nan"), float("inf")])
def test_that_a_file_with_other_logits_does_not_agree(
    network: Network, batches: list[GateBatch], factor: float
) -> None:
    assert not compare(computing(network, factor=factor), batches, takes="inputs").agrees


def test_that_a_batch_that_was_frozen_is_refused(network: Network, batches: list[GateBatch]) -> None:
    with pytest.raises(CheckpointError, match="computes"):
        compare(lambda arrays: computing(network)(arrays[:1]), batches, takes="inputs")


@pytest.mark.parametrize("takes", ["inputs", "images"])
def test_that_batches_have_one_two_and_five_images(network: Network, takes: Takes) -> None:
    sizes = [len(batch.arrays) for batch in gate_batches(network, PHOTOS[:3], takes)]
    assert sizes == [*BATCHES]


def test_that_a_graph_of_images_gets_them_as_they_are(network: Network) -> None:
    batches = gate_batches(network, PHOTOS[:2], "images")
    assert [batch.arrays.shape[1:3] for batch in batches] == [image.size[::-1] for image in PHOTOS[:2]]
    module = export_graph(network, takes="images").program.module()
    parity = compare(
        lambda arrays: module(torch.from_numpy(arrays)).detach().numpy(), batches, takes="images"
    )
    assert parity.difference < 1e-4


def test_that_images_come_in_odd_sizes_too() -> None:
    images = with_odd_sizes([Image.new("RGB", (40, 30))] * 4)
    assert len(images) == 8
    assert all(side % 2 for image in images[4:] for side in image.size)


def test_that_grey_photos_have_one_channel() -> None:
    assert generated_photos(1, colour="grey")[0].mode == "L"
    assert PHOTOS[0].mode == "RGB"
    assert not np.array_equal(np.asarray(PHOTOS[0]).shape, np.asarray(PHOTOS[1]).shape)


def test_that_a_network_that_computes_no_numbers_is_not_exported() -> None:
    network = sample_network().eval()
    with torch.no_grad():
        next(network.parameters()).fill_(float("nan"))
    with pytest.raises(NonFiniteError, match="NaN"):
        gate_batches(network, PHOTOS[:1], "inputs")
