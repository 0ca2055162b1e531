"""The command line: the only place that prints, and that turns errors into a line and an exit code."""

import io
import os
import signal
import sys
import traceback
from types import FrameType

from residua.cli.app import app
from residua.cli.failures import INTERRUPTED, explain, is_final
from residua.cli.processes import ended


def main() -> None:
    """Run the command in `sys.argv`; always leaves through `SystemExit`."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(
                errors="backslashreplace"
            )  # a file name may be no text; in JSON this spells its escape
    debug = "--debug" in sys.argv
    arguments = [word for word in sys.argv[1:] if word != "--debug"]
    final, own = True, os.getpid()
    before = signal.getsignal(signal.SIGINT)
    if before is signal.default_int_handler:  # else somebody said that Ctrl-C is not meant for us
        signal.signal(signal.SIGINT, lambda _number, frame: _interrupted(frame, own))
    try:
        found = app(arguments, prog_name="residua", standalone_mode=False)
        if found == INTERRUPTED:  # typer makes this number of Ctrl-C, and says nothing
            raise KeyboardInterrupt
        code = found if isinstance(found, int) else 0
    except BaseException as error:
        code, final = explain(error), is_final(error)
        if debug and not isinstance(error, SystemExit):
            traceback.print_exc()
    finally:
        signal.signal(signal.SIGINT, before)
    sys.exit(0 if final and ended(code) else code)


def _interrupted(frame: FrameType | None, process: int) -> None:
    """KeyboardInterrupt, unless a module is being imported: compiled ones abort over an exception there."""
    while frame is not None and os.getpid() == process:  # a worker leaves the words to its parent
        if frame.f_code.co_filename.startswith("<frozen importlib"):
            os._exit(explain(KeyboardInterrupt()))
        frame = frame.f_back
    raise KeyboardInterrupt
