"""Labels told by metadata: what leaks is measured, what does not is left alone."""

import numpy as np
import pytest

from residua.data.metadata import MetadataLeak, find_metadata_leak
from residua.data.scan import FACTS, Scan

COUNT = 400


def facts(seed: int = 0) -> np.ndarray:
    draw = np.random.default_rng(seed)
    found = np.zeros(COUNT, FACTS)
    found["readable"] = True
    found["width"], found["height"] = draw.integers(200, 900, (2, COUNT))
    found["bytes"] = draw.integers(10_000, 90_000, COUNT)
    found["kind"], found["mode"] = "JPEG", "RGB"
    return found


LABELS = np.arange(COUNT) % 4


def test_noise_tells_nothing() -> None:
    for seed in range(5):
        found = find_metadata_leak(Scan(facts(seed), ("",)), LABELS)
        assert found is not None
        assert found.baseline == 25
        assert found.gain == 0


def test_a_file_size_that_goes_with_the_class_tells_all() -> None:
    rows = facts()
    rows["bytes"] = 10_000 + 20_000 * LABELS + rows["bytes"] // 10
    found = find_metadata_leak(Scan(rows, ("",)), LABELS)
    assert found is not None
    assert found.accuracy > 95
    assert found.gain > 0.9
    assert found.facts[0] == "file size"


def test_a_camera_that_took_one_class_is_named() -> None:
    rows = facts()
    rows["camera"] = LABELS == 2
    found = find_metadata_leak(Scan(rows, ("", "Canon EOS")), LABELS)
    assert found is not None
    assert found.accuracy > 40
    assert "camera Canon EOS" in found.facts or "no camera named" in found.facts


@pytest.mark.parametrize("labels", [np.zeros(COUNT, np.int64), np.arange(COUNT)])
def test_one_class_or_too_few_images_say_nothing(labels: np.ndarray) -> None:
    assert find_metadata_leak(Scan(facts(), ("",)), labels) is None


def test_images_without_files_say_nothing() -> None:
    rows = facts()
    rows["bytes"] = -1
    assert find_metadata_leak(Scan(rows, ("",)), LABELS) is None


def test_a_large_set_is_sampled(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("residua.data.metadata._MOST", 100)
    found = find_metadata_leak(Scan(facts(), ("",)), LABELS)
    assert found is not None
    assert found.images == 100


def test_a_gain_is_a_share_of_the_errors_left() -> None:
    assert MetadataLeak(75, 50, 1000, ()).gain == 0.5
    assert MetadataLeak(40, 50, 1000, ()).gain == 0
    assert MetadataLeak(55, 50, 20, ()).gain == 0
    assert MetadataLeak(100, 100, 20, ()).gain == 0
