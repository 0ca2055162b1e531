"""Training as people watch it: bars on a terminal, plain lines elsewhere; and the signals that stop it."""

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
from residua.training.events import EpochRow, Event, Note, Stopped, Tick

BAR = 10
"""Characters of a bar on a narrow terminal; on a wide one, three times as many."""
DATA_SECONDS = 5.0
"""Who is asked to stop waits no longer for images that do not come."""
AT_ONCE = (signal.SIGINT, signal.SIGTERM)
"""What ends the process when it comes again. A terminal that closes may say so twice."""


class ProgressPrinter:
    """Shows the Events of one or more runs."""

    def __init__(self, to: Console, noun: str = "image") -> None:
        """Show on `to`; a network learns from what is called `noun`."""
        self.to, self.noun = to, noun
        self.stopped_at: int | None = None
        self.last_row: EpochRow | None = None
        self._bars: Progress | None = None
        self._tasks: dict[str, TaskID] = {}
        self._said = time.monotonic()

    @contextmanager
    def watching(self) -> Iterator[None]:
        """Draw the bars while inside, where there is a terminal."""
        if not self.to.is_terminal:
            yield
            return
        bar = BarColumn(BAR if self.to.width < 100 else 3 * BAR)
        with Progress(bar, TextColumn("{task.description}"), console=self.to, transient=True) as self._bars:
            yield
        self._bars, self._tasks = None, {}

    def see(self, event: Event, name: str = "") -> None:
        """Show one event of the run `name`."""
        if isinstance(event, Tick):
            self._tick(event, name)
        elif isinstance(event, EpochRow):
            self.last_row = event
            say_wrapped(self.to, row_line(event, name) if self._bars else plain_line(event, name, self.noun))
        elif isinstance(event, Note):
            say_wrapped(self.to, event.text, "yellow")
        elif isinstance(event, Stopped):
            self.stopped_at = event.step

    def _tick(self, tick: Tick, name: str) -> None:
        if self._bars:
            share = f"{100 * tick.step // tick.total:2} %"
            room = self.to.width - BAR - 1
            text = fitting([*([name] if name else []), share, *facts(tick, self.noun)], room)
            if name not in self._tasks:
                self._tasks[name] = self._bars.add_task(text, total=tick.total)
            self._bars.update(self._tasks[name], description=text, total=tick.total, completed=tick.step)
            if tick.step == tick.total:
                self._bars.remove_task(self._tasks.pop(name))
        elif time.monotonic() - self._said > QUIET_SECONDS:
            self._said = time.monotonic()
            step = f"step {tick.step:,}/{tick.total:,}"
            say(self.to, "  ".join([*([name] if name else []), step, *facts(tick, self.noun)]))


def facts(tick: Tick, noun: str) -> list[str]:
    """What `tick` tells of a run that learns from what is called `noun`, the most important first."""
    return [
        f"{clock(tick.seconds_left)} left",
        f"loss {tick.loss:.3f}",
        f"{tick.speed:,.0f} {noun}s/s",
        f"rate {tick.rate:.2g}",
        f"{tick.memory_bytes / 2**30:.1f} GiB",
    ]


def clock(seconds: float) -> str:
    """`0:07`, `12:40` or `27:01:05`."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"


def fitting(parts: list[str], room: int) -> str:
    """As many of `parts` in a row, from the first, as `room` characters hold."""
    while len(parts) > 1 and len("  ".join(parts)) > room:
        parts = parts[:-1]
    return "  ".join(parts)


def row_line(row: EpochRow, name: str) -> str:
    """A finished epoch as a line."""
    v = row.values
    epoch = f"{name}{'  ' if name else ''}epoch {v['epoch']:>{len(str(row.total))}}/{row.total}"
    key = "test_map50" if "test_map50" in v else "test_error"
    judged = f"{v[key]:5.2f} % test" + (f", {v[f'ema_{key}']:5.2f} % averaged" if f"ema_{key}" in v else "")
    if "train_error" in v:
        judged = f"{v['train_error']:5.2f} % train, {judged}"
    what = "mAP@.5" if key == "test_map50" else "error"
    return f"{epoch}  loss {v['train_loss']:.3f}  {what} {judged}"


def plain_line(row: EpochRow, name: str, noun: str) -> str:
    """The same with its speed, which no bar shows."""
    speed = row.values["images_per_second"]
    return row_line(row, name) + (f"  {speed:,.0f} {noun}s/s" if speed else "")


def _leave_waiting(_number: int, _: FrameType | None) -> None:
    from residua.data.loader import raise_if_waiting

    raise_if_waiting()


class Stopper:
    """Asked to stop once, it says so; asked twice, the process leaves at once."""

    def __init__(self, to: Console) -> None:
        """Listen from now on for SIGINT, SIGTERM and, unless it is ignored (`nohup`), SIGHUP."""
        self.to, self.asked = to, False
        self._again = False
        for number in AT_ONCE:
            signal.signal(number, self._hear)
        if signal.getsignal(signal.SIGHUP) is not signal.SIG_IGN:
            signal.signal(signal.SIGHUP, self._hear)

    def __call__(self) -> bool:
        """Whether to stop."""
        return self.asked

    def _hear(self, number: int, _: FrameType | None) -> None:
        if self._again and number in AT_ONCE:
            with suppress(RuntimeError):
                self.to.show_cursor()  # a bar hides it
                say_wrapped(self.to, "left at once; what was saved before is kept", "yellow")
            os._exit(0 if ended(128 + number) else 128 + number)
        self._again = self._again or number in AT_ONCE
        if not self.asked:
            self.asked = True
            signal.signal(signal.SIGALRM, _leave_waiting)
            signal.setitimer(signal.ITIMER_REAL, DATA_SECONDS, 1.0)
            with suppress(RuntimeError):  # it came while a line was being written
                again = "stopping after this step and saving (once more to leave at once) ..."
                say_wrapped(self.to, again, "yellow")
