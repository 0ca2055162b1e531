"""ImageNet (ILSVRC 2012): the official tars and devkit, read without unpacking, or folders of synsets."""

import io
import re
import tarfile
import zlib
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from residua.data.decode import one_line, printable_path
from residua.data.images import Images
from residua.data.items import Members, PackedNames
from residua.data.limits import LimitedReads, opened_tar, read_regular
from residua.data.listing import ListingOptions, SourceListing
from residua.data.sources.folders import list_class_folders
from residua.errors import DataError

TRAIN, VAL = "ILSVRC2012_img_train.tar", "ILSVRC2012_img_val.tar"
"""The official archives of images: the first holds one tar per class, the second the images themselves."""
DEVKIT = "ILSVRC2012_devkit_t12"
"""The official development kit, as `.tar.gz` or unpacked; its folder `data` holds the two files below."""

_META, _TRUTH = "meta.mat", "ILSVRC2012_validation_ground_truth.txt"
_MAPPING = "LOC_synset_mapping.txt"  # Kaggle's replacement for the devkit
_MAX_BYTES = 1 << 22  # of one file of the devkit, ten times the official ones
_MAT_HEAD, _MAT_PACKED = 128, 15  # bytes before the first element of a MAT file; the type of packed elements
_NUMBER = re.compile(r"ILSVRC2012_val_(\d{8})\.JPEG$")


@dataclass(frozen=True)
class _Devkit:
    """The tables of the devkit."""

    synsets: tuple[str, ...]
    """WordNet identifiers in the order of their numbers, which start at 1."""
    words: dict[str, str]
    """The English words of each synset."""
    truth: tuple[int, ...]
    """The synset number of each validation image."""


def find_imagenet(place: str, _options: ListingOptions) -> SourceListing:
    """List the images of ImageNet; classes in the order of their synsets, as in torchvision and timm.

    Class names are the words of the synsets where a devkit or `LOC_synset_mapping.txt` gives them.

    Args:
        place: a folder with the official archives and the devkit, or with `train/n01440764/*` and
            `val/n01440764/*`.

    Raises:
        DataError: for a missing or damaged file.
    """
    root = Path(place)
    if not (root / TRAIN).is_file():
        listing, words = list_class_folders(root), _words(root)
        train = replace(listing.train, classes=_class_names(listing.train.classes, words))
        test = listing.test and replace(listing.test, classes=_class_names(listing.test.classes, words))
        return replace(listing, train=train, test=test)
    devkit = _read_devkit(root)
    synsets = tuple(sorted(devkit.synsets))
    label_of = {synset: label for label, synset in enumerate(synsets)}
    classes = _class_names(synsets, devkit.words)
    train = _images("train", root / TRAIN, classes, _nested_members(root / TRAIN, label_of))
    labels = [label_of[devkit.synsets[number - 1]] for number in devkit.truth]
    test = _images("val", root / VAL, classes, _flat_members(root / VAL, labels))
    return SourceListing(f"imagenet:{place}", train, test, "official archives")


_Row = tuple[str, int, int, int]
"""Name, label, offset and size of a member."""


def _images(name: str, archive: Path, classes: tuple[str, ...], rows: Iterator[_Row]) -> Images:
    try:
        members = sorted(rows)
    except (OSError, EOFError, tarfile.TarError) as error:
        raise DataError(
            f"{printable_path(archive)} cannot be read ({one_line(error)}): fetch it again"
        ) from None
    if not members:
        raise DataError(f"{printable_path(archive)} holds no image: fetch it again")
    names, labels, offsets, sizes = zip(*members, strict=True)
    places = np.stack([np.zeros(len(names), np.int64), np.array(offsets), np.array(sizes)], 1)
    files = Members((str(archive),), PackedNames.of(names), places)
    return Images(name, classes, np.array(labels, np.int64), files=files)


def _nested_members(archive: Path, label_of: dict[str, int]) -> Iterator[_Row]:
    """Members of the tars inside `archive`; offsets count from the start of `archive` itself."""
    with opened_tar(archive) as outer:
        for info in outer:
            synset = Path(info.name).stem
            if not info.isfile() or not info.name.endswith(".tar"):
                continue
            if synset not in label_of:
                raise DataError(
                    f"{printable_path(archive)} has {synset!r}, which the devkit does not name: "
                    "download both again"
                )
            content = outer.extractfile(info)
            assert content is not None
            with tarfile.open(fileobj=LimitedReads(content, archive), mode="r:") as inner:
                for image in inner:
                    if image.isfile():
                        name = f"{synset}/{Path(image.name).name}"
                        yield name, label_of[synset], info.offset_data + image.offset_data, image.size


def _flat_members(archive: Path, labels: list[int]) -> Iterator[_Row]:
    with opened_tar(archive) as tar:
        for info in tar:
            number = _NUMBER.search(info.name)
            if info.isfile() and number:
                if not 1 <= int(number[1]) <= len(labels):
                    raise DataError(
                        f"{printable_path(archive)} has {info.name!r}, for which the devkit has no label"
                    )
                yield Path(info.name).name, labels[int(number[1]) - 1], info.offset_data, info.size


def _class_names(synsets: tuple[str, ...], words: dict[str, str]) -> tuple[str, ...]:
    """The words of each synset, with its identifier where two synsets share them, as the two cranes do."""
    names = [words.get(synset, synset) for synset in synsets]
    counts = Counter(names)
    return tuple(
        name if counts[name] == 1 else f"{name} ({synset})"
        for name, synset in zip(names, synsets, strict=True)
    )


def _words(root: Path) -> dict[str, str]:
    mapping = root / _MAPPING
    if mapping.is_file():
        text = read_regular(mapping, _MAX_BYTES).decode("utf-8", "replace")
        rows = (line.partition(" ") for line in text.splitlines())
        return {synset: words.strip() for synset, _, words in rows}
    if (root / DEVKIT).is_dir() or (root / f"{DEVKIT}.tar.gz").is_file():
        return _read_devkit(root).words
    return {}


def _read_devkit(root: Path) -> _Devkit:
    truth = _devkit_file(root, _TRUTH).decode("ascii", "replace").split()
    try:
        synsets, words = _parse_meta(_devkit_file(root, _META))
        numbers = tuple(int(number) for number in truth)
        if not synsets or not all(1 <= number <= len(synsets) for number in numbers):
            raise ValueError("numbers without a synset")
    except DataError:
        raise
    except Exception as error:  # a damaged MAT file makes scipy raise many types
        reason = one_line(error)
        raise DataError(
            f"the devkit in {printable_path(root)} is damaged ({reason}): fetch it again"
        ) from None
    return _Devkit(synsets, words, numbers)


def _parse_meta(content: bytes) -> tuple[tuple[str, ...], dict[str, str]]:
    from scipy.io import loadmat

    stream: Any = io.BytesIO(_unpack_mat(content))  # scipy's stubs know only paths
    rows = np.atleast_1d(loadmat(stream, squeeze_me=True)["synsets"])
    leaves = sorted(
        (int(row["ILSVRC2012_ID"]), str(row["WNID"]), str(row["words"]))
        for row in rows
        if not int(row["num_children"])
    )
    if [number for number, _, _ in leaves] != list(range(1, len(leaves) + 1)):
        raise ValueError("synsets that are not numbered from 1")
    return tuple(synset for _, synset, _ in leaves), {synset: words for _, synset, words in leaves}


def _unpack_mat(content: bytes) -> bytes:
    """The MAT file `content` with its elements unpacked, because scipy would unpack any number of bytes."""
    parts, at = [content[:_MAT_HEAD]], _MAT_HEAD
    while at + 8 <= len(content):
        kind, size = np.frombuffer(content, "<u4", 2, at).tolist()
        end = at + 8 + size
        if kind == _MAT_PACKED:
            parts.append(zlib.decompressobj().decompress(content[at + 8 : end], _MAX_BYTES))
        else:
            parts.append(content[at:end])
        at = end
    if (total := sum(map(len, parts))) >= _MAX_BYTES:
        raise ValueError(f"{total:,} bytes or more, unpacked")
    return b"".join(parts)


def _devkit_file(root: Path, name: str) -> bytes:
    """The content of a file of the devkit, from its folder or its archive."""
    archive, folder = root / f"{DEVKIT}.tar.gz", root / DEVKIT
    for place in (folder / "data" / name, folder / name, root / name):
        if place.is_file():
            return read_regular(place, _MAX_BYTES)
    if not archive.is_file():
        raise DataError(
            f"{printable_path(root)} lacks {archive.name}, which names the classes: put it beside the tars"
        )
    try:
        with opened_tar(archive, packed=True) as tar:
            for info in tar:
                if info.isfile() and Path(info.name).name == name and info.size < _MAX_BYTES:
                    content = tar.extractfile(info)
                    assert content is not None
                    return content.read()
    except (OSError, EOFError, zlib.error, tarfile.TarError) as error:
        raise DataError(
            f"{printable_path(archive)} cannot be read ({one_line(error)}): fetch it again"
        ) from None
    raise DataError(f"{printable_path(archive)} holds no {name}: fetch it again")
