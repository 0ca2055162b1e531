"""Seven networks that others trained lose at most 0.3 points in int8, in both runtimes, on all test images.

Skipped where their files or the images are not at hand.
"""

import runpy
from pathlib import Path

import numpy as np
import pytest

from residua.data.images import Images
from residua.predict.export.graph import export_graph
from residua.predict.export.int8 import Int8Data
from residua.predict.export.int8_targets import TARGETS
from residua.predict.predictor import load_network

SHARED = Path(__file__).parents[4] / "shared/data"
FILES = (
    "akamaster/resnet20-12fca82f.th",
    "akamaster/resnet32-d509ac18.th",
    "akamaster/resnet56-4bfd9763.th",
    "a-martyn/plainnet20.pt",
    "a-martyn/plainnet56.pt",
    "a-martyn/resnet20.pt",
    "a-martyn/resnet56.pt",
)
MOST = 0.3
"""Points that may be lost."""

pytestmark = [
    pytest.mark.battery,
    pytest.mark.timeout(1800),
    pytest.mark.skipif(
        not all((SHARED / "weights" / file).exists() for file in FILES),
        reason="the real weights are not at hand",
    ),
]


@pytest.fixture(scope="module")
def splits() -> tuple[Images, Images]:
    """10,000 of the training images of CIFAR-10, and the 10,000 test images."""
    archives = [SHARED / "cifar10" / f"{part}.zip" for part in ("train-1", "test")]
    if not all(archive.exists() for archive in archives):
        pytest.skip("the images are not at hand")
    tools = runpy.run_path(str(SHARED / "unpack.py"))
    train, test = (
        Images(archive.stem, tuple(tools["CIFAR"]), labels.astype(np.int64), pixels=pixels)
        for archive in archives
        for pixels, labels, _ in [tools["cifar_images"](archive)]
    )
    return train, test


@pytest.mark.parametrize("runtime", TARGETS)
@pytest.mark.parametrize("file", FILES)
def test_that_a_real_network_loses_little(file: str, runtime: str, splits: tuple[Images, Images]) -> None:
    graph = export_graph(load_network(SHARED / "weights" / file))
    target = TARGETS[runtime]
    data = Int8Data.of(graph.facts, *splits)
    _, accuracy = target.quantise(target.convert(graph), data, listen=lambda _: None)
    assert accuracy.after.n == 10_000
    assert accuracy.drop <= MOST
    assert not accuracy.float_operations
