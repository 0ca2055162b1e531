"""The command line as people run it: another process, its output and its exit code."""

import subprocess
import time
from functools import cache
from pathlib import Path
from typing import Any

from process_server import ForkedProcess, ProcessServer

LIMIT = 120.0
"""Seconds after which a command counts as hung; on a busy machine torch alone takes ten to import."""


@cache
def _server() -> ProcessServer:
    return ProcessServer()


def residua(*words: object, **options: Any) -> "subprocess.CompletedProcess[str]":
    """The finished `python -m residua ...`."""
    return python("-m", "residua", *words, **options)


def python(*words: object, timeout: float = LIMIT, **options: Any) -> "subprocess.CompletedProcess[str]":
    """The finished `python -m MODULE ...` or `python -c TEXT`, from a process that has imported torch."""
    process = _server().begin([str(word) for word in words], **options)
    out, error = process.communicate(timeout)
    assert process.returncode is not None
    return subprocess.CompletedProcess(process.args, process.returncode, out, error)


def start(*words: object, module: str = "residua", **options: Any) -> ForkedProcess:
    """`python -m residua ...`, still running."""
    return _server().begin(["-m", module, *map(str, words)], **options)


def wait_for(path: Path, pattern: str, process: ForkedProcess) -> None:
    """Return when a file below `path` matches `pattern`, or the process has ended."""
    limit = time.monotonic() + LIMIT
    while not list(path.glob(pattern)) and process.poll() is None:
        assert time.monotonic() < limit, f"no {pattern} in {path} after {LIMIT} s"
        time.sleep(0.002)


def succeeded(done: "subprocess.CompletedProcess[str]") -> str:
    """What a command printed that ended well."""
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def complaint(done: "subprocess.CompletedProcess[str]", code: int) -> str:
    """The one line on stderr of a command that failed with `code`."""
    assert done.returncode == code, done.stdout + done.stderr
    lines = done.stderr.splitlines()
    assert len(lines) == 1, done.stderr
    assert lines[0].startswith("residua: ")
    assert "Traceback" not in done.stderr + done.stdout
    return lines[0]
