"""The command line as people run it: another process, its output and its exit code.

Importing torch takes seconds, a test of the command line a fraction of one. So commands are forked from the
fork server of `multiprocessing`, which has imported what they need. A command is a process like any other: it
has its own number, folder, environment, output and exit code. No kernel of torch has run before the fork.
"""

import gc
import multiprocessing
import os
import resource
import runpy
import signal
import subprocess
import sys
import time
import types
from collections.abc import Mapping, Sequence
from contextlib import suppress
from functools import cache
from multiprocessing.context import ForkServerContext
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, NoReturn

from ranks import children_of, lives

LIMIT = 120.0
"""Seconds after which a command counts as hung; on a busy machine torch alone takes ten to import."""
TWO = ("--processes", 2)
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


class Command:
    """A Python process that was forked by the server, with what tests use of `subprocess.Popen`."""

    def __init__(self, words: Sequence[str], **options: Any) -> None:
        self.args, self._folder = words, TemporaryDirectory()
        for name in ("out", "error"):  # before it starts: a test may kill it before it has opened them
            Path(self._folder.name, name).touch()
        self._process = _context().Process(target=_become, args=(words, self._folder.name), kwargs=options)
        self._process.start()

    @property
    def pid(self) -> int:
        assert self._process.pid
        return self._process.pid

    @property
    def returncode(self) -> int | None:
        """None while it runs, negative for a signal."""
        return self._process.exitcode

    def communicate(self, timeout: float | None = None) -> tuple[str, str]:
        """What it wrote on stdout and stderr, once it has ended.

        TimeoutExpired when it runs for `timeout` seconds more; then it is killed.
        """
        self._process.join(timeout)
        if self.returncode is None:
            self._process.kill()
            raise subprocess.TimeoutExpired(self.args, timeout or 0.0)
        out, error = (Path(self._folder.name, name).read_text("utf-8") for name in ("out", "error"))
        return out, error

    def send_signal(self, number: int) -> None:
        if self.returncode is None:
            os.kill(self.pid, number)

    def kill(self) -> None:
        self.send_signal(signal.SIGKILL)


@cache
def _context() -> ForkServerContext:
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(list(MODULES))
    return context


def _become(
    words: Sequence[str],
    folder: str,
    *,
    cwd: Path,
    env: Mapping[str, str],
    start_new_session: bool = False,
    largest_file: int | None = None,
) -> NoReturn:
    """Run `python WORDS` in this process and end with its exit code."""
    gc.freeze()  # no process looks through what was imported, which would also copy its memory
    # the server hands on its own start method; that of a command is the default, which is the first
    multiprocessing.set_start_method(multiprocessing.get_all_start_methods()[0], force=True)
    if start_new_session:
        os.setsid()
    signal.signal(signal.SIGHUP, signal.SIG_DFL)  # pytest may run under nohup
    signal.signal(signal.SIGINT, signal.default_int_handler)  # and in the background of a shell
    if largest_file is not None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (largest_file, largest_file))
    for number, name in enumerate((os.devnull, "out", "error")):
        flags = os.O_WRONLY | os.O_CREAT if number else os.O_RDONLY
        os.dup2(os.open(os.path.join(folder, name), flags), number)
    os.chdir(cwd)
    os.environ.clear()
    os.environ.update(env)
    code: Any = 1
    try:
        _run(*words)
        code = 0
    except SystemExit as leaving:
        code = leaving.code
    except BaseException:
        sys.excepthook(*sys.exc_info())
    finally:
        with suppress(OSError):
            sys.stdout.flush()
            sys.stderr.flush()
        os._exit(code if isinstance(code, int) else 0 if code is None else 1)


def _run(how: str, what: str, *words: str) -> None:
    """`python -m what words`, or `python -c what`."""
    if how == "-m":
        sys.argv = [what, *words]
        runpy.run_module(what, run_name="__main__", alter_sys=True)
    else:
        sys.argv = [how]
        sys.modules["__main__"] = main = types.ModuleType("__main__")
        exec(compile(what, "<text>", "exec"), vars(main))


def start(*words: object, module: str = "residua", **options: Any) -> Command:
    """`python -m residua ...`, still running.

    `start_new_session` gives it a session of its own; with `largest_file`, in bytes, writing more to one file
    fails as on a full disk.
    """
    return _start("-m", module, *words, **options)


def _start(
    *words: object, cwd: Path | None = None, env: Mapping[str, str] | None = None, **options: Any
) -> Command:
    environment = dict(os.environ if env is None else env)
    return Command([str(word) for word in words], cwd=cwd or Path.cwd(), env=environment, **options)


def torchrun(*words: object, restarts: int = 2, module: str = "residua", **options: Any) -> Command:
    """Two processes that torchrun begins, and begins anew so often."""
    launcher = ("--standalone", "--nproc-per-node", 2, "--max-restarts", restarts, "-m", module)
    return start(*launcher, *words, module="torch.distributed.run", **options)


def launched(*words: object, module: str = "residua", **options: Any) -> Command:
    """Two processes that our own launcher begins."""
    return start(*words, *TWO, module=module, **options)


def residua(*words: object, **options: Any) -> "subprocess.CompletedProcess[str]":
    """The finished `python -m residua ...`."""
    return python("-m", "residua", *words, **options)


def python(*words: object, timeout: float = LIMIT, **options: Any) -> "subprocess.CompletedProcess[str]":
    """The finished `python -m MODULE ...` or `python -c TEXT`, from a process that has imported torch."""
    process = _start(*words, **options)
    out, error = process.communicate(timeout)
    assert process.returncode is not None
    return subprocess.CompletedProcess(process.args, process.returncode, out, error)


def wait_for(path: Path, pattern: str, process: Command) -> None:
    """Return when a file below `path` matches `pattern`, or the process has ended."""
    limit = time.monotonic() + LIMIT
    while not list(path.glob(pattern)) and process.returncode is None:
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


def begun(run: Path, process: Command) -> list[int]:
    """The ranks of `process`, once they have saved three states."""
    wait_for(run, "checkpoints/state-*[3-9].safetensors", process)
    return sorted(children_of(process.pid))


def send(ranks: list[int], number: signal.Signals) -> None:
    """A signal for those that are left."""
    for rank in filter(lives, ranks):
        os.kill(rank, number)


def ended(process: Command) -> str:
    """What it printed, once it has ended well."""
    out, error = process.communicate(timeout=LIMIT)
    assert process.returncode == 0, out + error
    return out
