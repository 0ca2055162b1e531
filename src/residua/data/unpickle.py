"""Python pickles of strangers, read as plain values and arrays; nothing they name is ever called."""

import io
import pickle
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from residua.data.decode import one_line, printable_path
from residua.errors import DataError


def load_pickle(file: Path) -> dict[str, Any]:
    """The dictionary in `file`, its keys as text. DataError when it is none, cut, or asks for a function."""
    try:
        content = _Unpickler(io.BytesIO(file.read_bytes()), encoding="bytes").load()
        return {to_text(key): value for key, value in content.items()}
    except Exception as error:  # a hostile or cut pickle fails with any type there is
        reason = one_line(error)
        raise DataError(
            f"{printable_path(file)} is refused ({reason}): unpack the official archive again"
        ) from None


def to_array(found: Any) -> NDArray[np.uint8]:
    """The array that numpy would have made of a value in the dictionary. ValueError unless it is of uint8.

    AttributeError, LookupError or TypeError when the value is no array at all.
    """
    _, shape, kind, by_column, content = found.state
    if to_text(kind.arguments[0]) not in ("u1", "uint8") or by_column:
        raise ValueError(f"an array of {kind.arguments[0]}")
    return np.frombuffer(content, np.uint8).reshape(shape)


def to_text(value: Any) -> str:
    """`value` as text: the pickles of Python 2 hold bytes."""
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else str(value)


class _Inert:
    """Stands for the three things of numpy that official pickles name: it keeps what it is given."""

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
