"""A process that has imported what every command imports, and forks one for each that it is asked for.

Importing torch takes seconds, a test of the command line a fraction of one. What is forked is a process like
any other: its own number, folder, environment, output and exit code. No kernel has run before the fork.
"""

import gc
import importlib
import json
import os
import resource
import signal
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import forked_python

JOBS = ("train", "evaluate", "predict", "convert", "analyse", "compare")
MODULES = (
    *(f"residua.jobs.{job}" for job in JOBS),
    "residua.curate.check",
    "residua.curate.clean",
    "residua.reproduce.reproduction",
    "PIL.JpegImagePlugin",
    "captum.attr",
    "jinja2.loaders",
    "matplotlib.backends.backend_svg",
    "matplotlib.image",
    "pydantic.type_adapter",
    "residua.cli",
    "sklearn.datasets",
    "sklearn.linear_model",
    "sklearn.model_selection",
    "torch._dynamo",  # the first optimiser of a process imports it
    "torch.distributed.run",
    "torch.nn.parallel",
    "torchvision",
)
"""What commands import, at once or when they come to it."""


class ForkedProcess:
    """A Python process that was forked by the server, with what tests use of `subprocess.Popen`."""

    def __init__(
        self, server: "ProcessServer", words: list[str], folder: "TemporaryDirectory[str]", pid: int
    ):
        self.args, self.pid, self.returncode = words, pid, None
        self._server, self._folder = server, folder

    def poll(self) -> int | None:
        if self.returncode is None:
            self.returncode = self._server.ask({"ended": self.pid})
        return self.returncode

    def communicate(self, timeout: float | None = None) -> tuple[str, str]:
        """What it wrote on stdout and stderr, once it has ended.

        TimeoutExpired when it runs for `timeout` seconds more; then it is killed.
        """
        limit = time.monotonic() + (timeout or float("inf"))
        while self.poll() is None:
            if time.monotonic() > limit:
                self.kill()
                raise subprocess.TimeoutExpired(self.args, timeout or 0.0)
            time.sleep(0.005)
        out, error = (Path(self._folder.name, name).read_text("utf-8") for name in ("out", "error"))
        return out, error

    def send_signal(self, number: int) -> None:
        if self.poll() is None:
            os.kill(self.pid, number)

    def kill(self) -> None:
        self.send_signal(signal.SIGKILL)


class ProcessServer:
    """Started with the first process; it ends with the process that asks, and so do those it forked."""

    def __init__(self) -> None:
        pipe = subprocess.PIPE
        words = [sys.executable, __file__]
        self._process = subprocess.Popen(words, stdin=pipe, stdout=pipe, text=True)

    def begin(
        self,
        words: list[str],
        *,
        cwd: Path | None = None,
        env: Mapping[str, str] | None = None,
        start_new_session: bool = False,
        largest_file: int | None = None,
        ranks: bool = True,
    ) -> ForkedProcess:
        """`python WORDS`, where the words begin with `-m` and a module, or are `-c` and a text.

        With `largest_file`, in bytes, writing more to one file fails as on a full disk.
        A launcher of processes forks them from itself; without `ranks` it starts them as it does elsewhere.
        """
        folder = TemporaryDirectory()
        wish = {
            "words": words,
            "cwd": str(cwd or Path.cwd()),
            "env": dict(os.environ if env is None else env),
            "folder": folder.name,
            "session": start_new_session,
            "largest": largest_file,
            "ranks": ranks,
        }
        return ForkedProcess(self, words, folder, self.ask(wish))

    def ask(self, wish: dict[str, Any]) -> Any:
        """The number of a new process, or the exit code of one: None while it runs."""
        assert self._process.stdin
        assert self._process.stdout
        self._process.stdin.write(json.dumps(wish) + "\n")
        self._process.stdin.flush()
        return json.loads(self._process.stdout.readline())


def _serve() -> None:
    for name in MODULES:
        importlib.import_module(name)
    gc.freeze()  # no process looks through what was imported, which would also copy its memory
    living: set[int] = set()
    for line in sys.stdin:
        wish = json.loads(line)
        if number := wish.get("ended"):
            done, status = os.waitpid(number, os.WNOHANG)
            answer = os.waitstatus_to_exitcode(status) if done else None
            living -= {done}
        elif not (answer := os.fork()):
            _become(wish)
        else:
            living.add(answer)
        print(json.dumps(answer), flush=True)
    for number in living:
        os.kill(number, signal.SIGKILL)
    gc.unfreeze()  # what is never collected, extension modules report as leaked


def _become(wish: dict[str, Any]) -> None:
    """Be the process: never returns."""
    if wish["session"]:
        os.setsid()
    signal.signal(signal.SIGHUP, signal.SIG_DFL)  # pytest may run under nohup
    if wish["ranks"]:
        forked_python.fork_ranks()
    if (most := wish["largest"]) is not None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (most, most))
    out, error = (os.path.join(wish["folder"], name) for name in ("out", "error"))
    for number, path in enumerate((os.devnull, out, error)):
        os.dup2(os.open(path, os.O_WRONLY | os.O_CREAT if number else os.O_RDONLY), number)
    os.chdir(wish["cwd"])
    forked_python.live(wish["env"], wish["words"])


if __name__ == "__main__":
    _serve()
