"""CIFAR-10 in its two official forms, binary and Python, from a folder or from the authors' page."""

import io
import pickle
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from residua.data.decode import DataError, shown
from residua.data.download import download
from residua.data.images import Dataset, Images

URL = "https://www.cs.toronto.edu/~kriz/cifar-10-binary.tar.gz"
"""The authors' archive of the binary form."""
MD5 = "c32a1d4ab5d03f1284b67883e8d87530"
"""Its sum, as printed on the authors' page."""
CACHE = Path("~/.cache/residua")
"""Where downloads are kept."""

_BYTES = 3 * 32 * 32  # of one image: red plane, green plane, blue plane
_CURE = "fetch it by hand, unpack it, and give cifar10:DIR"
_Batch = tuple[NDArray[np.int64], NDArray[np.uint8]]
"""Labels (N,) and planes (N, 3072)."""


@dataclass(frozen=True)
class _Form:
    """One of the two official forms: how its files are called, and how they are read."""

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


def open_cifar10(folder: Path | None, *, cache: Path = CACHE, url: str = URL, md5: str = MD5) -> Dataset:
    """CIFAR-10 from the official files in `folder`; when that is None, from the authors' page, by `cache`.

    DataError when files are missing, cut or not what they claim, or cannot be fetched.
    """
    if folder is None:
        folder = cache.expanduser() / _BINARY.folder
        if not all((folder / name).is_file() for name in _BINARY.files):
            download(folder, url=url, md5=md5, members=_BINARY.files, cure=_CURE)
    form, folder = _form(folder)
    for name in form.files:
        if not (folder / name).is_file():
            raise DataError(f"{shown(folder)} lacks {name}: unpack the official archive again")
    try:
        classes = tuple(form.names(folder / form.meta))
        train = _images("train", classes, [form.read(folder / name) for name in form.batches], folder)
        test = _images("test", classes, [form.read(folder / form.test)], folder)
    except OSError as error:
        raise DataError(f"{shown(folder)} cannot be read: {error.strerror}") from None
    note = f"{len(classes)} classes, {len(train)} train + {len(test)} test images; official split"
    return Dataset("cifar10", train, test, grey=False, size=32, note=note)


def _form(folder: Path) -> tuple[_Form, Path]:
    for form in (_BINARY, _PYTHON):
        for place in (folder, folder / form.folder):
            if (place / form.batches[0]).is_file():
                return form, place
    wanted = " or ".join(form.batches[0] for form in (_BINARY, _PYTHON))
    raise DataError(
        f"{shown(folder)} holds no CIFAR-10 ({wanted}): give the unpacked folder, or cifar10 alone"
    )


def _images(name: str, classes: tuple[str, ...], batches: list[_Batch], folder: Path) -> Images:
    labels = np.concatenate([labels for labels, _ in batches])
    if labels.min() < 0 or labels.max() >= len(classes):
        raise DataError(
            f"{shown(folder)} has labels outside 0 to {len(classes) - 1}: unpack the archive again"
        )
    planes = np.concatenate([planes for _, planes in batches]).reshape(-1, 3, 32, 32)
    return Images(name, classes, labels, pixels=np.ascontiguousarray(planes.transpose(0, 2, 3, 1)))


def _read_binary(file: Path) -> _Batch:
    content = np.fromfile(file, np.uint8)
    if not len(content) or len(content) % (1 + _BYTES):
        raise DataError(
            f"{shown(file)} has {len(content)} bytes, not records of {1 + _BYTES}: unpack the archive again"
        )
    records = content.reshape(-1, 1 + _BYTES)
    return records[:, 0].astype(np.int64), records[:, 1:]


def _read_python(file: Path) -> _Batch:
    content = _unpickled(file)
    try:
        planes = _array(content["data"])
        labels = np.array(content["labels"], np.int64)
        if labels.ndim != 1 or planes.shape != (len(labels), _BYTES) or not len(labels):
            raise ValueError(f"{labels.shape} labels and {planes.shape} pixels")
    except (LookupError, TypeError, ValueError, OverflowError, AttributeError) as error:
        raise DataError(
            f"{shown(file)} is no batch of CIFAR-10 ({error}): unpack the archive again"
        ) from None
    return labels, planes


def _names_binary(file: Path) -> list[str]:
    return file.read_text("utf-8", errors="replace").split()


def _names_python(file: Path) -> list[str]:
    names = _unpickled(file).get("label_names")
    if not isinstance(names, list) or not names:
        raise DataError(f"{shown(file)} names no classes: unpack the official archive again")
    return [_text(name) for name in names]


class _Inert:
    """Stands for the three things of numpy that the official pickles name: it keeps what it is given."""

    def __init__(self, *arguments: Any) -> None:
        self.arguments = arguments
        self.state: Any = ()

    def __setstate__(self, state: Any) -> None:
        self.state = state


class _Unpickler(pickle.Unpickler):
    """Reads plain values and arrays and calls nothing: a stranger's pickle can name any function to run."""

    _NUMPY = frozenset(
        {
            ("numpy.core.multiarray", "_reconstruct"),
            ("numpy._core.multiarray", "_reconstruct"),
            ("numpy", "ndarray"),
            ("numpy", "dtype"),
        }
    )

    def find_class(self, module: str, name: str) -> Any:
        if (module, name) not in self._NUMPY:
            raise pickle.UnpicklingError(f"it asks for {module}.{name}, which may run code")
        return _Inert


def _unpickled(file: Path) -> dict[str, Any]:
    try:
        content = _Unpickler(io.BytesIO(file.read_bytes()), encoding="bytes").load()
        return {_text(key): value for key, value in content.items()}
    except Exception as error:  # a hostile or cut pickle fails with any type there is
        reason = " ".join(str(error).split())[:200]
        raise DataError(f"{shown(file)} is refused ({reason}): unpack the official archive again") from None


def _array(found: _Inert) -> NDArray[np.uint8]:
    """The array that numpy would have made of the state: (version, shape, dtype, order, bytes)."""
    _, shape, kind, by_column, content = found.state
    if _text(kind.arguments[0]) not in ("u1", "uint8") or by_column:
        raise ValueError(f"an array of {kind.arguments[0]}")
    return np.frombuffer(content, np.uint8).reshape(shape)


def _text(value: Any) -> str:
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else str(value)


_BATCHES = tuple(f"data_batch_{i}" for i in range(1, 6))
_BINARY = _Form(
    folder="cifar-10-batches-bin",
    batches=tuple(f"{name}.bin" for name in _BATCHES),
    test="test_batch.bin",
    meta="batches.meta.txt",
    read=_read_binary,
    names=_names_binary,
)
_PYTHON = _Form(
    folder="cifar-10-batches-py",
    batches=_BATCHES,
    test="test_batch",
    meta="batches.meta",
    read=_read_python,
    names=_names_python,
)
