"""Being a Python process that a fork has begun, and forking the ranks of one that is a launcher."""

import contextlib
import gc
import os
import resource
import runpy
import signal
import subprocess
import sys
import time
import types
from collections.abc import Mapping, Sequence
from typing import Any, NoReturn


def live(env: Mapping[str, str], words: Sequence[str]) -> NoReturn:
    """Run `python WORDS` in this process and end with its exit code."""
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
        with contextlib.suppress(OSError):
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


def fork_ranks() -> None:
    """From now on torch's launcher forks its ranks from this process: importing torch takes them seconds."""
    from torch.distributed.elastic.multiprocessing.subprocess_handler import subprocess_handler

    subprocess_handler.Popen = Rank  # type: ignore[assignment, misc]


class Rank:
    """A rank that a launcher forks from itself: what a launcher of torch uses of `subprocess.Popen`.

    It is the launcher's child and leads a session of its own, like any rank; it only imports nothing anew.
    """

    def __init__(
        self,
        args: Sequence[str],
        env: Mapping[str, str],
        stdout: None,
        stderr: None,
        start_new_session: bool,
    ) -> None:
        program, *words = args
        assert (program, stdout, stderr, start_new_session) == (sys.executable, None, None, True)
        self.args, self.returncode = args, None
        sys.stdout.flush()
        if not (pid := os.fork()):
            gc.freeze()  # nothing of the launcher's is taken down in its child
            os.setsid()
            os.closerange(3, resource.getrlimit(resource.RLIMIT_NOFILE)[0])
            for number in filter(lambda number: callable(signal.getsignal(number)), signal.valid_signals()):
                signal.signal(number, signal.SIG_DFL)
            if signal.getsignal(signal.SIGINT) is signal.SIG_DFL:
                signal.signal(signal.SIGINT, signal.default_int_handler)
            live(env, [word for word in words if word != "-u"])
        self.pid = pid

    def poll(self) -> int | None:
        if self.returncode is None and (status := os.waitpid(self.pid, os.WNOHANG))[0]:
            self.returncode = os.waitstatus_to_exitcode(status[1])
        return self.returncode

    def wait(self, timeout: float | None = None) -> int:
        """Its exit code; TimeoutExpired when it still runs after `timeout` seconds."""
        limit = time.monotonic() + (float("inf") if timeout is None else timeout)
        while (code := self.poll()) is None:
            if time.monotonic() > limit:
                raise subprocess.TimeoutExpired(self.args, timeout or 0.0)
            time.sleep(0.01)
        return code
