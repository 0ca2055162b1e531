"""The command line: the only room that prints, and where an error becomes one line and an exit code."""

import io
import os
import signal
import sys
import traceback
from contextlib import suppress
from types import FrameType

from residua.cli.app import app
from residua.cli.failures import explain, is_final
from residua.cli.processes import ended
from residua.errors import INTERRUPTED, ConfigError

LAST_SECONDS = 5.0
"""How long a killed worker process may take to end."""


def main() -> None:
    """Run the command in `sys.argv`; always leaves through `SystemExit`."""
    _open_closed_streams()
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(
                errors="backslashreplace"
            )  # a file name may be no text; in JSON this spells its escape
    debug = "--debug" in sys.argv
    arguments = [word for word in sys.argv[1:] if word != "--debug"]
    final, own = True, os.getpid()
    handles_ctrl_c = signal.getsignal(signal.SIGINT) is signal.default_int_handler
    if handles_ctrl_c:
        signal.signal(signal.SIGINT, lambda _number, frame: _interrupted(frame, own))
    try:
        _refuse_empty_words(arguments)
        result = app(arguments, prog_name="residua", standalone_mode=False)
        if result == INTERRUPTED:  # typer turns Ctrl-C into this number and prints nothing
            raise KeyboardInterrupt
        code = result if isinstance(result, int) else 0
    except BaseException as error:
        code, final = explain(error), is_final(error)
        if debug and not isinstance(error, SystemExit):
            traceback.print_exc()
    finally:
        if handles_ctrl_c:
            signal.signal(signal.SIGINT, signal.default_int_handler)
    code = 0 if final and ended(code) else code
    if not _end_workers():
        for stream in (sys.stdout, sys.stderr):
            with suppress(OSError):  # the terminal may be gone
                stream.flush()
        os._exit(code)
    sys.exit(code)


def _refuse_empty_words(words: list[str]) -> None:
    """ConfigError for an empty word (`-o "$RUN"` without RUN), which as a path would mean this folder."""
    if "" in words:
        raise ConfigError(f"word {words.index('') + 1} of the command is empty: is a variable not set?")


def _open_closed_streams() -> None:
    """Open closed standard streams (`>&-`): otherwise the first files opened would take their descriptors."""
    while (place := os.open(os.devnull, os.O_RDWR)) <= 2:
        os.set_inheritable(place, True)
    os.close(place)
    if sys.stdout is None:
        sys.stdout = open(1, "w", closefd=False)  # noqa: SIM115 - as long as the process
    if sys.stderr is None:
        sys.stderr = open(2, "w", closefd=False)  # noqa: SIM115 - as long as the process


def _interrupted(frame: FrameType | None, process: int) -> None:
    """Raise KeyboardInterrupt; exit at once during an import, where compiled modules abort on exceptions."""
    while frame is not None and os.getpid() == process:  # in a worker, the parent reports it
        if frame.f_code.co_filename.startswith("<frozen importlib"):
            os._exit(explain(KeyboardInterrupt()))
        frame = frame.f_back
    raise KeyboardInterrupt


def _end_workers() -> bool:
    """Kill the data loader workers; whether all have ended.

    A worker that hangs or waits for a disk ignores a request to end, and Python would wait for it forever.
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
