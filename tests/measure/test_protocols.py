"""Ten crops and many scales against a slow twin: torchvision's crops, one image and one place at a time."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor
from torchvision.transforms.v2 import functional as tv

from residua.data.images import Images
from residua.data.open import open_evaluation_split
from residua.errors import ConfigError, NonFiniteError
from residua.measure import views
from residua.measure.evaluation import Evaluation
from residua.measure.views import SCALES, VIEWS, evaluate_view, scaled, ten_crops
from residua.nn.network import Network, build
from residua.predict.classifier import Classifier
from residua.predict.predictor import dense_logits
from residua.spec import change, zoo
from residua.spec.arch import Arch, Head
from residua.spec.preprocess import Preprocess
from small import PIXELS, PLAN, arch, colours

PHOTO = Preprocess(14, 16, (0.4, 0.5, 0.6), (0.2, 0.3, 0.25))


def network(architecture: Arch | None = None) -> Network:
    torch.manual_seed(3)
    built = build(architecture or change.with_preprocess(arch(), PHOTO))
    for norm in built.modules():
        if isinstance(norm, torch.nn.BatchNorm2d):  # statistics that matter
            torch.nn.init.normal_(norm.running_mean, 0, 0.3)
            torch.nn.init.uniform_(norm.running_var, 0.5, 2)
    return built.eval()


@pytest.fixture
def photographs(tmp_path: Path) -> Images:
    """Seven pictures of five shapes."""
    chance = np.random.default_rng(0)
    for number, shape in enumerate([(20, 20), (17, 31), (40, 19), (16, 16), (17, 31), (61, 33), (24, 25)]):
        folder = tmp_path / ("blue", "green", "red")[number % 3]
        folder.mkdir(exist_ok=True)
        Image.fromarray(chance.integers(0, 256, (*shape, 3), np.uint8)).save(folder / f"{number}.png")
    return open_evaluation_split(str(tmp_path), classes=("blue", "green", "red"))


def evaluated(network: Network, images: Images, view: str) -> Evaluation:
    return evaluate_view(Classifier(network.eval(), PLAN), images, view)


def slow_resize(image: Image.Image, short: int) -> Image.Image:
    resized = tv.resize(image, [short], interpolation=tv.InterpolationMode.BILINEAR, antialias=True)
    assert isinstance(resized, Image.Image)
    return resized


def picture_probabilities(net: Network, image: Image.Image, preprocess: Preprocess = PHOTO) -> Tensor:
    """Probabilities of one picture that has the network's size: PIL to tensor to torch, step by step."""
    pixels = tv.to_dtype(tv.to_image(image), torch.float32, scale=True)
    with torch.inference_mode():
        logits = net(tv.normalize(pixels, list(preprocess.mean), list(preprocess.std))[None])
    return torch.softmax(logits, 1)[0].double()


def pictures(images: Images) -> Iterator[Image.Image]:
    for i in range(len(images)):
        yield images.image(i, "rgb")


def test_ten_crops_equal_torchvisions_one_picture_at_a_time(photographs: Images) -> None:
    net = network()
    expected = []
    for picture in pictures(photographs):
        square = tv.center_crop(slow_resize(picture, 16), [16])
        crops = tv.ten_crop(square, [14, 14])
        expected.append(torch.stack([picture_probabilities(net, crop) for crop in crops]).mean(0).numpy())
    predictions = evaluated(net, photographs, "10crop")
    np.testing.assert_allclose(predictions.probabilities, np.stack(expected), atol=1e-5)
    center = evaluated(net, photographs, "center")
    assert np.abs(predictions.probabilities - center.probabilities).max() > 1e-3


def test_ten_crops_of_small_pictures_are_cut_from_the_padded_one() -> None:
    images, net = colours().test, network(arch())
    expected = []
    for picture in pictures(images):
        padded = tv.pad(picture, [1, 1, 1, 1])  # 12 pixels: a border of one
        crops = tv.ten_crop(padded, [12, 12])
        expected.append(
            torch.stack([picture_probabilities(net, crop, PIXELS) for crop in crops]).mean(0).numpy()
        )
    np.testing.assert_allclose(evaluated(net, images, "10crop").probabilities, np.stack(expected), atol=1e-5)


def test_flip_is_the_picture_and_its_mirror_image() -> None:
    images, net = colours().test, network(arch())
    expected = [
        torch.stack(
            [picture_probabilities(net, p, PIXELS), picture_probabilities(net, tv.horizontal_flip(p), PIXELS)]
        ).mean(0)
        for p in pictures(images)
    ]
    np.testing.assert_allclose(
        evaluated(net, images, "flip").probabilities, torch.stack(expected).numpy(), atol=1e-5
    )


def slow_scales(net: Network, picture: Image.Image) -> Tensor:
    """The linear layer at every place of the last map of every scale, with loops."""
    scale_probabilities = []
    for side in SCALES:
        large = slow_resize(picture, round(14 * side / 224))
        pixels = tv.to_dtype(tv.to_image(large), torch.float32, scale=True)
        with torch.inference_mode():
            maps = net.forward_features(tv.normalize(pixels, list(PHOTO.mean), list(PHOTO.std))[None])[0]
            linear = net.get_classifier()
            places = [linear(maps[:, y, x]) for y in range(maps.shape[1]) for x in range(maps.shape[2])]
        scale_probabilities.append(torch.softmax(torch.stack(places).double().mean(0), 0))
    return torch.stack(scale_probabilities).mean(0)


def test_multiscale_equals_a_linear_layer_moved_over_every_map(photographs: Images) -> None:
    net = network()
    expected = torch.stack([slow_scales(net, picture) for picture in pictures(photographs)]).numpy()
    predictions = evaluated(net, photographs, "multiscale")
    np.testing.assert_allclose(predictions.probabilities, expected, atol=1e-5)
    assert predictions.labels.tolist() == photographs.labels.tolist()


def test_the_large_crop_is_the_centre_at_its_own_scale(photographs: Images) -> None:
    net = network()
    expected = [
        picture_probabilities(net, tv.center_crop(slow_resize(picture, 20), [20])).numpy()
        for picture in pictures(photographs)
    ]
    np.testing.assert_allclose(
        evaluated(net, photographs, "320").probabilities, np.stack(expected), atol=1e-5
    )


def test_networks_of_224_pixels_get_the_papers_sizes() -> None:
    assert scaled(224, SCALES) == SCALES == (224, 256, 384, 480, 640)
    assert scaled(32, SCALES) == (32, 37, 55, 69, 91)


def test_a_head_that_reads_a_grid_moves_over_the_map_as_a_convolution() -> None:
    architecture = replace(change.with_preprocess(arch(), PHOTO), head=Head("LAL", (5,), grid=7))
    net = network(architecture)
    images = torch.randn(2, 3, 22, 26)
    maps = net.forward_features(images)
    assert maps.shape[-2:] == (11, 13)
    first, last = net.head[0], net.head[-1]
    assert isinstance(first, torch.nn.Linear)
    assert isinstance(last, torch.nn.Linear)
    kernel = first.weight.view(5, 16, 7, 7)
    hidden = torch.relu(torch.conv2d(maps, kernel, first.bias))
    expected = torch.conv2d(hidden, last.weight[:, :, None, None], last.bias).mean((2, 3))
    torch.testing.assert_close(dense_logits(net, images), expected, atol=1e-5, rtol=1e-4)
    native = torch.randn(2, 3, 14, 14)
    torch.testing.assert_close(dense_logits(net, native), net(native), atol=1e-6, rtol=1e-5)


def test_ten_crops_are_torchvisions_in_another_order() -> None:
    squares = torch.randint(0, 256, (2, 3, 10, 10), dtype=torch.uint8)
    ours, theirs = ten_crops(squares, 6), tv.ten_crop(squares, [6, 6])
    assert sorted(t.sum().item() for t in ours) == sorted(t.sum().item() for t in theirs)
    for crop in theirs:
        assert any(torch.equal(crop, mine) for mine in ours)


@pytest.mark.parametrize("view", [view for view in VIEWS if view != "center"])
def test_no_view_hides_a_network_that_computes_nan(view: str) -> None:
    net = network(arch())
    net.state_dict()["head.linear1.bias"][0] = float("nan")
    with pytest.raises(NonFiniteError, match="NaN or infinity"):
        evaluated(net, colours().test, view)


@pytest.mark.parametrize("view", ["320", "multiscale"])
def test_a_network_of_vectors_reads_one_size(view: str) -> None:
    with pytest.raises(ConfigError, match=f"one size.*{view}"):
        evaluated(build(zoo.arch("resmlp")), colours().test, view)


@pytest.mark.parametrize("pixels", [1, 150, 400, 10**6])
def test_the_numbers_do_not_depend_on_how_many_are_computed_at_once(
    pixels: int, photographs: Images, monkeypatch: pytest.MonkeyPatch
) -> None:
    net = network()
    expected = {view: evaluated(net, photographs, view).probabilities for view in VIEWS}
    monkeypatch.setattr(views, "PIXELS", pixels)
    for view in VIEWS:
        probabilities = evaluated(net, photographs, view).probabilities
        np.testing.assert_allclose(probabilities, expected[view], atol=1e-6)


def test_fewer_large_images_are_computed_at_once_than_small_ones() -> None:
    assert [views.max_batch_size(side, side) for side in (8, 32, 224, 448, 20_000)] == [250, 250, 39, 9, 1]
