"""CIFAR-10 and CIFAR-100: the official binary or Python files, zips of images, or a download."""

import zipfile
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path, PurePosixPath
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from residua.data.decode import SUFFIXES, decode, one_line, printable_path
from residua.data.download import download
from residua.data.images import Images
from residua.data.limits import opened_zip, read_member, read_regular
from residua.data.listing import ListingOptions, SourceListing
from residua.data.unpickle import load_pickle, to_array, to_text
from residua.data.walk import has_suffix, is_hidden
from residua.errors import DataError
from residua.files import cache_folder
from residua.spec.source import Source

OLD_CACHE = Path("~/.cache/residua")
"""Where residua 0.0 stored downloads on every system; what lies there is still read."""
Name = Literal["cifar10", "cifar100"]
"""Which of the two data sets."""

_MAX_BYTES = 1 << 20  # of one image in a zip
_MAX_FILE_BYTES = 1 << 28  # of an official file: that of CIFAR-100 has 155,000,000
_MAX_TEXT_BYTES = 1 << 16  # of the names of the classes
_BYTES = 3 * 32 * 32  # of one image: red plane, green plane, blue plane
_SPARE_BYTES = 32 << 20  # pixels that a zip may have beside twice its size
_Batch = tuple[NDArray[np.int64], NDArray[np.uint8]]
"""Labels (N,) and planes (N, 3072)."""
_Zipped = tuple[list[str], NDArray[np.uint8]]
"""Classes and pixels (N, 32, 32, 3)."""


@dataclass(frozen=True)
class _Form:
    """One of the official forms: the names of its files, and the functions that read them."""

    folder: str
    batches: tuple[str, ...]
    test: str
    meta: str
    read: Callable[[Path], _Batch]
    names: Callable[[Path], list[str]]

    @property
    def files(self) -> tuple[str, ...]:
        """Names of all required files."""
        return (*self.batches, self.test, self.meta)


def find_cifar10(place: str, _options: ListingOptions) -> SourceListing:
    """CIFAR-10 at `place`, or downloaded; see `list_cifar`."""
    return list_cifar("cifar10", Path(place) if place else None)


def find_cifar100(place: str, _options: ListingOptions) -> SourceListing:
    """CIFAR-100 with its fine labels at `place`, or downloaded; see `list_cifar`."""
    return list_cifar("cifar100", Path(place) if place else None)


def is_local(source: Source) -> bool:
    """Whether the files of `source` are given, or were downloaded before."""
    name = next(name for name in _FORMS if name == source.name)
    form = _FORMS[name][0]
    return bool(source.place) or _is_complete(_download_folder(form, cache_folder()), form)


def list_cifar(
    name: Name,
    folder: Path | None,
    *,
    cache: Path | None = None,
    url: str | None = None,
    md5: str | None = None,
) -> SourceListing:
    """Read CIFAR-10 or CIFAR-100 into memory: (N, 32, 32, 3) uint8.

    Args:
        name: which of the two.
        folder: the official files, or zips; None downloads the binary archive from the authors' page.
        cache: where downloads are stored; None is `files.cache_folder()`.
        url: another address of the archive.
        md5: another checksum of the archive.

    Raises:
        DataError: for files that are missing, truncated or of another format, or a failed download.
    """
    if folder is None:
        binary = _FORMS[name][0]
        folder = _download_folder(binary, cache or cache_folder())
        if not _is_complete(folder, binary):
            advice = f"download it by hand, unpack it, and give {name}:DIR"
            default_url, default_md5 = _ARCHIVES[name]
            download(
                folder, url=url or default_url, md5=md5 or default_md5, members=binary.files, advice=advice
            )
    if folder.suffix.lower() == ".zip" or (folder / "train.zip").is_file():
        train, test = _read_zips(folder)
        return SourceListing(name, train, test, "from zips")
    train, test = _read_official(name, folder)
    return SourceListing(name, train, test, "official split")


def _download_folder(form: _Form, cache: Path) -> Path:
    """Where the files of `form` are downloaded to, or were by an earlier version."""
    folder, old = cache / form.folder, OLD_CACHE.expanduser() / form.folder
    return old if _is_complete(old, form) and not _is_complete(folder, form) else folder


def _is_complete(folder: Path, form: _Form) -> bool:
    return all((folder / file).is_file() for file in form.files)


def _read_zips(place: Path) -> tuple[Images, Images]:
    """Images of one zip with `train/CLASS/NAME` and `test/CLASS/NAME`, or of two zips with `CLASS/NAME`."""
    archives = [(place, "")]
    if place.suffix.lower() != ".zip":
        archives = [(place / f"{split}.zip", split) for split in ("train", "test")]
    images = {"train": _no_images(), "test": _no_images()}
    for archive, split in archives:
        images.update(_read_zip(archive, split))
    names = {part: sorted(set(folders)) for part, (folders, _) in images.items()}
    if not names["train"] or names["train"] != names["test"]:
        odd = sorted(set(names["train"]) ^ set(names["test"]))
        raise DataError(f"{printable_path(place)} has not the same classes in train and test ({odd[:5]})")
    label_of = {name: label for label, name in enumerate(names["train"])}
    train, test = (
        Images(part, tuple(label_of), np.array([label_of[name] for name in folders], np.int64), pixels=pixels)
        for part, (folders, pixels) in images.items()
    )
    return train, test


def _no_images() -> _Zipped:
    return [], np.empty((0, 32, 32, 3), np.uint8)


def _read_zip(archive: Path, split: str) -> dict[str, _Zipped]:
    """The images of a zip by split, in the order of their names."""
    try:
        with opened_zip(archive) as members:
            rows = sorted(_zip_rows(members, split), key=lambda row: (row[0], row[2].filename))
            if len(rows) * _BYTES > 2 * archive.stat().st_size + _SPARE_BYTES:
                raise DataError(
                    f"{printable_path(archive)} has {len(rows):,} images, too many for its size: give files"
                )
            pixels = np.empty((len(rows), 32, 32, 3), np.uint8)  # one block: a list would be copied
            for row, (_, folder, info) in zip(pixels, rows, strict=True):
                image = decode(read_member(members, info, _MAX_BYTES), colour="rgb")
                if image.size != (32, 32):
                    raise DataError(f"an image of {folder!r} is {image.width} x {image.height}: give 32 x 32")
                row[:] = np.asarray(image)
    except (OSError, EOFError, zipfile.BadZipFile, zlib.error, RuntimeError, NotImplementedError) as error:
        raise DataError(
            f"{printable_path(archive)} cannot be read ({one_line(error)}): give a zip of CLASS/NAME images"
        ) from None
    parts: dict[str, _Zipped] = {}
    for part in sorted({part for part, _, _ in rows}):
        inside = [k for k, row in enumerate(rows) if row[0] == part]
        parts[part] = [rows[k][1] for k in inside], pixels[inside[0] : inside[-1] + 1]
    return parts


def _zip_rows(members: zipfile.ZipFile, split: str) -> Iterator[tuple[str, str, zipfile.ZipInfo]]:
    """Split, class and place of every image of a zip."""
    for info in members.infolist():
        path = PurePosixPath(info.filename).parts
        folders = path[:-1]
        part = split or next((name for name in ("train", "test") if name in folders[:-1]), "")
        if part and folders and has_suffix(info.filename, SUFFIXES) and not any(map(is_hidden, path)):
            yield part, folders[-1], info


def _read_official(name: Name, folder: Path) -> tuple[Images, Images]:
    form, folder = _find_form(name, folder)
    for file in form.files:
        if not (folder / file).is_file():
            raise DataError(f"{printable_path(folder)} lacks {file}: unpack the official archive again")
    try:
        classes = tuple(form.names(folder / form.meta))
        train = _images("train", classes, [form.read(folder / file) for file in form.batches], folder)
        test = _images("test", classes, [form.read(folder / form.test)], folder)
    except OSError as error:
        raise DataError(f"{printable_path(folder)} cannot be read: {error.strerror}") from None
    return train, test


def _find_form(name: Name, folder: Path) -> tuple[_Form, Path]:
    for form in _FORMS[name]:
        for place in (folder, folder / form.folder):
            if (place / form.batches[0]).is_file():
                return form, place
    title = name.upper().replace("R1", "R-1")
    files = " or ".join(form.batches[0] for form in _FORMS[name])
    raise DataError(
        f"{printable_path(folder)} holds no {title} ({files}, or zips of CLASS/NAME): give the unpacked "
        f"folder, or {name} alone"
    )


def _images(name: str, classes: tuple[str, ...], batches: list[_Batch], folder: Path) -> Images:
    labels = np.concatenate([labels for labels, _ in batches])
    if labels.min() < 0 or labels.max() >= len(classes):
        raise DataError(
            f"{printable_path(folder)} has labels outside 0 to {len(classes) - 1}: unpack the archive again"
        )
    pixels = np.empty((len(labels), 32, 32, 3), np.uint8)
    np.concatenate([planes.reshape(-1, 3, 32, 32).transpose(0, 2, 3, 1) for _, planes in batches], out=pixels)
    return Images(name, classes, labels, pixels=pixels)


def _read_binary(file: Path, *, label_bytes: int) -> _Batch:
    """Records of labels and pixels; of CIFAR-100's two labels the second, fine one counts."""
    content = np.frombuffer(read_regular(file, _MAX_FILE_BYTES), np.uint8)
    record = label_bytes + _BYTES
    if not len(content) or len(content) % record:
        raise DataError(
            f"{printable_path(file)} has {len(content)} bytes, not records of {record}: "
            "unpack the archive again"
        )
    records = content.reshape(-1, record)
    return records[:, label_bytes - 1].astype(np.int64), records[:, label_bytes:]


def _read_python(file: Path, *, key: str) -> _Batch:
    content = load_pickle(file)
    try:
        planes = to_array(content["data"])
        numbers = content[key]
        if not isinstance(numbers, list) or not all(isinstance(number, int) for number in numbers):
            raise TypeError("labels that are no list of numbers")  # lists in lists may have any size
        labels = np.array(numbers, np.int64)
        if labels.ndim != 1 or planes.shape != (len(labels), _BYTES) or not len(labels):
            raise ValueError(f"{labels.shape} labels and {planes.shape} pixels")
    except (LookupError, TypeError, ValueError, OverflowError, AttributeError) as error:
        raise DataError(
            f"{printable_path(file)} is no batch of CIFAR ({error}): unpack the archive again"
        ) from None
    return labels, planes


def _names_binary(file: Path) -> list[str]:
    return read_regular(file, _MAX_TEXT_BYTES).decode("utf-8", "replace").split()


def _names_python(file: Path, *, key: str) -> list[str]:
    names = load_pickle(file).get(key)
    if not isinstance(names, list) or not names:
        raise DataError(f"{printable_path(file)} names no classes: unpack the official archive again")
    try:
        return [to_text(name) for name in names]
    except TypeError as error:
        raise DataError(f"{printable_path(file)} has {error}: unpack the official archive again") from None


_ARCHIVES: dict[Name, tuple[str, str]] = {
    "cifar10": (
        "https://www.cs.toronto.edu/~kriz/cifar-10-binary.tar.gz",
        "c32a1d4ab5d03f1284b67883e8d87530",
    ),
    "cifar100": (
        "https://www.cs.toronto.edu/~kriz/cifar-100-binary.tar.gz",
        "03b5dce01913d631647c71ecec9e9cb8",
    ),
}
"""The authors' archives of the binary form, and their MD5 sums as printed on the authors' page."""

_BATCHES = tuple(f"data_batch_{i}" for i in range(1, 6))
_BINARY = _Form(
    folder="cifar-10-batches-bin",
    batches=tuple(f"{name}.bin" for name in _BATCHES),
    test="test_batch.bin",
    meta="batches.meta.txt",
    read=partial(_read_binary, label_bytes=1),
    names=_names_binary,
)
_PYTHON = _Form(
    folder="cifar-10-batches-py",
    batches=_BATCHES,
    test="test_batch",
    meta="batches.meta",
    read=partial(_read_python, key="labels"),
    names=partial(_names_python, key="label_names"),
)
_BINARY_100 = _Form(
    folder="cifar-100-binary",
    batches=("train.bin",),
    test="test.bin",
    meta="fine_label_names.txt",
    read=partial(_read_binary, label_bytes=2),
    names=_names_binary,
)
_PYTHON_100 = _Form(
    folder="cifar-100-python",
    batches=("train",),
    test="test",
    meta="meta",
    read=partial(_read_python, key="fine_labels"),
    names=partial(_names_python, key="fine_label_names"),
)
_FORMS: dict[Name, tuple[_Form, _Form]] = {
    "cifar10": (_BINARY, _PYTHON),
    "cifar100": (_BINARY_100, _PYTHON_100),
}
