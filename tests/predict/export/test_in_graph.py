"""A graph that reads images cuts the view that Pillow cuts, bit for bit, in every runtime."""

from collections.abc import Callable
from contextlib import redirect_stdout
from dataclasses import replace
from io import StringIO
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
from torch import nn
from torch.export import Dim

from residua.data.eval_view import eval_view
from residua.data.transforms import normalise
from residua.errors import ConfigError
from residua.nn.network import Network
from residua.predict.export.graph import ExportGraph, export_graph, without_warnings
from residua.predict.export.in_graph import NetworkOfImages, resize_weights
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


class _View(nn.Module):
    """The preprocessing alone, whose output are the pixels."""

    def __init__(self, preprocess: Preprocess) -> None:
        super().__init__()
        self.preprocess = preprocess

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """Images (n, H, W, C) uint8 -> the view."""
        return NetworkOfImages.view(self, images)  # type: ignore[arg-type]


def view_in(runtime: str, preprocess: Preprocess) -> Callable[[NDArray[np.uint8]], NDArray[np.float32]]:
    """A function of images (n, H, W, 3) that a runtime computes."""
    example = torch.zeros(2, preprocess.resize + 1, preprocess.resize + 2, 3, dtype=torch.uint8)
    free = dict(enumerate(Dim(name, min=1) for name in ("n", "height", "width")))
    program = torch.export.export(_View(preprocess), (example,), dynamic_shapes={"images": free})
    if runtime == "onnx":
        with without_warnings(), redirect_stdout(StringIO()):
            model = torch.onnx.export(program, dynamo=True, opset_version=18, input_names=["images"])
        assert model
        session = onnxruntime.InferenceSession(model.model_proto.SerializeToString())
        return lambda images: session.run(None, {"images": images})[0]
    if runtime == "openvino":
        library, precision = import_openvino(), {"INFERENCE_PRECISION_HINT": "f32"}
        with without_warnings():
            compiled = library.compile_model(library.convert_model(program), "CPU", precision)
        return lambda images: compiled(images)[0]
    module = program.module()
    return lambda images: module(torch.from_numpy(images)).numpy()


@pytest.mark.parametrize("runtime", ["onnx", "openvino", "torch"])
@pytest.mark.parametrize(
    ("resize", "sizes"),
    [
        (12, [(2400, 1800), (3000, 30)]),
        *(
            pytest.param(resize, [(4000, 3000), (6000, 4000), (49_000, 500)], marks=pytest.mark.battery)
            for resize in (32, 64, 224, 256)
        ),
    ],
)
def test_that_a_large_photo_gives_the_same_pixels(
    resize: int, sizes: list[tuple[int, int]], runtime: str
) -> None:
    """Products pass 2^31, and sums of the lower bits of many weights 2^24, unless they are divided."""
    preprocess = reads("bilinear", min(resize, 224), resize)
    view = view_in(runtime, preprocess)
    for width, height in sizes:
        image = photo(width, height)
        expected = eval_view(image, preprocess)
        np.testing.assert_array_equal(view(np.array(image)[None])[0], expected, f"{width} x {height}")


@pytest.mark.parametrize(("interpolation", "side"), [("bilinear", 6000), ("bicubic", 3000)])
def test_that_sums_of_the_largest_pixels_are_exact_in_float32(interpolation: str, side: int) -> None:
    length = torch.tensor(side)
    parts = resize_weights(reads(interpolation, 12, 12), torch.arange(side), length, length)
    assert max(float(part.double().abs().sum(1).max()) for part in parts) * 255 < 2**24


@pytest.mark.parametrize(
    "runtime", ["openvino", *(pytest.param(name, marks=pytest.mark.battery) for name in ("onnx", "torch"))]
)
def test_that_bicubic_pixels_are_pillows_but_for_a_few_in_openvino(runtime: str) -> None:
    """OpenVINO computes the weights in float32."""
    preprocess, image = reads("bicubic", 64, 64), photo(2400, 1800)
    differs = np.abs(view_in(runtime, preprocess)(np.array(image)[None])[0] - eval_view(image, preprocess))
    if runtime == "openvino":
        assert differs.max() <= 1
        assert differs.mean() < 1e-3
    else:
        assert differs.max() == 0


@pytest.mark.parametrize("colour", ["bands", "clip"])
def test_that_bands_and_clips_have_no_preprocessing_in_the_graph(colour: str) -> None:
    network = sample_network()
    if colour == "bands":
        network.preprocess = replace(network.preprocess, colour="bands")
    else:
        network.arch = replace(network.arch, clip=Clip(1, 1, 2))
    with pytest.raises(ConfigError, match="preprocessing"):
        export_graph(network, takes="images")
