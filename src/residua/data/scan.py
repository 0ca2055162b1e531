"""A scan decodes every image of a dataset once, in several processes: properties, digests and unreadable
files.

Images are scanned in chunks of 64, which a process pool returns in order. The processes of the pool end with
the scanning process, also when it is killed (`_exit_with_parent`). A server that does not answer ends the
scan: its images are not reported as damaged.
"""

import hashlib
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from residua.child_process import exit_with_parent
from residua.data.decode import Header, MediaType
from residua.data.images import Images
from residua.data.items import Item
from residua.data.near_duplicates import THUMBNAIL_SIDE, thumbnail_and_hash
from residua.errors import DataError, ResourceError, UnreachableError

ReportProgress = Callable[[int, int], None]
"""Called with the number of images done and the number of all."""

HASH_SIDE = 64
"""Pixels of the shorter side that are enough for a perceptual hash."""

_CHUNK = 64  # images that a process scans before it returns them
_FLAT = 2  # largest difference between the brightest and the darkest level of an image of one colour

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
"""Record of one image, about 400 bytes. `width` and `height` are in pixels, upright. `bytes` is -1 where
there is no file. `camera` is an index into `Scan.cameras`. `kind` is the format, `rate` frames a second."""


@dataclass(frozen=True)
class Scan:
    """Properties of N images."""

    facts: NDArray[np.void]
    """One record for each image: (N,) of FACTS."""
    cameras: tuple[str, ...]
    """Makers and models of cameras from EXIF; the first is empty."""
    reasons: dict[int, str] = field(default_factory=dict)
    """Why an image cannot be read, by its index."""


def scan(
    splits: Sequence[Images], *, workers: int, progress: ReportProgress = lambda _done, _total: None
) -> Scan:
    """Decode all images and describe them; the result does not depend on `workers`.

    Args:
        splits: Their images are numbered one split after another.
        workers: Number of processes; 0 scans in this process.
        progress: Called after each chunk.

    Returns:
        One record for each image, and why images cannot be read.

    Raises:
        UnreachableError: A server does not answer.
        ResourceError: A process was killed.
    """
    total = sum(map(len, splits))
    facts = np.zeros(total, FACTS)
    cameras: dict[str, int] = {"": 0}
    reasons: dict[int, str] = {}
    done = 0
    for chunk in _scanned_chunks(tuple(splits), total, workers):
        for record, camera, reason in chunk:
            if reason:
                reasons[done] = reason
            record["camera"] = cameras.setdefault(camera, len(cameras))
            facts[done] = record
            done += 1
        progress(done, total)
    return Scan(facts, tuple(cameras), reasons)


_Row = tuple[NDArray[np.void], str, str]
"""The record of one image, its camera, and why it cannot be read."""


def _scanned_chunks(splits: tuple[Images, ...], total: int, workers: int) -> Iterator[list[_Row]]:
    starts = range(0, total, _CHUNK)
    if not workers or total <= _CHUNK:
        yield from (_scan_chunk(splits, start) for start in starts)
        return
    try:
        with ProcessPoolExecutor(workers, initializer=_Worker.start, initargs=(splits,)) as pool:
            yield from pool.map(_scan_in_worker, starts)
    except BrokenProcessPool:
        raise ResourceError(
            "a process that scans images was killed: free memory, or give fewer workers"
        ) from None


class _Worker:
    """State of a worker process."""

    splits: tuple[Images, ...] = ()
    """Sent once, not with every chunk."""
    unreachable: UnreachableError | None = None
    """The error of a server that did not answer; later chunks fail at once instead of waiting for it
    again."""

    @classmethod
    def start(cls, splits: tuple[Images, ...]) -> None:
        cls.splits = splits
        exit_with_parent()


def _scan_in_worker(start: int) -> list[_Row]:
    if _Worker.unreachable:
        raise _Worker.unreachable
    try:
        return _scan_chunk(_Worker.splits, start)
    except UnreachableError as error:
        _Worker.unreachable = error
        raise


def _scan_chunk(splits: tuple[Images, ...], start: int) -> list[_Row]:
    """The images from number `start`, counted over all splits."""
    rows: list[_Row] = []
    for images in splits:
        indices = np.arange(max(0, start), min(len(images), start + _CHUNK - len(rows)))
        images.prefetch(indices)
        rows += [_scan_image(images, i) for i in indices.tolist()]
        start = max(0, start - len(images)) if start >= len(images) else 0
        if len(rows) == _CHUNK:
            break
    return rows


def _scan_image(images: Images, i: int) -> _Row:
    record = np.zeros((), FACTS)
    record["bytes"], record["orientation"] = -1, 1
    try:
        item = images.item(i)
        record["bytes"], digest = _size_and_digest(item, images.media_type)
        record["digest"] = np.frombuffer(digest, np.uint8)
        header, image = _header_and_image(item, images.media_type)
    except UnreachableError:
        raise
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


def _size_and_digest(item: Item, media_type: MediaType) -> tuple[int, bytes]:
    """Size in bytes, -1 for an item that is no file, and SHA-256 of its content."""
    if isinstance(item, Image.Image):
        return -1, hashlib.sha256(repr((item.size, item.mode)).encode() + item.tobytes()).digest()
    if isinstance(item, bytes):
        return len(item), hashlib.sha256(item).digest()
    if not item.is_file():
        media_type.decode_with_header(item)  # raises: missing, or a pipe that must not be opened
    with Path(item).open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").digest()
        return file.tell(), digest


def _header_and_image(item: Item, media_type: MediaType) -> tuple[Header, Image.Image]:
    if isinstance(item, Image.Image):
        return media_type.stored_header(item), item.convert("RGB")
    return media_type.decode_with_header(item, shrink=lambda size: min(size) // HASH_SIDE)
