"""ComputeProcess: a process that holds networks and images: the memory of the server is small without torch.

    (none) --a call--> waiting --a call--> computing --result--> waiting --IDLE_SECONDS--> (none)
                                              |
                                              +--killed--> (none): the call fails with a line that says so

A call is a function of a module and its arguments; they go through a pipe, one call at a time. What the
functions keep in memory ends with the process, and the next call starts a new one. It ends with the server,
too, however that ends: the other end of the pipe is closed.
"""

import multiprocessing
import signal
import threading
import traceback
from collections.abc import Callable
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess
from typing import Any, ParamSpec, TypeVar

from residua.errors import ResiduaError, ResourceError

IDLE_SECONDS = 300.0
"""Time without a call after which the process ends; networks are read again in seconds."""
Arguments = ParamSpec("Arguments")
Value = TypeVar("Value")


class ComputeProcess:
    """One process, started by the first call; threads may share it."""

    def __init__(self, idle_seconds: float = IDLE_SECONDS) -> None:
        self._idle_seconds = idle_seconds
        self._lock = threading.Lock()
        self._process: BaseProcess | None = None
        self._pipe: Connection | None = None
        self._is_closed = False

    def call(
        self,
        function: Callable[Arguments, Value],
        *args: Arguments.args,
        **kwargs: Arguments.kwargs,
    ) -> Value:
        """What `function` returns in the process; other calls wait meanwhile.

        Args:
            function: A function of a module. It, its arguments and its value are pickled.
            *args: Arguments.
            **kwargs: Arguments.

        Raises:
            ResiduaError: As the function raises it.
            OSError: The same.
            ResourceError: The process was killed.
        """
        with self._lock:
            while True:
                pipe = self._running_pipe()
                try:
                    pipe.send((function, args, kwargs))
                    is_value, result = pipe.recv()
                except (EOFError, ConnectionError):
                    self._check_is_idle_end()
                    continue
                if is_value:
                    value: Value = result
                    return value
                raise result

    def close(self) -> None:
        """End the process, also in the middle of a call, which then fails."""
        self._is_closed = True
        process = self._process
        if process is not None:
            process.terminate()

    def _running_pipe(self) -> Connection:
        if self._is_closed:
            raise ResourceError("the lab is stopping: start it again")
        if self._pipe is None:
            context = multiprocessing.get_context("spawn")
            self._pipe, other_end = context.Pipe()
            self._process = context.Process(target=_serve, args=(other_end, self._idle_seconds))
            self._process.start()
            other_end.close()
        return self._pipe

    def _check_is_idle_end(self) -> None:
        """Forget the process that has ended; ResourceError unless it ended because there were no calls."""
        assert self._pipe
        assert self._process
        self._pipe.close()
        self._process.join()
        code, self._pipe, self._process = self._process.exitcode, None, None
        if code:
            how = f"signal {-code}, perhaps because memory ran out" if code < 0 else f"exit code {code}"
            raise ResourceError(
                f"the process that computes was ended ({how}): try again, with fewer networks"
            )


def _serve(pipe: Connection, idle_seconds: float) -> None:
    """Compute calls until none comes for a while, or the server is gone."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C in the terminal reaches it through the server
    try:
        while pipe.poll(idle_seconds):
            function, args, kwargs = pipe.recv()
            pipe.send(_result_of(function, args, kwargs))
    except (EOFError, ConnectionError):
        return


def _result_of(function: Callable[..., Any], args: Any, kwargs: Any) -> tuple[bool, Any]:
    """Whether the second is a value, and the value; or the error."""
    try:
        return True, function(*args, **kwargs)
    except ResiduaError as error:
        standard = next(kind for kind in type(error).__mro__ if "__init__" not in vars(kind))
        return False, standard(str(error))  # a constructor of its own takes more than can be known here
    except OSError as error:
        return False, error
    except Exception:  # a mistake of ours fails this call alone, as in a thread
        return False, RuntimeError(traceback.format_exc())
