"""An output that outlives its reader: work goes on where a pipe breaks, a terminal closes, a log is full."""

import os
import sys
from collections.abc import Callable
from contextlib import suppress
from typing import TextIO


class UnbrokenOutput:
    """What rich writes to. From the first write that the system refuses on, it goes nowhere."""

    def __init__(self, file: TextIO) -> None:
        """Write to `file`."""
        self._file = file

    @property
    def encoding(self) -> str:
        """That of the file."""
        return self._file.encoding

    def isatty(self) -> bool:
        """Whether a person may look."""
        return self._file.isatty()

    def fileno(self) -> int:
        """The descriptor of the file."""
        return self._file.fileno()

    def write(self, text: str) -> int:
        """Write `text`, or lose it."""
        self._unless_gone(lambda: self._file.write(text))
        return len(text)

    def flush(self) -> None:
        """Write what waits, or lose it."""
        self._unless_gone(self._file.flush)

    def _unless_gone(self, act: Callable[[], object]) -> None:
        try:
            act()
        except OSError as error:
            with suppress(OSError):  # what still waits is written at the exit, too
                os.dup2(os.open(os.devnull, os.O_WRONLY), self._file.fileno())
            with suppress(OSError):
                print(
                    f"residua: nothing more can be written here ({error.strerror}); the work goes on",
                    file=sys.stderr,
                )
