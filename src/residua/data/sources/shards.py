"""Shards: images in a few large tar files, with an index that finds any of them in one read.

The tars are what webdataset reads: `00000042.jpg` beside `00000042.cls`, the class as a number. Beside each
tar lies its index with names, labels, offsets, sizes and SHA-256; `index.json` names classes and shards.
"""

import hashlib
import io
import json
import shutil
import tarfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from residua.data.decode import (
    FORMAT_SUFFIXES,
    decode_rgb_or_grey,
    one_line,
    printable_path,
    read_format,
    read_size,
)
from residua.data.images import Images
from residua.data.items import Item, Members, PackedNames
from residua.data.limits import read_regular
from residua.data.listing import ListingOptions, SourceListing, quote_names
from residua.data.ranges import close_cached_files, read_whole
from residua.data.sampler import order
from residua.errors import DataError
from residua.files import check_is_free, file_sha256
from residua.spec.source import is_address

INDEX = "index.json"
"""The file that makes a folder a set of shards."""
SHARD_BYTES = 256 << 20
"""Size at which a new shard begins; our choice: few files, and each small enough to copy again."""

_FORMAT, _VERSION = "residua.shards", 1
_SPLITS = ("train", "val", "test", "all")
_QUALITY = 92  # of JPEGs that are made smaller; our choice
_MOST_BYTES = 1 << 28  # of one image
_MOST_INDEX_BYTES = 16 << 20  # of one index: parsed, it takes at most twice as much and 64 MiB
_ROW_BYTES = 110  # of one image in an index, at most, beside its name
_BYTES_PER_VALUE = 16  # in an index, on average and at least: smaller ones would fill memory when parsed
_SUFFIXES = {"MPO": "jpg", **{name: suffixes[0][1:] for name, suffixes in FORMAT_SUFFIXES.items()}}


@dataclass(frozen=True)
class PackedShards:
    """What `write_shards` wrote."""

    images: int
    """Images in all shards."""
    shards: int
    """Tar files."""
    bytes: int
    """Their size together."""
    reduced: int
    """Images that were made smaller."""


def write_shards(
    listing: SourceListing,
    out: Path,
    *,
    shard_bytes: int = SHARD_BYTES,
    side: int = 0,
    decoded: bool = False,
    force: bool = False,
    tell: Callable[[int, int], None] = lambda _done, _total: None,
) -> PackedShards:
    """Write the images of `listing` to the folder `out`, bit for bit, in a fixed random order.

    `out` appears complete or not at all.

    Args:
        listing: The images, in one split or in two.
        out: The new folder.
        shard_bytes: Size at which a new shard begins, in bytes.
        side: Images whose shorter side is longer are made smaller to this side, in pixels, and saved
            as JPEG; 0 leaves the size of all.
        decoded: Write the pixels of every image as the gate makes them, always as BMP: much larger, and
            nothing is left to decode.
        force: Whether a folder at `out` is replaced.
        tell: Receives the number of images done and their total, after every image.

    Returns:
        How many images, shards and bytes were written, and how many images were made smaller.

    Raises:
        FileExistsError: Something exists at `out`, without `force`.
        DataError: An image cannot be read; the message names it.
    """
    check_is_free(out, force=force)
    draft = out.with_name(f".{out.name}.partial")
    shutil.rmtree(draft, ignore_errors=True)
    draft.mkdir(parents=True)
    try:
        done, total, size, reduced, splits = 0, sum(map(len, listing.splits)), 0, 0, {}
        for images in listing.splits:
            split = "all" if listing.test is None else images.name if images.name in _SPLITS else "test"
            writer = _Writer(draft, split, shard_bytes)
            for i in order(0, 0, len(images)).tolist():
                content, is_large = _content(images.item(i), side, decoded, listing.source)
                reduced += is_large
                writer.add(content, int(images.labels[i]), _name(listing, images, i))
                tell(done := done + 1, total)
            splits[split] = {"classes": list(images.classes), "shards": writer.close()}
            size += writer.bytes
        _put(draft / INDEX, {"format": _FORMAT, "version": _VERSION, "splits": splits})
        if out.exists():
            shutil.rmtree(out)
        draft.replace(out)
    except BaseException:
        shutil.rmtree(draft, ignore_errors=True)
        raise
    return PackedShards(total, sum(len(part["shards"]) for part in splits.values()), size, reduced)


def find_shards(place: str, _options: ListingOptions) -> SourceListing:
    """List the images of the shards at `place`; see `list_shards`."""
    return list_shards(place)


def list_shards(place: str) -> SourceListing:
    """The images of the shards at `place`: their folder or its index, as a path or an address.

    DataError when an index is damaged, names a file outside its folder, or points beyond its shard.
    """
    root = place.removesuffix(INDEX).rstrip("/") or ("." if not place.startswith("/") else "/")
    close_cached_files()
    index = _read(f"{root}/{INDEX}")
    with _Damage(f"{root}/{INDEX}"):
        if (index["format"], index["version"]) != (_FORMAT, _VERSION):
            raise ValueError(f"format {index['format']!r} version {index['version']!r}")
        splits = {
            name: _split(root, name, index["splits"][name]) for name in _SPLITS if name in index["splits"]
        }
    title = Path(root).name
    if "all" in splits:
        every = splits["all"]
        return SourceListing(
            place, Images("train", every.classes, every.labels, files=every.files), None, " of shards", title
        )
    test = splits.get("val") or splits.get("test")
    if "train" not in splits or test is None:
        raise DataError(f"{printable_path(root)} has the splits {quote_names(sorted(splits))}: pack it again")
    return SourceListing(
        place, splits["train"], test, f"shards {splits['train'].name} and {test.name}", title
    )


def wrong_digests(images: Images, current: NDArray[np.uint8]) -> list[int]:
    """Places of the images in shards that changed since they were packed; `current`: SHA-256 now, (N, 32)."""
    if not isinstance(images.files, Members) or images.files.digests is None:
        return []
    differ: list[int] = np.flatnonzero((images.files.digests != current).any(1)).tolist()
    return differ


class _Writer:
    """Shards of one split while they are written."""

    def __init__(self, folder: Path, split: str, most: int) -> None:
        self.folder, self.split, self.most = folder, split, most
        self.shards: list[str] = []
        self.bytes = self.count = self.index_bytes = 0
        self.tar: tarfile.TarFile | None = None
        self.rows: dict[str, list[Any]] = {}

    def add(self, content: bytes, label: int, name: str) -> None:
        """One image."""
        suffix = _SUFFIXES[read_format(content)]
        if self.tar is None:
            stem = f"{self.split}-{len(self.shards):05}"
            self.shards.append(stem)
            path = self.folder / f"{stem}.tar"
            self.tar = tarfile.open(path, "w", format=tarfile.USTAR_FORMAT)  # noqa: SIM115 - `close` does
            self.index_bytes = 0
            self.rows = {key: [] for key in ("names", "labels", "offsets", "sizes", "sha256")}
        self._member(f"{self.count:08}.{suffix}", content)
        offset = self.tar.offset - -(-len(content) // tarfile.BLOCKSIZE) * tarfile.BLOCKSIZE
        digest = hashlib.sha256(content).hexdigest()
        for key, value in zip(self.rows, (name, label, offset, len(content), digest), strict=True):
            self.rows[key].append(value)
        self._member(f"{self.count:08}.cls", str(label).encode())
        self.count += 1
        self.index_bytes += len(json.dumps(name)) + _ROW_BYTES
        if self.tar.offset >= self.most or self.index_bytes >= _MOST_INDEX_BYTES * 0.9:
            self.close()

    def close(self) -> list[str]:
        """End the shard that is open; the names of all."""
        if self.tar is not None:
            self.tar.close()
            self.tar = None
            file = self.folder / f"{self.shards[-1]}.tar"
            digest = file_sha256(file)
            size = file.stat().st_size
            self.bytes += size
            _put(file.with_suffix(".json"), {"bytes": size, "sha256_of_tar": digest, **self.rows})
        return self.shards

    def _member(self, name: str, content: bytes) -> None:
        assert self.tar is not None
        info = tarfile.TarInfo(name)  # no time and no owner: the same images give the same bytes
        info.size = len(content)
        self.tar.addfile(info, io.BytesIO(content))


class _Damage:
    """Turns what a damaged index makes Python raise into one DataError."""

    def __init__(self, place: str) -> None:
        self.place = place

    def __enter__(self) -> None:
        """Nothing to do."""

    def __exit__(self, _kind: object, error: BaseException | None, _trace: object) -> None:
        """DataError for every mistake a stranger's values can cause."""
        if isinstance(error, DataError):
            return
        if isinstance(
            error,
            KeyError | TypeError | ValueError | OverflowError | AttributeError | RecursionError | OSError,
        ):
            reason = one_line(error)
            raise DataError(
                f"{printable_path(self.place)} is no index of shards ({reason}): pack them again"
            ) from None


def _content(item: Item, side: int, decoded: bool, source: str) -> tuple[bytes, bool]:
    """The file that is packed, and whether the image was made smaller for it."""
    try:
        content = _encoded(item)
        read = item if isinstance(item, Path) else content  # which an error names
        is_large = min(read_size(read)) > side > 0
        if is_large or decoded:
            image = _reduced(read, side) if is_large else decode_rgb_or_grey(read)
            content = _file_of(image, "BMP" if decoded else "JPEG")
    except DataError as error:
        raise DataError(f"{error}; `residua data check {source}` lists all such files") from None
    return content, is_large


def _encoded(item: Item) -> bytes:
    if isinstance(item, Path):
        read_format(item)  # names a pipe, a device or a huge image before it is read
        return read_regular(item, _MOST_BYTES)
    if isinstance(item, bytes):
        return item
    return _file_of(item, "PNG")


def _file_of(image: Image.Image, kind: str) -> bytes:
    stream = io.BytesIO()
    image.save(stream, kind, quality=_QUALITY)  # only JPEG asks for it
    return stream.getvalue()


def _reduced(file: Path | bytes, side: int) -> Image.Image:
    """The image with `side` pixels along the shorter side, where it has more."""
    image = decode_rgb_or_grey(file, shrink=lambda whole: min(whole) // side)
    scale = side / min(image.size)
    width, height = (max(side, round(scale * pixels)) for pixels in image.size)
    return image.resize((width, height), Image.Resampling.LANCZOS)


def _name(listing: SourceListing, images: Images, i: int) -> str:
    """The name by which a later split by hash finds the image where the folder's own split does."""
    if images.files is None:
        return images.title(i)
    name = images.files.name(i)
    return name[len(listing.name_prefix) :] if listing.test is None else name


def _put(file: Path, content: dict[str, Any]) -> None:
    text = json.dumps(content, allow_nan=False)
    padded = text.ljust(_values(text) * _BYTES_PER_VALUE)  # names may be full of commas
    file.write_text(padded + "\n", "ascii")


def _read(place: str) -> dict[str, Any]:
    with _Damage(place):
        text = read_whole(place, _MOST_INDEX_BYTES).decode("ascii")
        if _values(text) > 1000 + len(text) // _BYTES_PER_VALUE:
            raise ValueError("more values than an index has")
        plain = json.loads(text)
        if not isinstance(plain, dict):
            raise TypeError("no object")
        return plain


def _values(text: str) -> int:
    """About how many values the JSON `text` holds, and never fewer."""
    return 1 + sum(map(text.count, (",", "[", "{", ":")))


def _split(root: str, name: str, part: dict[str, Any]) -> Images:
    classes, shards = part["classes"], part["shards"]
    if not all(isinstance(word, str) for word in (*classes, *shards)) or len(set(classes)) < len(classes):
        raise ValueError("classes or shards that are no names")
    if len(set(shards)) < len(shards):
        raise ValueError("a shard that is listed twice")
    "".join(classes).encode()  # UnicodeEncodeError: half a character, as JSON can hold
    rows = [_shard(root, number, stem, len(classes)) for number, stem in enumerate(shards)]
    if not rows:
        raise ValueError("no shards")
    labels, places, digests = (np.concatenate([row[k] for row in rows]) for k in (1, 2, 3))
    names = PackedNames.of([word for row in rows for word in row[0]])
    archives = tuple(f"{root}/{stem}.tar" for stem in shards)
    return Images(name, tuple(classes), labels, files=Members(archives, names, places, digests))


def _shard(
    root: str, number: int, stem: str, classes: int
) -> tuple[list[str], NDArray[np.int64], NDArray[np.int64], NDArray[np.uint8]]:
    """Names, labels, places and digests of one shard, checked against its size."""
    if not stem.replace("-", "").isalnum() or not stem.isascii():
        raise ValueError(f"a shard called {stem!r}")
    place = f"{root}/{stem}.json"
    rows = _read(place)
    with _Damage(place):
        names, total = rows["names"], rows["bytes"]
        labels, offsets, sizes = (np.array(rows[key], np.int64) for key in ("labels", "offsets", "sizes"))
        digests = np.frombuffer(bytes.fromhex("".join(rows["sha256"])), np.uint8).reshape(-1, 32)
        if {labels.shape, offsets.shape, sizes.shape, digests.shape[:1]} != {(len(names),)}:
            raise ValueError("columns of different lengths")
        if not all(isinstance(word, str) and word for word in names):
            raise ValueError("names that are no text")
        if not is_address(root) and (size := Path(f"{root}/{stem}.tar").stat().st_size) != total:
            raise ValueError(f"its shard has {size} bytes, not {total}")
        inside = (offsets >= 0) & (sizes > 0) & (sizes < _MOST_BYTES) & (offsets <= total - sizes)
        if not (inside.all() and ((labels >= 0) & (labels < classes)).all()):
            raise ValueError("labels or places out of range")
        places = np.stack([np.full_like(offsets, number), offsets, sizes], 1)
    return names, labels, places, digests
