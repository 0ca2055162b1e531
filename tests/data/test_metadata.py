"""Labels told by metadata: what leaks is measured, what does not is left alone."""

import numpy as np
import pytest

from residua.data.metadata import MetadataLeak, find_metadata_leak
from residua.data.scan import FACTS, Scan

COUNT = 400


def facts(seed: int = 0) -> np.ndarray:
    draw = np.random.default_rng(seed)
    rows = np.zeros(COUNT, FACTS)
    rows["readable"] = True
    rows["width"], rows["height"] = draw.integers(200, 900, (2, COUNT))
    rows["bytes"] = draw.integers(10_000, 90_000, COUNT)
    rows["kind"], rows["mode"] = "JPEG", "RGB"
    return rows


LABELS = np.arange(COUNT) % 4


def test_noise_tells_nothing() -> None:
    for seed in range(5):
        leak = find_metadata_leak(Scan(facts(seed), ("",)), LABELS)
        assert leak is not None
        assert leak.baseline == 25
        assert leak.gain == 0


def test_a_file_size_that_goes_with_the_class_tells_all() -> None:
    rows = facts()
    rows["bytes"] = 10_000 + 20_000 * LABELS + rows["bytes"] // 10
    leak = find_metadata_leak(Scan(rows, ("",)), LABELS)
    assert leak is not None
    assert leak.accuracy > 95
    assert leak.gain > 0.9
    assert leak.facts == ("file size",)  # no other weighs a tenth


def test_a_camera_that_took_one_class_is_named() -> None:
    rows = facts()
    rows["camera"] = LABELS == 2
    leak = find_metadata_leak(Scan(rows, ("", "Canon EOS")), LABELS)
    assert leak is not None
    assert leak.accuracy > 40
    assert leak.facts[0] in ("camera Canon EOS", "no camera named")  # one decides as much as the other


@pytest.mark.parametrize("labels", [np.zeros(COUNT, np.int64), np.arange(COUNT)])
def test_one_class_or_too_few_images_say_nothing(labels: np.ndarray) -> None:
    assert find_metadata_leak(Scan(facts(), ("",)), labels) is None


def test_images_without_files_say_nothing() -> None:
    rows = facts()
    rows["bytes"] = -1
    assert find_metadata_leak(Scan(rows, ("",)), LABELS) is None


def test_a_large_set_is_sampled(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("residua.data.metadata._MOST", 100)
    leak = find_metadata_leak(Scan(facts(), ("",)), LABELS)
    assert leak is not None
    assert leak.images == 100


def test_a_gain_is_a_share_of_the_errors_left() -> None:
    assert MetadataLeak(75, 50, 1000, ()).gain == 0.5
    assert MetadataLeak(40, 50, 1000, ()).gain == 0
    assert MetadataLeak(55, 50, 20, ()).gain == 0
    assert MetadataLeak(100, 100, 20, ()).gain == 0
