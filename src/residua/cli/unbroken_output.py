"""Output that survives its reader: work continues after a broken pipe, a closed terminal or a full log."""

import os
import sys
from collections.abc import Callable
from contextlib import suppress
from typing import TextIO


class UnbrokenOutput:
    """A text file for rich; after the first failed write, everything is discarded."""

    def __init__(self, file: TextIO) -> None:
        self._file = file

    @property
    def encoding(self) -> str:
        """The encoding of the file."""
        return self._file.encoding

    def isatty(self) -> bool:
        """Whether the file is a terminal."""
        return self._file.isatty()

    def fileno(self) -> int:
        """The file descriptor."""
        return self._file.fileno()

    def write(self, text: str) -> int:
        """Write `text`, or discard it."""
        self._unless_broken(lambda: self._file.write(text))
        return len(text)

    def flush(self) -> None:
        """Write what is buffered, or discard it."""
        self._unless_broken(self._file.flush)

    def _unless_broken(self, write: Callable[[], object]) -> None:
        try:
            write()
        except OSError as error:
            with suppress(OSError):  # the rest of the buffer is written at exit
                os.dup2(os.open(os.devnull, os.O_WRONLY), self._file.fileno())
            with suppress(OSError):
                print(
                    f"residua: output stopped ({error.strerror}); the work continues",
                    file=sys.stderr,
                )
