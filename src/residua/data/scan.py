"""Every image of a set looked at once, in many processes: what it is, and whether it can be read."""

import hashlib
import multiprocessing
import os
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from residua.data.decode import Header, MediaType
from residua.data.images import Images
from residua.data.items import Item
from residua.data.near_duplicates import THUMBNAIL_SIDE, thumbnail_and_hash
from residua.errors import DataError, UnreachableError

ReportProgress = Callable[[int, int], None]
"""Hears how many images of how many are done."""

_PORTION = 64  # images that a process looks at before it answers
_LARGE = 64  # pixels that the shorter side keeps: enough for a hash of 32 x 32
_FLAT = 2  # levels between darkest and brightest, up to which an image shows nothing

FACTS = np.dtype(
    [
        ("bytes", np.int64),
        ("digest", np.uint8, 32),
        ("width", np.int32),
        ("height", np.int32),
        ("orientation", np.uint8),
        ("flat", np.bool_),
        ("hash", np.uint64),
        ("thumb", np.uint8, (THUMBNAIL_SIDE, THUMBNAIL_SIDE)),
        ("kind", "U8"),
        ("mode", "U8"),
        ("camera", np.int32),
        ("frames", np.int32),
        ("rate", np.float32),
        ("readable", np.bool_),
    ]
)
"""What is known of one image, about 400 bytes. `width` and `height`, in pixels, are upright; `bytes`
is -1 where there is no file; `camera` is a place in `Scan.cameras`."""


@dataclass(frozen=True)
class Scan:
    """What was found in N images."""

    facts: NDArray[np.void]
    """One record an image: (N,) of FACTS."""
    cameras: tuple[str, ...]
    """Makers and models from EXIF; the first is the empty one."""
    reasons: dict[int, str] = field(default_factory=dict)
    """Why an image cannot be read, by place."""


def scan(
    splits: Sequence[Images], *, workers: int, tell: ReportProgress = lambda _done, _total: None
) -> Scan:
    """All images of all `splits`, one after another, decoded once; `workers` processes, or 0 for this one.

    The same answer at any number of workers. MemoryError when a process was killed; UnreachableError when what
    serves the images does not answer.
    """
    total = sum(map(len, splits))
    facts = np.zeros(total, FACTS)
    cameras: dict[str, int] = {"": 0}
    reasons: dict[int, str] = {}
    done = 0
    for portion in _looked_at(tuple(splits), total, workers):
        for record, camera, reason in portion:
            if reason:
                reasons[done] = reason
            record["camera"] = cameras.setdefault(camera, len(cameras))
            facts[done] = record
            done += 1
        tell(done, total)
    return Scan(facts, tuple(cameras), reasons)


_Look = tuple[NDArray[np.void], str, str]
"""The facts of one image, its camera, and why it cannot be read."""


def _looked_at(splits: tuple[Images, ...], total: int, workers: int) -> Iterator[list[_Look]]:
    starts = range(0, total, _PORTION)
    if not workers or total <= _PORTION:
        yield from (_portion(splits, start) for start in starts)
        return
    try:
        with ProcessPoolExecutor(workers, initializer=_Held.take, initargs=(splits,)) as pool:
            yield from pool.map(_of_held, starts)
    except BrokenProcessPool:
        raise MemoryError(
            "a process that looks at images was killed: free memory, or give fewer workers"
        ) from None


class _Held:
    """The images of a worker process, which gets them once."""

    splits: tuple[Images, ...] = ()
    gone: UnreachableError | None = None
    """Why they cannot be had any more: with what is queued, nobody waits for that again."""

    @classmethod
    def take(cls, splits: tuple[Images, ...]) -> None:
        cls.splits = splits
        threading.Thread(target=_end_with_parent, daemon=True).start()


def _end_with_parent() -> None:
    """Leave when the process that asks is gone: killed, it tells nobody, and its workers wait for ever."""
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)


def _of_held(start: int) -> list[_Look]:
    if _Held.gone:
        raise _Held.gone
    try:
        return _portion(_Held.splits, start)
    except UnreachableError as error:
        _Held.gone = error
        raise


def _portion(splits: tuple[Images, ...], start: int) -> list[_Look]:
    """The images from `start` on, counted over all splits."""
    found: list[_Look] = []
    for images in splits:
        mine = np.arange(max(0, start), min(len(images), start + _PORTION - len(found)))
        images.prefetch(mine)
        found += [_look(images, i) for i in mine.tolist()]
        start = max(0, start - len(images)) if start >= len(images) else 0
        if len(found) == _PORTION:
            break
    return found


def _look(images: Images, i: int) -> _Look:
    record = np.zeros((), FACTS)
    record["bytes"], record["orientation"] = -1, 1
    try:
        item = images.item(i)
        record["bytes"], digest = _content(item, images.media_type)
        record["digest"] = np.frombuffer(digest, np.uint8)
        header, image = _examined(item, images.media_type)
    except UnreachableError:
        raise  # a network that is down makes no image a bad one
    except DataError as error:
        return record, "", str(error)
    except OSError as error:
        return record, "", f"{images.title(i)} cannot be read: {error.strerror}"
    low_high = image.getextrema()
    record["flat"] = all(high - low <= _FLAT for low, high in low_high)  # type: ignore[misc]
    record["thumb"], record["hash"] = thumbnail_and_hash(image)
    width, height = header.size[::-1] if header.orientation > 4 else header.size
    record["width"], record["height"] = width, height
    record["orientation"], record["kind"], record["mode"] = header.orientation, header.format, header.mode
    record["frames"], record["rate"] = header.frames, header.fps
    record["readable"] = True
    return record, header.camera, ""


def _content(item: Item, media_type: MediaType) -> tuple[int, bytes]:
    """Size in bytes, -1 for what is no file, and SHA-256 of an image as it is kept."""
    if isinstance(item, Image.Image):
        return -1, hashlib.sha256(repr((item.size, item.mode)).encode() + item.tobytes()).digest()
    if isinstance(item, bytes):
        return len(item), hashlib.sha256(item).digest()
    if not item.is_file():
        media_type.decode_with_header(item)  # says whether it is missing, or a pipe that must not be opened
    with Path(item).open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").digest()
        return file.tell(), digest


def _examined(item: Item, media_type: MediaType) -> tuple[Header, Image.Image]:
    if isinstance(item, Image.Image):
        return media_type.stored_header(item), item.convert("RGB")
    return media_type.decode_with_header(item, shrink=lambda size: min(size) // _LARGE)
