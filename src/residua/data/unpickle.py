"""Reads untrusted Python pickles as plain values and arrays; no function that they name is called."""

import io
import pickle
import pickletools
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from residua.data.decode import one_line, printable_path
from residua.data.limits import read_regular
from residua.errors import DataError

_MAX_BYTES = 1 << 28  # of an official file: that of CIFAR-100 has 155,000,000
_MEMO = frozenset({"PUT", "BINPUT", "LONG_BINPUT"})


def load_pickle(file: Path) -> dict[str, Any]:
    """The dictionary in `file`, with keys as text.

    Raises:
        DataError: when it is not a dictionary, truncated, or names a function.
    """
    try:
        stream = io.BytesIO(read_regular(file, _MAX_BYTES))
        _check_memo(stream)
        content = _Unpickler(stream, encoding="bytes").load()
        return {to_text(key): value for key, value in content.items()}
    except Exception as error:  # a hostile or cut pickle fails with any type there is
        reason = one_line(error)
        raise DataError(
            f"{printable_path(file)} is refused ({reason}): unpack the official archive again"
        ) from None


def to_array(value: Any) -> NDArray[np.uint8]:
    """The array that numpy would make of a value of the dictionary.

    Raises:
        ValueError: for an array of another type than uint8.
        AttributeError, LookupError, TypeError: for a value that is not an array.
    """
    _, shape, kind, by_column, content = value.state
    if to_text(kind.arguments[0]) not in ("u1", "uint8") or by_column:
        raise ValueError(f"an array of {kind.arguments[0]}")
    return np.frombuffer(content, np.uint8).reshape(shape)


def to_text(value: Any) -> str:
    """`value` as text: the pickles of Python 2 hold bytes. TypeError for what is neither."""
    if isinstance(value, bytes):
        return value.decode("utf-8", "replace")
    if not isinstance(value, str):
        raise TypeError(f"a {type(value).__name__} in place of text")  # as text it may have any size
    return value


def _check_memo(stream: io.BytesIO) -> None:
    """UnpicklingError where the place of a value in the memo is beyond the file: 5 bytes ask for 32 GiB."""
    size = len(stream.getbuffer())
    for code, argument, _ in pickletools.genops(stream):
        if code.name in _MEMO and (argument or 0) > size:
            raise pickle.UnpicklingError(f"it keeps a value at {argument:,}")
    stream.seek(0)


class _Inert:
    """Replaces the numpy functions that official pickles name; it stores its arguments."""

    def __init__(self, *arguments: Any) -> None:
        self.arguments = arguments
        self.state: Any = ()

    def __setstate__(self, state: Any) -> None:
        self.state = state


class _Unpickler(pickle.Unpickler):
    """Reads plain values and arrays and calls nothing: a pickle can name any function to run."""

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
