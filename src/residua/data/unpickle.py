"""Reads untrusted Python pickles as plain values and arrays; no function that they name is called."""

import io
import pickle
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from residua.data.decode import one_line, printable_path
from residua.errors import DataError


def load_pickle(file: Path) -> dict[str, Any]:
    """The dictionary in `file`, with keys as text.

    Raises:
        DataError: when it is not a dictionary, truncated, or names a function.
    """
    try:
        content = _Unpickler(io.BytesIO(file.read_bytes()), encoding="bytes").load()
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
    """`value` as text: the pickles of Python 2 hold bytes."""
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else str(value)


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
