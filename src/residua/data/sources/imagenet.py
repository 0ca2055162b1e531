"""ImageNet (ILSVRC 2012): the official tars and devkit, read where they lie, or folders of synsets."""

import io
import re
import tarfile
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from residua.data.decode import one_line, shown
from residua.data.images import Images
from residua.data.items import Members, Names
from residua.data.listing import SourceListing
from residua.data.sources.folders import find_folder
from residua.errors import DataError

TRAIN, VAL = "ILSVRC2012_img_train.tar", "ILSVRC2012_img_val.tar"
"""The official archives of images: one of a tar for each class, and a flat one."""
DEVKIT = "ILSVRC2012_devkit_t12"
"""The official development kit, as `.tar.gz` or unpacked; its `data` holds the two files below."""

_META, _TRUTH = "meta.mat", "ILSVRC2012_validation_ground_truth.txt"
_MAPPING = "LOC_synset_mapping.txt"  # what Kaggle gives in place of the devkit
_MOST_BYTES = 1 << 26  # of a file of the devkit
_NUMBER = re.compile(r"ILSVRC2012_val_(\d{8})\.JPEG$")


@dataclass(frozen=True)
class _Kit:
    """The devkit."""

    synsets: tuple[str, ...]
    """WordNet identifiers by number, the first of which is 1."""
    words: dict[str, str]
    """What each is called."""
    truth: tuple[int, ...]
    """Number of the synset of each validation image."""


def find_imagenet(folder: str) -> SourceListing:
    """The images of ImageNet in `folder`; classes in the order of their synsets, as in torchvision and timm.

    Either the official archives lie there, with the devkit, or `train/n01440764/*` and `val/n01440764/*`.
    Classes are called by the words of their synset where a devkit or `LOC_synset_mapping.txt` tells them.
    DataError says what is missing or damaged.
    """
    root = Path(folder)
    if not folder:
        raise DataError("'imagenet:' names no folder: give imagenet:DIR")
    if not (root / TRAIN).is_file():
        found = find_folder(root)
        words = _words(root)
        train = replace(found.train, classes=_named(found.train.classes, words))
        test = found.test and replace(found.test, classes=_named(found.test.classes, words))
        return replace(found, train=train, test=test)
    kit = _kit(root)
    synsets = tuple(sorted(kit.synsets))
    place = {synset: label for label, synset in enumerate(synsets)}
    classes = _named(synsets, kit.words)
    train = _images("train", root / TRAIN, classes, _nested(root / TRAIN, place))
    labels = [place[kit.synsets[number - 1]] for number in kit.truth]
    test = _images("val", root / VAL, classes, _flat(root / VAL, labels))
    return SourceListing(f"imagenet:{folder}", train, test, "official archives")


_Row = tuple[str, int, int, int]
"""Name, label, offset and size of a member."""


def _images(name: str, archive: Path, classes: tuple[str, ...], rows: Iterator[_Row]) -> Images:
    try:
        found = sorted(rows)
    except (OSError, EOFError, tarfile.TarError) as error:
        raise DataError(f"{shown(archive)} cannot be read ({one_line(error)}): fetch it again") from None
    if not found:
        raise DataError(f"{shown(archive)} holds no image: fetch it again")
    names, labels, offsets, sizes = zip(*found, strict=True)
    places = np.stack([np.zeros(len(names), np.int64), np.array(offsets), np.array(sizes)], 1)
    files = Members((str(archive),), Names.of(names), places)
    return Images(name, classes, np.array(labels, np.int64), files=files)


def _nested(archive: Path, place: dict[str, int]) -> Iterator[_Row]:
    """Members of the tars inside the archive, by their place in the archive itself."""
    with tarfile.open(archive, "r:") as outer:
        for info in outer:
            synset = Path(info.name).stem
            if not info.isfile() or not info.name.endswith(".tar"):
                continue
            if synset not in place:
                raise DataError(
                    f"{shown(archive)} has {synset!r}, which the devkit does not name: fetch both again"
                )
            held = outer.extractfile(info)
            assert held is not None
            with tarfile.open(fileobj=held, mode="r:") as inner:
                for image in inner:
                    if image.isfile():
                        name = f"{synset}/{Path(image.name).name}"
                        yield name, place[synset], info.offset_data + image.offset_data, image.size


def _flat(archive: Path, labels: list[int]) -> Iterator[_Row]:
    with tarfile.open(archive, "r:") as tar:
        for info in tar:
            number = _NUMBER.search(info.name)
            if info.isfile() and number:
                if not 1 <= int(number[1]) <= len(labels):
                    raise DataError(f"{shown(archive)} has {info.name!r}, for which the devkit has no label")
                yield Path(info.name).name, labels[int(number[1]) - 1], info.offset_data, info.size


def _named(synsets: tuple[str, ...], words: dict[str, str]) -> tuple[str, ...]:
    """The words of each synset, with its identifier where two share them: `crane` is a bird, too."""
    found = [words.get(synset, synset) for synset in synsets]
    counts = Counter(found)
    return tuple(
        name if counts[name] == 1 else f"{name} ({synset})"
        for name, synset in zip(found, synsets, strict=True)
    )


def _words(root: Path) -> dict[str, str]:
    mapping = root / _MAPPING
    if mapping.is_file():
        rows = (line.partition(" ") for line in mapping.read_text("utf-8", "replace").splitlines())
        return {synset: words.strip() for synset, _, words in rows}
    if (root / DEVKIT).is_dir() or (root / f"{DEVKIT}.tar.gz").is_file():
        return _kit(root).words
    return {}


def _kit(root: Path) -> _Kit:
    truth = _part(root, _TRUTH).decode("ascii", "replace").split()
    try:
        synsets, words = _meta(_part(root, _META))
        numbers = tuple(int(number) for number in truth)
        if not synsets or not all(1 <= number <= len(synsets) for number in numbers):
            raise ValueError("numbers without a synset")
    except DataError:
        raise
    except Exception as error:  # scipy raises what a damaged MAT file makes it stumble over
        reason = one_line(error)
        raise DataError(f"the devkit in {shown(root)} is damaged ({reason}): fetch it again") from None
    return _Kit(synsets, words, numbers)


def _meta(content: bytes) -> tuple[tuple[str, ...], dict[str, str]]:
    from scipy.io import loadmat

    stream: Any = io.BytesIO(content)  # the stubs know of paths alone
    rows = np.atleast_1d(loadmat(stream, squeeze_me=True)["synsets"])
    leaves = sorted(
        (int(row["ILSVRC2012_ID"]), str(row["WNID"]), str(row["words"]))
        for row in rows
        if not int(row["num_children"])
    )
    if [number for number, _, _ in leaves] != list(range(1, len(leaves) + 1)):
        raise ValueError("synsets that are not numbered from 1")
    return tuple(synset for _, synset, _ in leaves), {synset: words for _, synset, words in leaves}


def _part(root: Path, name: str) -> bytes:
    """A file of the devkit, from its folder or its archive."""
    archive, folder = root / f"{DEVKIT}.tar.gz", root / DEVKIT
    for place in (folder / "data" / name, folder / name, root / name):
        if place.is_file():
            return place.read_bytes()
    if not archive.is_file():
        raise DataError(
            f"{shown(root)} lacks {archive.name}, which names the classes: put it beside the tars"
        )
    try:
        with tarfile.open(archive) as tar:
            for info in tar:
                if info.isfile() and Path(info.name).name == name and info.size < _MOST_BYTES:
                    held = tar.extractfile(info)
                    assert held is not None
                    return held.read()
    except (OSError, EOFError, tarfile.TarError) as error:
        raise DataError(f"{shown(archive)} cannot be read ({one_line(error)}): fetch it again") from None
    raise DataError(f"{shown(archive)} holds no {name}: fetch it again")
