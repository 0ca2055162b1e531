"""From an exception to one line on stderr and an exit code."""

import errno
import sys
from contextlib import suppress

from residua.cli.processes import speaks
from residua.cli.terminal import printable

USAGE, BUSY, BAD_DATA, BAD_CHECKPOINT, DIVERGED, RESOURCES, STOPPED = 2, 3, 4, 5, 6, 7, 75

CODES = {
    "TyperException": USAGE,
    "ClickException": USAGE,
    "FileExistsError": USAGE,
    "RunBusyError": BUSY,
    "UnreachableError": RESOURCES,
    "DataError": BAD_DATA,
    "CheckpointError": BAD_CHECKPOINT,
    "NonFiniteError": BAD_CHECKPOINT,
    "DivergedError": DIVERGED,
    "ValueError": USAGE,
    "WorkerDiedError": RESOURCES,
    "PeerLostError": RESOURCES,
    "ProcessesDiedError": RESOURCES,
    "BrokenProcessPool": RESOURCES,
    "OSError": RESOURCES,
    "MemoryError": RESOURCES,
    "OutOfMemoryError": RESOURCES,
}
"""Exit code by name of exception: by name, so that no heavy module is imported to compare classes."""

_CURES = {
    **dict.fromkeys((errno.ENOSPC, errno.EDQUOT), "free some space"),
    **dict.fromkeys((errno.EACCES, errno.EPERM, errno.EROFS), "give a place you may write"),
    errno.ENOTDIR: "a file is in the way, give another place",
    errno.ELOOP: "a link leads back to itself",
    errno.ENAMETOOLONG: "give a shorter one",
}
"""What to do, by what the system refused."""

_TYPED = {"TyperException", "ClickException"}

BUG = 1
INTERRUPTED = 130


def explain(error: BaseException) -> int:
    """Say what went wrong in one line on stderr; the contract's code for it."""
    if isinstance(error, SystemExit):
        return error.code if isinstance(error.code, int) else BUG
    names = _names(error)
    if "Exit" in names:
        return int(getattr(error, "exit_code", 0))
    text, code = _worded(error, names)
    if not _is_told(error, names):
        with suppress(OSError):  # the terminal may be gone
            print("residua: " + printable(" ".join(text.split())), file=sys.stderr)
    return code


def _worded(error: BaseException, names: list[str]) -> tuple[str, int]:
    if "KeyboardInterrupt" in names or "Abort" in names:
        return "stopped before it was done", INTERRUPTED
    if "DefaultCPUAllocator" in str(error):  # torch says a RuntimeError when memory is out
        return "not enough memory: give a smaller --set budget.batch_size", RESOURCES
    if names[0] == "RuntimeError" and "DataLoader worker" in str(error):  # torch says so at any moment
        from residua.data.loader import of_worker

        return str(of_worker(error) or error), RESOURCES
    for name in names:
        if name in CODES:
            return _message(error), CODES[name]
    return f"{names[0]}: {error}: this is a defect of residua; --debug shows where", BUG


def is_final(error: BaseException) -> bool:
    """Whether starting the processes of a run anew cannot help: the error has a name, and no peer is lost."""
    names = _names(error)
    return not {"PeerLostError", "UnreachableError"} & {*names} and (
        "Exit" in names or any(name in CODES for name in names)
    )


def _names(error: BaseException) -> list[str]:
    """The classes of `error`; where another process failed, of what happened there."""
    told: tuple[str, ...] = getattr(error, "kinds", ())
    return list(told) or [kind.__name__ for kind in type(error).__mro__]


def _is_told(error: BaseException, names: list[str]) -> bool:
    """Whether another process says it: an error ferried from there, or one in words that all were given."""
    return bool(getattr(error, "silent", not speaks() and _TYPED & {*names}))


def _message(error: BaseException) -> str:
    if formatted := getattr(error, "format_message", None):
        return f"{formatted()} (see residua --help)"
    if isinstance(error, OSError) and error.errno is not None:
        where = f" {error.filename}" if error.filename else ""
        cure = f": {_CURES[error.errno]}" if error.errno in _CURES else ""
        return f"{error.strerror}{where} (errno {error.errno}){cure}"
    return str(error)
