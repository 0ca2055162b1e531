"""Features of a frozen network: which views, in which order, and what does not change them."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from residua.data.eval_view import eval_view
from residua.data.images import Images
from residua.data.open import open_dataset
from residua.data.transforms import normalise, train_view
from residua.errors import ConfigError, DataError, NonFiniteError
from residua.events import Event
from residua.nn.network import Network, build
from residua.spec import change, zoo
from residua.spec.arch import Arch
from residua.training import frozen_features
from residua.training.frozen_features import AREAS, extract_features
from residua.training.prefetch import StopRequested
from small import PLAN, arch, colours, photo_folder


def network(small: Arch | None = None) -> Network:
    torch.manual_seed(3)
    return build(small or arch())


def by_hand(net: Network, views: list[np.ndarray]) -> torch.Tensor:
    pixels = normalise(torch.from_numpy(np.stack(views)), net.preprocess)
    with torch.inference_mode():
        return net.eval().forward_head(net.forward_features(pixels), pre_logits=True)


def test_views_are_the_centre_its_mirror_and_areas_by_seed() -> None:
    images, net = colours().train, network()
    features = extract_features(net, images, PLAN, views=4, seed=5)
    pictures = [images.image(i, "rgb") for i in range(len(images))]
    centres = [eval_view(picture, net.preprocess) for picture in pictures]
    expected = [
        centres,
        [view[:, :, ::-1].copy() for view in centres],
        *([train_view(p, net.preprocess, AREAS, 5, v, i) for i, p in enumerate(pictures)] for v in (2, 3)),
    ]
    assert features.values.shape == (4, 24, net.head_hidden_size)
    for view, rows in zip(features.values, expected, strict=True):
        np.testing.assert_allclose(view, by_hand(net, rows).numpy(), rtol=1e-4, atol=1e-5)
    assert features.labels.tolist() == images.labels.tolist()
    other = extract_features(net, images, PLAN, views=4, seed=6)
    assert not np.array_equal(features.values[2:], other.values[2:])
    np.testing.assert_array_equal(features.values[:2], other.values[:2])


def test_portions_and_threads_change_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    images = colours().train
    whole = extract_features(network(), images, PLAN, views=3)
    monkeypatch.setattr(frozen_features, "PORTION", 7)
    parts = extract_features(network(), images, PLAN, views=3)
    np.testing.assert_allclose(whole.values, parts.values, rtol=1e-4, atol=1e-5)
    np.testing.assert_array_equal(whole.hashes, parts.hashes)


def test_it_is_left_in_eval_mode_and_unchanged() -> None:
    net = network().train()
    before = {name: value.clone() for name, value in net.state_dict().items()}
    extract_features(net, colours().train, PLAN, views=1)
    assert not net.training
    for name, value in net.state_dict().items():
        assert torch.equal(value, before[name]), name


def test_copies_of_a_picture_are_grouped() -> None:
    train = colours().train
    assert train.pixels is not None
    smooth = [np.add.outer(np.arange(12) * a, np.arange(12) ** 2 * b) for a, b in ((9, 1), (1, 2), (20, -1))]
    pixels = np.stack([np.clip(each + 30, 0, 255).astype(np.uint8) for each in smooth]).repeat(2, 0)
    images = Images("train", ("a", "b"), np.array([0, 0, 1, 1, 0, 1]), pixels=pixels[..., None].repeat(3, -1))
    assert extract_features(network(), images, PLAN, views=1).copies == ((0, 1), (2, 3), (4, 5))


def test_many_images_get_fewer_views_and_too_many_a_part(monkeypatch: pytest.MonkeyPatch) -> None:
    images, net = colours().train, network()
    monkeypatch.setattr(frozen_features, "MAX_VIEWS", 48)
    assert extract_features(net, images, PLAN).values.shape[:2] == (2, 24)
    monkeypatch.setattr(frozen_features, "MAX_BYTES", 4 * net.head_hidden_size * 12)
    features = extract_features(net, images, PLAN)
    assert features.values.shape[:2] == (4, 12)
    assert np.bincount(features.labels).tolist() == [4, 4, 4]
    assert "12 images of 24" in str(features)


def test_progress_is_reported_and_a_stop_heard(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(frozen_features, "PORTION", 8)
    monkeypatch.setattr(frozen_features, "QUIET_SECONDS", -1.0)
    events: list[Event] = []
    extract_features(network(), colours().train, PLAN, views=1, listen=events.append)
    assert [str(event).count("%") for event in events] == [0, 1, 1]
    with pytest.raises(StopRequested):
        extract_features(network(), colours().train, PLAN, views=1, stop=lambda: True)


def test_a_broken_file_is_named(tmp_path) -> None:  # type: ignore[no-untyped-def]
    folder = photo_folder(tmp_path / "photos")
    images = open_dataset(str(folder), val_fraction=0.2).train
    broken = folder / images.title(3)
    broken.write_bytes(broken.read_bytes()[:60])
    with pytest.raises(DataError, match=broken.name):
        extract_features(network(), images, PLAN)


def test_weights_that_give_nan_are_refused() -> None:
    net = network()
    with torch.no_grad():
        next(net.parameters()).fill_(float("nan"))
    with pytest.raises(NonFiniteError, match="train 0"):
        extract_features(net, colours().train, PLAN, views=1)


def test_a_network_for_clips_is_refused() -> None:
    net = network()
    net.arch = zoo.arch("resnet3d18")
    with pytest.raises(ConfigError, match="clips"):
        extract_features(net, colours().train, PLAN)


def test_grey_pictures_and_heads_with_hidden_layers_are_read() -> None:
    small = replace(zoo.arch("smallconvnet"), classes=3)
    net = network(change.with_size(change.with_channels(small, 1), 32))
    rng = np.random.default_rng(0)
    images = Images(
        "train", ("a", "b"), np.arange(6) % 2, pixels=rng.integers(0, 256, (6, 32, 32, 1), np.uint8)
    )
    values = extract_features(net, images, PLAN, views=2).values
    assert values.shape == (2, 6, net.head_hidden_size)
    assert values.std() > 0
