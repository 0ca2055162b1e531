"""CIFAR-10 and CIFAR-100 in their official forms, binary and Python, as zips, or from the authors' page."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from residua.data.decode import shown
from residua.data.download import download
from residua.data.images import ImageDataset, Images
from residua.data.unpickle import array, text, unpickled
from residua.data.zips import has_zips, open_zips
from residua.errors import DataError

CACHE = Path("~/.cache/residua")
"""Where downloads are kept."""

_BYTES = 3 * 32 * 32  # of one image: red plane, green plane, blue plane
_Batch = tuple[NDArray[np.int64], NDArray[np.uint8]]
"""Labels (N,) and planes (N, 3072)."""


@dataclass(frozen=True)
class _Form:
    """One of the official forms: how its files are called, and how they are read."""

    folder: str
    batches: tuple[str, ...]
    test: str
    meta: str
    read: Callable[[Path], _Batch]
    names: Callable[[Path], list[str]]

    @property
    def files(self) -> tuple[str, ...]:
        """Names of all files that must be there."""
        return (*self.batches, self.test, self.meta)


def open_cifar10(
    folder: Path | None, *, cache: Path = CACHE, url: str | None = None, md5: str | None = None
) -> ImageDataset:
    """CIFAR-10 from the official files or zips in `folder`; when None, from the authors' page, by `cache`.

    DataError when files are missing, cut or not what they claim, or cannot be fetched. `url` and `md5` name
    another place and sum of the binary archive.
    """
    return _open("cifar10", folder, cache, url, md5)


def open_cifar100(
    folder: Path | None, *, cache: Path = CACHE, url: str | None = None, md5: str | None = None
) -> ImageDataset:
    """CIFAR-100 with its 100 fine classes, else as `open_cifar10`."""
    return _open("cifar100", folder, cache, url, md5)


def _open(name: str, folder: Path | None, cache: Path, url: str | None, md5: str | None) -> ImageDataset:
    binary, title = _forms(name)[0], name.upper().replace("R1", "R-1")
    if folder is None:
        folder = cache.expanduser() / binary.folder
        if not all((folder / file).is_file() for file in binary.files):
            cure = f"fetch it by hand, unpack it, and give {name}:DIR"
            public, published = _ARCHIVES[name]
            download(folder, url=url or public, md5=md5 or published, members=binary.files, cure=cure)
    if has_zips(folder):
        train, test = open_zips(folder, side=32)
        how = "from zips"
    else:
        train, test = _official(name, title, folder)
        how = "official split"
    note = f"{len(train.classes)} classes, {len(train)} train + {len(test)} test images; {how}"
    return ImageDataset(name, train, test, grey=False, size=32, note=note)


def _official(name: str, title: str, folder: Path) -> tuple[Images, Images]:
    form, folder = _form(name, title, folder)
    for file in form.files:
        if not (folder / file).is_file():
            raise DataError(f"{shown(folder)} lacks {file}: unpack the official archive again")
    try:
        classes = tuple(form.names(folder / form.meta))
        train = _images("train", classes, [form.read(folder / file) for file in form.batches], folder)
        test = _images("test", classes, [form.read(folder / form.test)], folder)
    except OSError as error:
        raise DataError(f"{shown(folder)} cannot be read: {error.strerror}") from None
    return train, test


def _forms(name: str) -> tuple[_Form, _Form]:
    return (_BINARY, _PYTHON) if name == "cifar10" else (_BINARY_100, _PYTHON_100)


def _form(name: str, title: str, folder: Path) -> tuple[_Form, Path]:
    for form in _forms(name):
        for place in (folder, folder / form.folder):
            if (place / form.batches[0]).is_file():
                return form, place
    wanted = " or ".join(form.batches[0] for form in _forms(name))
    raise DataError(
        f"{shown(folder)} holds no {title} ({wanted}, or zips of CLASS/NAME): give the unpacked folder, "
        f"or {name} alone"
    )


def _images(name: str, classes: tuple[str, ...], batches: list[_Batch], folder: Path) -> Images:
    labels = np.concatenate([labels for labels, _ in batches])
    if labels.min() < 0 or labels.max() >= len(classes):
        raise DataError(
            f"{shown(folder)} has labels outside 0 to {len(classes) - 1}: unpack the archive again"
        )
    planes = np.concatenate([planes for _, planes in batches]).reshape(-1, 3, 32, 32)
    return Images(name, classes, labels, pixels=np.ascontiguousarray(planes.transpose(0, 2, 3, 1)))


def _read_binary(file: Path, *, label_bytes: int) -> _Batch:
    """Records of labels and pixels; of CIFAR-100's two labels the second, fine one counts."""
    content, record = np.fromfile(file, np.uint8), label_bytes + _BYTES
    if not len(content) or len(content) % record:
        raise DataError(
            f"{shown(file)} has {len(content)} bytes, not records of {record}: unpack the archive again"
        )
    records = content.reshape(-1, record)
    return records[:, label_bytes - 1].astype(np.int64), records[:, label_bytes:]


def _read_python(file: Path, *, key: str) -> _Batch:
    content = unpickled(file)
    try:
        planes = array(content["data"])
        labels = np.array(content[key], np.int64)
        if labels.ndim != 1 or planes.shape != (len(labels), _BYTES) or not len(labels):
            raise ValueError(f"{labels.shape} labels and {planes.shape} pixels")
    except (LookupError, TypeError, ValueError, OverflowError, AttributeError) as error:
        raise DataError(f"{shown(file)} is no batch of CIFAR ({error}): unpack the archive again") from None
    return labels, planes


def _names_binary(file: Path) -> list[str]:
    return file.read_text("utf-8", errors="replace").split()


def _names_python(file: Path, *, key: str) -> list[str]:
    names = unpickled(file).get(key)
    if not isinstance(names, list) or not names:
        raise DataError(f"{shown(file)} names no classes: unpack the official archive again")
    return [text(name) for name in names]


_ARCHIVES = {
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
