"""Small images of every kind, made when a test asks for them."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from pictures import photograph

from residua.data.images import Images
from residua.data.open import find, open_dataset
from residua.data.sources.shards import write_shards

torch.set_num_threads(1)


@pytest.fixture
def folder(tmp_path: Path) -> Callable[..., Path]:
    """Makes a folder of photographs: `folder(cat=3, dog=4)`, or with `below="train"`."""

    def make(below: str = "", **counts: int) -> Path:
        for seed, (name, count) in enumerate(counts.items()):
            place = tmp_path / "pets" / below / name
            place.mkdir(parents=True)
            for i in range(count):
                photograph(40 + 3 * i, 50 - i, seed=100 * seed + i).save(place / f"{i}.png")
        return tmp_path / "pets"

    return make


@pytest.fixture
def files(folder: Callable[..., Path]) -> Images:
    """Seventeen photographs in files."""
    return open_dataset(str(folder(cat=12, dog=11)), val_fraction=0.2).train


@pytest.fixture
def arrays() -> Images:
    """Twenty-three images of 12 x 12 in an array."""
    pixels = np.random.default_rng(0).integers(0, 256, (23, 12, 12, 3), dtype=np.uint8)
    return Images("train", ("a", "b"), np.arange(23) % 2, pixels=pixels)


@pytest.fixture
def packed(folder: Callable[..., Path], tmp_path: Path) -> Path:
    """Shards of two splits, several a split."""
    folder("train", cat=7, dog=5)
    calls: list[tuple[int, int]] = []
    done = write_shards(
        find(str(folder("val", cat=2, dog=3))),
        tmp_path / "shards",
        shard_bytes=30_000,
        tell=lambda done, total: calls.append((done, total)),
    )
    assert (done.images, calls[-1]) == (17, (17, 17))
    assert done.shards == len(list((tmp_path / "shards").glob("*.tar"))) > 3
    return tmp_path / "shards"
