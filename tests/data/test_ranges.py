"""The images of a batch are prefetched together; errors are raised only when an image is read."""

import os
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from residua.data import batches
from residua.data.images import Images, concatenate
from residua.data.items import Members
from residua.data.open import find
from residua.data.sources.shards import write_shards
from residua.errors import DataError
from residua.spec.preprocess import Preprocess

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="posix_fadvise is called on Linux only")
SMALL = Preprocess(12, 14, (0.5, 0.4, 0.3), (0.2, 0.3, 0.4))

Advice = list[tuple[str, int, int]]


@pytest.fixture
def advice(monkeypatch: pytest.MonkeyPatch) -> Advice:
    """Name, offset and length of each prefetched range."""
    calls: Advice = []

    def note(descriptor: int, offset: int, length: int, kind: int) -> None:
        assert kind == os.POSIX_FADV_WILLNEED
        calls.append((Path(os.readlink(f"/proc/self/fd/{descriptor}")).name, offset, length))

    monkeypatch.setattr(os, "posix_fadvise", note)
    return calls


@pytest.fixture
def shards(folder: Callable[..., Path], tmp_path: Path) -> Images:
    write_shards(find(str(folder("more", cat=3, dog=3) / "more")), tmp_path / "shards")
    return find(str(tmp_path / "shards")).train


def test_of_shards_exactly_the_members_are_prefetched(shards: Images, advice: Advice) -> None:
    assert isinstance(shards.files, Members)
    shards.prefetch(np.array([4, 1]))
    assert advice == [("all-00000.tar", *shards.files.places[i, 1:].tolist()) for i in (4, 1)]


def test_combined_collections_prefetch_each_their_own(files: Images, shards: Images, advice: Advice) -> None:
    both = concatenate([files, shards], name="all")
    both.prefetch(np.array([2, len(files) + 3, 0]))
    assert [name for name, _, _ in advice] == [Path(files.title(i)).name for i in (2, 0)] + ["all-00000.tar"]
    assert min(length for _, _, length in advice) > 0


def test_a_batch_is_prefetched_before_its_first_image_is_read(
    shards: Images, advice: Advice, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls_before: list[int] = []
    read = Members.__getitem__
    monkeypatch.setattr(
        Members, "__getitem__", lambda self, i: calls_before.append(len(advice)) or read(self, i)
    )
    list(batches.evaluation_batches(shards, SMALL, batch_size=4, workers=0, resident_bytes=0))
    assert calls_before == [4, 4, 4, 4, 6, 6]


def test_prefetching_a_missing_file_or_a_pipe_is_no_error(
    files: Images, shards: Images, tmp_path: Path
) -> None:
    gone, pipe = (files.item(i) for i in (0, 1))
    assert isinstance(gone, Path)
    assert isinstance(pipe, Path)
    gone.unlink()
    pipe.unlink()
    os.mkfifo(pipe)
    files.prefetch(np.array([0, 1]))
    (tmp_path / "shards" / "all-00000.tar").unlink()
    shards.prefetch(np.array([0]))
    for images in (files, shards):
        with pytest.raises(DataError, match=r"cannot be read|all-00000\.tar does not exist"):
            images.image(0, "rgb")
