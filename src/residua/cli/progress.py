"""Progress of training: bars on a terminal, plain lines elsewhere; and the signals that stop it."""

import atexit
import os
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from types import FrameType

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TextColumn

from residua.cli.processes import ended
from residua.cli.terminal import QUIET_SECONDS, say, say_wrapped
from residua.events import EpochRow, Event, Note, StepProgress, Stopped

BAR = 10
"""Characters of a bar on a narrow terminal; on a wide one, three times as many."""
DATA_SECONDS = 5.0
"""After a request to stop, how long to wait for a batch that does not arrive."""
REPEATABLE = (signal.SIGINT, signal.SIGTERM)
"""Signals that end the process at once when they come again; a closing terminal may send SIGHUP twice."""


class ProgressPrinter:
    """Prints the Events of one or more runs."""

    def __init__(self, to: Console, noun: str = "image") -> None:
        """Print on `to`; `noun` is what the run is trained on: `image` or `video`."""
        self.to, self.noun = to, noun
        self.stopped_at: int | None = None
        self.last_row: EpochRow | None = None
        self._bars: Progress | None = None
        self._tasks: dict[str, TaskID] = {}
        self._last_line = time.monotonic()

    @contextmanager
    def showing_bars(self) -> Iterator[None]:
        """Draw bars while inside, on a terminal."""
        if not self.to.is_terminal:
            yield
            return
        bar = BarColumn(BAR if self.to.width < 100 else 3 * BAR)
        with Progress(bar, TextColumn("{task.description}"), console=self.to, transient=True) as self._bars:
            yield
        self._bars, self._tasks = None, {}

    def show(self, event: Event, name: str = "") -> None:
        """Print one event of the run `name`."""
        if isinstance(event, StepProgress):
            self._tick(event, name)
        elif isinstance(event, EpochRow):
            self.last_row = event
            say_wrapped(
                self.to,
                epoch_line(event, name) if self._bars else epoch_line_with_speed(event, name, self.noun),
            )
        elif isinstance(event, Note):
            say_wrapped(self.to, event.text, "yellow")
        elif isinstance(event, Stopped):
            self.stopped_at = event.step

    def _tick(self, tick: StepProgress, name: str) -> None:
        if self._bars:
            share = f"{100 * tick.step // tick.total:2} %"
            room = self.to.width - BAR - 1
            text = join_fitting([*([name] if name else []), share, *tick_facts(tick, self.noun)], room)
            if name not in self._tasks:
                self._tasks[name] = self._bars.add_task(text, total=tick.total)
            self._bars.update(self._tasks[name], description=text, total=tick.total, completed=tick.step)
            if tick.step == tick.total:
                self._bars.remove_task(self._tasks.pop(name))
        elif time.monotonic() - self._last_line > QUIET_SECONDS:
            self._last_line = time.monotonic()
            step = f"step {tick.step:,}/{tick.total:,}"
            say(self.to, "  ".join([*([name] if name else []), step, *tick_facts(tick, self.noun)]))


def tick_facts(tick: StepProgress, noun: str) -> list[str]:
    """The numbers of `tick`, the most important first."""
    return [
        f"{format_duration(tick.seconds_left)} left",
        f"loss {tick.loss:.3f}",
        f"{tick.images_per_second:,.0f} {noun}s/s",
        f"lr {tick.lr:.2g}",
        f"{tick.memory_bytes / 2**30:.1f} GiB",
    ]


def format_duration(seconds: float) -> str:
    """`0:07`, `12:40` or `27:01:05`."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"


def join_fitting(parts: list[str], room: int) -> str:
    """As many of `parts`, from the first, as fit in `room` characters."""
    while len(parts) > 1 and len("  ".join(parts)) > room:
        parts = parts[:-1]
    return "  ".join(parts)


def epoch_line(row: EpochRow, name: str) -> str:
    """A finished epoch as one line, for a terminal with bars."""
    v = row.values
    epoch = f"{name}{'  ' if name else ''}epoch {v['epoch']:>{len(str(row.total))}}/{row.total}"
    key = "test_map50" if "test_map50" in v else "test_error"
    errors = f"{v[key]:5.2f} % test" + (f", {v[f'ema_{key}']:5.2f} % averaged" if f"ema_{key}" in v else "")
    if "train_error" in v:
        errors = f"{v['train_error']:5.2f} % train, {errors}"
    what = "mAP@.5" if key == "test_map50" else "error"
    return f"{epoch}  loss {v['train_loss']:.3f}  {what} {errors}"


def epoch_line_with_speed(row: EpochRow, name: str, noun: str) -> str:
    """The same with the speed, where no bar shows it."""
    speed = row.values["images_per_second"]
    return epoch_line(row, name) + (f"  {speed:,.0f} {noun}s/s" if speed else "")


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
