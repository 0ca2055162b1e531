"""A process that has imported what every command imports, and forks one for each that it is asked for.

Importing torch takes seconds, a test of the command line a fraction of one. What is forked is a process like
any other: its own number, folder, environment, output and exit code. No kernel has run before the fork.
"""

import contextlib
import importlib
import json
import os
import runpy
import signal
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

JOBS = ("train", "evaluate", "predict", "check", "clean", "convert", "analyse", "compare", "reproduce")
"""What commands import."""


class Nursery:
    """Started with the first command; it ends with the process that asks."""

    def __init__(self) -> None:
        pipe = subprocess.PIPE
        words = [sys.executable, __file__]
        self._process = subprocess.Popen(words, stdin=pipe, stdout=pipe, text=True)

    def run(
        self, words: list[str], *, timeout: float, cwd: Path | None, env: Mapping[str, str] | None
    ) -> "subprocess.CompletedProcess[str]":
        """The finished `python -m residua WORDS`."""
        with TemporaryDirectory() as folder:
            out, error = Path(folder, "out"), Path(folder, "error")
            wish = {
                "words": words,
                "cwd": str(cwd or Path.cwd()),
                "env": dict(os.environ if env is None else env),
                "out": str(out),
                "error": str(error),
                "timeout": timeout,
            }
            assert self._process.stdin
            assert self._process.stdout
            self._process.stdin.write(json.dumps(wish) + "\n")
            self._process.stdin.flush()
            code = int(self._process.stdout.readline())
            return subprocess.CompletedProcess(words, code, out.read_text("utf-8"), error.read_text("utf-8"))


def _serve() -> None:
    for name in (*(f"residua.jobs.{job}" for job in JOBS), "torchvision"):
        importlib.import_module(name)
    for line in sys.stdin:
        wish = json.loads(line)
        child = os.fork()
        if not child:
            _become(wish)
        print(_ended(child, wish["timeout"]), flush=True)


def _become(wish: dict[str, Any]) -> None:
    """Be the command: never returns."""
    for number, path in enumerate((os.devnull, wish["out"], wish["error"])):
        os.dup2(os.open(path, os.O_WRONLY | os.O_CREAT if number else os.O_RDONLY), number)
    os.chdir(wish["cwd"])
    os.environ.clear()
    os.environ.update(wish["env"])
    code: Any = 1
    try:
        sys.argv = ["residua", *wish["words"]]
        runpy.run_module("residua", run_name="__main__", alter_sys=True)
    except SystemExit as leaving:
        code = leaving.code
    finally:
        with contextlib.suppress(OSError):
            sys.stdout.flush()
            sys.stderr.flush()
        os._exit(code if isinstance(code, int) else 0 if code is None else 1)


def _ended(child: int, timeout: float) -> int:
    """The exit code of `child`, which is killed when it takes longer than `timeout` seconds."""
    signal.signal(signal.SIGALRM, lambda *_: os.kill(child, signal.SIGKILL))
    signal.alarm(int(timeout) + 1)
    try:
        return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    finally:
        signal.alarm(0)


if __name__ == "__main__":
    _serve()
