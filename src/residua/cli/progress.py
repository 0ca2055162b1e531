"""Signals that stop training: the first asks for it, a second one ends the process at once."""

import atexit
import os
import signal
from contextlib import suppress
from types import FrameType

from rich.console import Console

from residua.cli.processes import ended
from residua.cli.terminal import say_wrapped

DATA_SECONDS = 5.0
"""After a request to stop, how long to wait for a batch that does not arrive."""
REPEATABLE = (signal.SIGINT, signal.SIGTERM)
"""Signals that end the process at once when they come again; a closing terminal may send SIGHUP twice."""


def _leave_waiting(_number: int, _: FrameType | None) -> None:
    from residua.data.loader import raise_if_waiting

    raise_if_waiting()


class Stopper:
    """Turns signals into a request to stop; a second signal ends the process at once."""

    def __init__(self, to: Console) -> None:
        """Handle SIGINT, SIGTERM and, unless it is ignored (`nohup`), SIGHUP from now on."""
        self.to, self.is_requested = to, False
        self._was_signalled = False
        for number in REPEATABLE:
            signal.signal(number, self._handle)
        hangup = getattr(signal, "SIGHUP", None)  # no signal of Windows
        if hangup and signal.getsignal(hangup) is not signal.SIG_IGN:
            signal.signal(hangup, self._handle)

    def __call__(self) -> bool:
        """Whether stopping was requested."""
        return self.is_requested

    def _handle(self, number: int, _: FrameType | None) -> None:
        if self._was_signalled and number in REPEATABLE:
            with suppress(RuntimeError):
                self.to.show_cursor()  # a bar hides it
                say_wrapped(self.to, "ended at once; the last saved state is kept", "yellow")
            os._exit(0 if ended(128 + number) else 128 + number)
        self._was_signalled = self._was_signalled or number in REPEATABLE
        if not self.is_requested:
            self.is_requested = True
            if alarm := getattr(signal, "SIGALRM", None):  # elsewhere it stops when the batch comes
                signal.signal(alarm, _leave_waiting)
                signal.setitimer(signal.ITIMER_REAL, DATA_SECONDS, 1.0)
                # Python takes the handler away at exit: an alarm after that would end the process with -14
                atexit.register(signal.setitimer, signal.ITIMER_REAL, 0)
            with suppress(RuntimeError):  # the signal came while a line was being written
                message = "stopping after this step and saving (press again to end at once) ..."
                say_wrapped(self.to, message, "yellow")
