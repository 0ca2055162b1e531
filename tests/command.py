"""The command line as people run it: another process, its output and its exit code."""

import subprocess
import sys
import time
from functools import cache
from pathlib import Path
from typing import Any

from nursery import Nursery

LIMIT = 120.0
"""Seconds after which a command counts as hung; on a busy machine torch alone takes ten to import."""


@cache
def _nursery() -> Nursery:
    return Nursery()


def residua(
    *words: object, timeout: float = LIMIT, fresh: bool = False, **options: Any
) -> subprocess.CompletedProcess[str]:
    """The finished `python -m residua ...`, from a process that has imported torch already unless `fresh`."""
    if not fresh and set(options) <= {"cwd", "env"}:
        given = {"cwd": None, "env": None, **options}
        return _nursery().run([str(word) for word in words], timeout=timeout, **given)
    return subprocess.run(
        _words(words), capture_output=True, text=True, timeout=timeout, stdin=subprocess.DEVNULL, **options
    )


def start(*words: object, **options: Any) -> "subprocess.Popen[str]":
    """The same, still running."""
    pipe = subprocess.PIPE
    return subprocess.Popen(
        _words(words), stdout=pipe, stderr=pipe, text=True, stdin=subprocess.DEVNULL, **options
    )


def wait_for(path: Path, pattern: str, process: "subprocess.Popen[str]") -> None:
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


def _words(words: tuple[object, ...]) -> list[str]:
    return [sys.executable, "-m", "residua", *map(str, words)]
