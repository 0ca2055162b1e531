"""An exception becomes one line on stderr and an exit code."""

import errno
import sys
from contextlib import suppress

from residua import errors
from residua.cli.processes import speaks
from residua.errors import INTERRUPTED
from residua.spec.printable import printable

USAGE, BAD_DATA, RESOURCES, STOPPED = 2, 4, 7, 75

_BUILTIN_CODES = {
    "TyperException": USAGE,
    "ClickException": USAGE,
    "FileExistsError": USAGE,
    "ValueError": USAGE,
    "BrokenProcessPool": RESOURCES,
    "OSError": RESOURCES,
    "MemoryError": RESOURCES,
    "OutOfMemoryError": RESOURCES,
}
"""Exit codes of exceptions of Python and libraries, by name: comparing classes would import torch."""

CODES = {kind.__name__: kind.exit_code for kind in errors.known()} | _BUILTIN_CODES
"""Exit code by name of exception, also of one that another process raised."""

_CURES = {
    **dict.fromkeys((errno.ENOSPC, errno.EDQUOT), "free some space"),
    **dict.fromkeys((errno.EACCES, errno.EPERM, errno.EROFS), "give a place that you can write to"),
    errno.ENOTDIR: "a file is in the way, choose another place",
    errno.ELOOP: "the link points to itself",
    errno.ENAMETOOLONG: "give a shorter name",
}
"""What to do, by what the system refused."""

_TYPED = {"TyperException", "ClickException"}

BUG = 1


def explain(error: BaseException) -> int:
    """Print what went wrong in one line on stderr.

    Returns:
        The exit code of the contract.
    """
    if isinstance(error, SystemExit):
        return error.code if isinstance(error.code, int) else BUG
    names = _names(error)
    if "Exit" in names:
        return int(getattr(error, "exit_code", 0))
    text, code = _message_and_code(error, names)
    if not _is_reported_elsewhere(error, names):
        with suppress(OSError):  # the terminal may be gone
            print("residua: " + printable(" ".join(text.split())), file=sys.stderr)
    return code


def _message_and_code(error: BaseException, names: list[str]) -> tuple[str, int]:
    if "KeyboardInterrupt" in names or "Abort" in names:
        return "interrupted before it was finished", INTERRUPTED
    if errors.is_out_of_memory(error) and not (isinstance(error, MemoryError) and str(error)):
        return "not enough memory: give a smaller --set budget.batch_size", RESOURCES
    if names[0] == "RuntimeError" and "DataLoader worker" in str(error):  # torch raises it at any moment
        from residua.data.loader import find_worker_death

        return str(find_worker_death(error) or error), RESOURCES
    if isinstance(error, ImportError) and (missing := errors.missing_package(error)):
        return str(missing), missing.exit_code
    for name in names:
        if name in CODES:
            return _message(error), CODES[name]
    return f"{names[0]}: {error}: this is a defect of residua: run it again with --debug to see where", BUG


def is_final(error: BaseException) -> bool:
    """Whether restarting the processes of a run cannot help: the error is known, and no peer is lost."""
    names = _names(error)
    return not {"PeerLostError", "UnreachableError"} & {*names} and (
        "Exit" in names or any(name in CODES for name in names)
    )


def _names(error: BaseException) -> list[str]:
    """Names of the classes of `error`; where another process failed, of the error there."""
    remote: tuple[str, ...] = getattr(error, "kinds", ())
    return list(remote) or [kind.__name__ for kind in type(error).__mro__]


def _is_reported_elsewhere(error: BaseException, names: list[str]) -> bool:
    """Whether another process reports it: an error that came from there, or a wrong command line."""
    return bool(getattr(error, "silent", not speaks() and _TYPED & {*names}))


def _message(error: BaseException) -> str:
    if formatted := getattr(error, "format_message", None):
        context = getattr(error, "ctx", None)
        return f"{formatted()} (see {context.command_path if context else 'residua'} --help)"
    if isinstance(error, OSError) and error.errno is not None:
        where = f" {error.filename}" if error.filename else ""
        cure = f": {_CURES[error.errno]}" if error.errno in _CURES else ""
        return f"{error.strerror}{where} (errno {error.errno}){cure}"
    return str(error)
