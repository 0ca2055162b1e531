"""What is read next is asked for first, all of a batch at once; what cannot be is told of when it is read."""

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
from residua.data.sources.shards import find_shards, write_shards
from residua.errors import DataError
from residua.spec.preprocess import Preprocess

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="posix_fadvise is asked of Linux alone")
SMALL = Preprocess(12, 14, (0.5, 0.4, 0.3), (0.2, 0.3, 0.4))

Asked = list[tuple[str, int, int]]


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> Asked:
    """Name, offset and length of what the system is asked to fetch."""
    found: Asked = []

    def note(opened: int, offset: int, length: int, advice: int) -> None:
        assert advice == os.POSIX_FADV_WILLNEED
        found.append((Path(os.readlink(f"/proc/self/fd/{opened}")).name, offset, length))

    monkeypatch.setattr(os, "posix_fadvise", note)
    return found


@pytest.fixture
def shards(folder: Callable[..., Path], tmp_path: Path) -> Images:
    write_shards(find(str(folder("more", cat=3, dog=3) / "more")), tmp_path / "shards")
    return find_shards(str(tmp_path / "shards")).train


def test_of_shards_exactly_the_members_are_asked_for(shards: Images, asked: Asked) -> None:
    assert isinstance(shards.files, Members)
    shards.prefetch(np.array([4, 1]))
    assert asked == [("all-00000.tar", *shards.files.places[i, 1:].tolist()) for i in (4, 1)]


def test_of_files_and_of_several_lots_each_is_asked_for(files: Images, shards: Images, asked: Asked) -> None:
    both = concatenate([files, shards], name="all")
    both.prefetch(np.array([2, len(files) + 3, 0]))
    assert [name for name, _, _ in asked] == [Path(files.title(i)).name for i in (2, 0)] + ["all-00000.tar"]
    assert min(length for _, _, length in asked) > 0


def test_a_batch_is_asked_for_before_its_first_image_is_read(
    shards: Images, asked: Asked, monkeypatch: pytest.MonkeyPatch
) -> None:
    known: list[int] = []
    read = Members.__getitem__
    monkeypatch.setattr(Members, "__getitem__", lambda self, i: known.append(len(asked)) or read(self, i))
    list(batches.evaluation_batches(shards, SMALL, batch_size=4, workers=0, resident_bytes=0))
    assert known == [4, 4, 4, 4, 6, 6]


def test_what_is_gone_or_a_pipe_is_no_error_yet(files: Images, shards: Images, tmp_path: Path) -> None:
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
