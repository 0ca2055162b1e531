"""The command line: the only place that prints, and that turns errors into a line and an exit code."""

import io
import os
import signal
import sys
import traceback
from contextlib import suppress
from types import FrameType

from residua.cli.app import app
from residua.cli.failures import INTERRUPTED, explain, is_final
from residua.cli.processes import ended

LAST_SECONDS = 5.0
"""How long a killed process may take to go."""


def main() -> None:
    """Run the command in `sys.argv`; always leaves through `SystemExit`."""
    _open_what_is_closed()
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(
                errors="backslashreplace"
            )  # a file name may be no text; in JSON this spells its escape
    debug = "--debug" in sys.argv
    arguments = [word for word in sys.argv[1:] if word != "--debug"]
    final, own = True, os.getpid()
    asked = signal.getsignal(signal.SIGINT) is signal.default_int_handler  # else Ctrl-C is not meant for us
    if asked:
        signal.signal(signal.SIGINT, lambda _number, frame: _interrupted(frame, own))
    try:
        _check(arguments)
        found = app(arguments, prog_name="residua", standalone_mode=False)
        if found == INTERRUPTED:  # typer makes this number of Ctrl-C, and says nothing
            raise KeyboardInterrupt
        code = found if isinstance(found, int) else 0
    except BaseException as error:
        code, final = explain(error), is_final(error)
        if debug and not isinstance(error, SystemExit):
            traceback.print_exc()
    finally:
        if asked:
            signal.signal(signal.SIGINT, signal.default_int_handler)
    code = 0 if final and ended(code) else code
    if not _workers_end():
        for stream in (sys.stdout, sys.stderr):
            with suppress(OSError):  # the terminal may be gone
                stream.flush()
        os._exit(code)
    sys.exit(code)


def _check(words: list[str]) -> None:
    """ValueError for an empty word, which as a path would mean this folder: `-o "$RUN"`, and RUN not set."""
    if "" in words:
        raise ValueError(f"word {words.index('') + 1} of the command is empty: was a variable never set?")


def _open_what_is_closed() -> None:
    """Begun without stdin, stdout or stderr (`>&-`): else the first files opened would be in their places."""
    while (place := os.open(os.devnull, os.O_RDWR)) <= 2:
        os.set_inheritable(place, True)
    os.close(place)
    if sys.stdout is None:
        sys.stdout = open(1, "w", closefd=False)  # noqa: SIM115 - as long as the process
    if sys.stderr is None:
        sys.stderr = open(2, "w", closefd=False)  # noqa: SIM115 - as long as the process


def _interrupted(frame: FrameType | None, process: int) -> None:
    """KeyboardInterrupt, unless a module is being imported: compiled ones abort over an exception there."""
    while frame is not None and os.getpid() == process:  # a worker leaves the words to its parent
        if frame.f_code.co_filename.startswith("<frozen importlib"):
            os._exit(explain(KeyboardInterrupt()))
        frame = frame.f_back
    raise KeyboardInterrupt


def _workers_end() -> bool:
    """Kill the processes that read for us, and tell whether they are gone.

    One that stands still, or waits for a disk, does not end when asked, and Python would wait for ever.
    """
    if "multiprocessing" not in sys.modules:
        return True
    from multiprocessing import active_children

    readers = [child for child in active_children() if child.daemon]
    for child in readers:
        child.kill()
    for child in readers:
        child.join(LAST_SECONDS)
    return not any(child.is_alive() for child in readers)
