"""How much a command prints: results and errors (--quiet), notes and progress too, or details (--verbose)."""

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

from residua.cli.processes import speaks
from residua.version import __version__

_verbose: ContextVar[bool | None] = ContextVar("verbose", default=None)


def is_quiet() -> bool:
    """Whether to print only results and errors."""
    return _verbose.get() is False


def is_verbose() -> bool:
    """Whether to print details too."""
    return _verbose.get() is True


@contextmanager
def verbosity(verbose: bool | None) -> Iterator[None]:
    """Print as much as `verbose` says while inside: None is the default, False is --quiet.

    With True, stderr opens with versions, shows the log of the library, and ends with the time.
    """
    token = _verbose.set(verbose)
    start = time.monotonic()
    try:
        if is_verbose() and speaks():
            _open_log()
        yield
    finally:
        if is_verbose() and speaks():
            _tell(f"{time.monotonic() - start:.1f} s")
        _verbose.reset(token)


def _open_log() -> None:
    """Print the versions, and from now on what the library logs."""
    import logging  # here, because `--help` should be quick
    import platform
    from importlib import metadata

    packages = ", ".join(f"{name} {metadata.version(name)}" for name in ("torch", "torchvision", "numpy"))
    python = f"Python {platform.python_version()} on {platform.system()} {platform.machine()}"
    _tell(f"residua {__version__}, {python}; {packages}")
    logging.basicConfig(stream=sys.stderr, format="residua: %(message)s")
    logging.getLogger("residua").setLevel(logging.INFO)


def _tell(text: str) -> None:
    print(f"residua: {text}", file=sys.stderr)
