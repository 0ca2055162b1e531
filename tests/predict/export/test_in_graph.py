"""A graph that reads images cuts the view that Pillow cuts, bit for bit, in every runtime."""

from dataclasses import replace
from itertools import product
from typing import Any

import numpy as np
import onnxruntime
import PIL
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as some
from numpy.typing import NDArray
from packaging.version import Version
from PIL import Image
from sample_network import sample_network

from residua.data.eval_view import eval_view
from residua.data.transforms import normalise
from residua.errors import ConfigError
from residua.nn.network import Network
from residua.predict.export.graph import ExportGraph, export_graph
from residua.predict.export.in_graph import NetworkOfImages
from residua.predict.export.onnx import write_onnx
from residua.predict.export.openvino import convert_to_openvino
from residua.predict.openvino_package import import_openvino
from residua.spec.clip import Clip
from residua.spec.preprocess import Preprocess, packed

SIDES = some.integers(2, 150)
SIZES = [(12, 12), (40, 31), (31, 40), (13, 200), (47, 64), (12, 30), (150, 151)]
"""Widths and heights: smaller and larger, square, wide and tall."""


def network_for(preprocess: Preprocess) -> Network:
    """The small network with another preprocessing."""
    network = sample_network().eval()
    network.preprocess = preprocess
    network.arch = replace(network.arch, preprocess=preprocess)
    return network


def photo(width: int, height: int, seed: int = 0, channels: int = 3) -> Image.Image:
    """Noise that covers all grey levels."""
    shape = (height, width) if channels == 1 else (height, width, channels)
    return Image.fromarray(np.random.default_rng(seed).integers(0, 256, shape, np.uint8))


def in_graph(image: Image.Image, preprocess: Preprocess) -> NDArray[np.uint8]:
    """The view that the layers cut."""
    pixels = torch.from_numpy(np.array(image)).view(1, image.height, image.width, -1)
    return NetworkOfImages(network_for(preprocess)).view(pixels)[0].numpy().astype(np.uint8)


def reads(interpolation: Any, size: int = 12, resize: int = 14) -> Preprocess:
    return Preprocess(size, resize, (0.4, 0.5, 0.6), (0.2, 0.25, 0.3), interpolation=interpolation)


def is_resized_vertically_first(width: int, height: int, resize: int) -> bool:
    """Whether Pillow has another order of passes since version 13."""
    return height > 2 * width > 2 * resize and Version(PIL.__version__) >= Version("13")


@settings(max_examples=40, deadline=None)
@given(
    SIDES,
    SIDES,
    some.sampled_from(["bilinear", "bicubic"]),
    some.sampled_from([(12, 12), (12, 15), (11, 16)]),
)
def test_that_the_view_is_pillows_bit_for_bit(
    width: int, height: int, interpolation: str, sizes: tuple[int, int]
) -> None:
    preprocess = reads(interpolation, *sizes)
    image = photo(width, height, seed=width)
    expected = eval_view(image, preprocess)
    if is_resized_vertically_first(width, height, preprocess.resize):
        differs = np.abs(in_graph(image, preprocess) - expected.astype(int))
        assert differs.mean() < 2
    else:
        np.testing.assert_array_equal(in_graph(image, preprocess), expected)


def test_that_a_photo_of_usual_size_and_a_grey_one_give_the_same_pixels() -> None:
    preprocess = Preprocess(224, 256, (0.5,) * 3, (0.2,) * 3)
    np.testing.assert_array_equal(
        in_graph(photo(500, 375), preprocess), eval_view(photo(500, 375), preprocess)
    )
    grey = Preprocess(28, 28, (0.5,), (0.2,), colour="grey", interpolation="bicubic")
    image = photo(61, 50, channels=1)
    view = NetworkOfImages.view(
        _holder(grey),
        torch.from_numpy(np.array(image)).view(1, 50, 61, 1),  # no network reads it here
    )
    np.testing.assert_array_equal(view[0].numpy(), eval_view(image, grey))


def _holder(preprocess: Preprocess) -> Any:
    return type("Holder", (), {"preprocess": preprocess})


NETWORKS = [
    "bicubic mean image",
    pytest.param("bilinear", marks=pytest.mark.battery),
    pytest.param("bicubic", marks=pytest.mark.battery),
]
"""What the networks read; each is traced once and computed by three runtimes, which takes seconds."""


@pytest.fixture(scope="module", params=NETWORKS)
def network(request: pytest.FixtureRequest) -> Network:
    interpolation, _, mean_image = request.param.partition(" ")
    levels = np.random.default_rng(0).integers(0, 256, (3, 12, 12), np.uint8)
    return network_for(
        replace(reads(interpolation), mean_image=packed(levels.tobytes()) if mean_image else "")
    )


@pytest.fixture(scope="module")
def graph(network: Network) -> ExportGraph:
    return export_graph(network, takes="images")


@pytest.fixture(scope="module", params=["onnx", "openvino", "torch"])
def compute(request: pytest.FixtureRequest, graph: ExportGraph) -> Any:
    """A function of images (n, H, W, C), computed by a runtime."""
    if request.param == "onnx":
        session = onnxruntime.InferenceSession(write_onnx(graph))
        return lambda images: session.run(["logits"], {"images": images})[0]
    if request.param == "openvino":
        precision = {"INFERENCE_PRECISION_HINT": "f32"}
        compiled = import_openvino().compile_model(convert_to_openvino(graph), "CPU", precision)
        return lambda images: compiled(images)["logits"]
    module = graph.program.module()
    return lambda images: module(torch.from_numpy(images)).detach().numpy()


def test_that_every_runtime_agrees_with_pillow_for_images_of_any_size(network: Network, compute: Any) -> None:
    for (width, height), count in product(SIZES, (1, 2, 5)):
        images = [photo(width, height, seed) for seed in range(count)]
        views = np.stack([eval_view(image, network.preprocess) for image in images])
        inputs = torch.from_numpy(views)
        with torch.inference_mode():
            expected = network(normalise(inputs, network.preprocess)).numpy()
        logits = compute(np.stack([np.array(image) for image in images]))
        np.testing.assert_allclose(logits, expected, atol=1e-4, err_msg=f"{width} x {height}")


@pytest.mark.parametrize("colour", ["bands", "clip"])
def test_that_bands_and_clips_have_no_preprocessing_in_the_graph(colour: str) -> None:
    network = sample_network()
    if colour == "bands":
        network.preprocess = replace(network.preprocess, colour="bands")
    else:
        network.arch = replace(network.arch, clip=Clip(1, 1, 2))
    with pytest.raises(ConfigError, match="preprocessing"):
        export_graph(network, takes="images")
