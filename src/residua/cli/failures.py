"""From an exception to one line on stderr and an exit code."""

import errno
import sys
from typing import NoReturn

USAGE, BUSY, BAD_DATA, BAD_CHECKPOINT, DIVERGED, RESOURCES, STOPPED = 2, 3, 4, 5, 6, 7, 75

CODES = {
    "TyperException": USAGE,
    "ClickException": USAGE,
    "FileExistsError": USAGE,
    "RunBusy": BUSY,
    "DataError": BAD_DATA,
    "CheckpointError": BAD_CHECKPOINT,
    "NotFinite": BAD_CHECKPOINT,
    "Diverged": DIVERGED,
    "ValueError": USAGE,
    "WorkerDied": RESOURCES,
    "OSError": RESOURCES,
    "MemoryError": RESOURCES,
    "OutOfMemoryError": RESOURCES,
}
"""Exit code by name of exception: by name, so that no heavy module is imported to compare classes."""

BUG = 1
INTERRUPTED = 130


def explain_and_exit(error: BaseException) -> NoReturn:
    """Say what went wrong in one line on stderr and leave with the contract's code."""
    if isinstance(error, SystemExit):
        raise error
    names = [kind.__name__ for kind in type(error).__mro__]
    if "KeyboardInterrupt" in names or "Abort" in names:
        sys.exit(_say("stopped; nothing was changed", INTERRUPTED))
    if "Exit" in names:
        sys.exit(getattr(error, "exit_code", 0))
    if "DefaultCPUAllocator" in str(error):  # torch says a RuntimeError when memory is out
        sys.exit(_say("not enough memory: give a smaller --set budget.batch", RESOURCES))
    for name in names:
        if name in CODES:
            sys.exit(_say(_message(error), CODES[name]))
    sys.exit(_say(f"{names[0]}: {error}: this is a defect of residua; --debug shows where", BUG))


def _say(text: str, code: int) -> int:
    print("residua: " + " ".join(text.split()), file=sys.stderr)
    return code


def _message(error: BaseException) -> str:
    if formatted := getattr(error, "format_message", None):
        return f"{formatted()} (see residua --help)"
    if isinstance(error, OSError) and error.errno is not None:
        where = f" {error.filename}" if error.filename else ""
        cure = {errno.ENOSPC: ": free some space", errno.EACCES: ": give a place you may write"}
        return f"{error.strerror}{where} (errno {error.errno}){cure.get(error.errno, '')}"
    return str(error)
