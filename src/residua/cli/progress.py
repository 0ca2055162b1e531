"""Training as people watch it: bars on a terminal, plain lines elsewhere; and the signals that stop it."""

import os
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TextColumn

from residua.cli.terminal import say
from residua.training.events import Event, Note, Row, Stopped, Tick

QUIET_SECONDS = 10.0
"""Without a terminal, a line between two epochs at most this often."""


class Watcher:
    """Shows the Events of one or more runs."""

    def __init__(self, to: Console, noun: str = "image") -> None:
        """Show on `to`; a network learns from what is called `noun`."""
        self.to, self.noun = to, noun
        self.stopped_at: int | None = None
        self.last_row: Row | None = None
        self._bars: Progress | None = None
        self._task: TaskID | None = None
        self._said = time.monotonic()

    @contextmanager
    def watching(self) -> Iterator[None]:
        """Draw the bar while inside, where there is a terminal."""
        if not self.to.is_terminal:
            yield
            return
        columns = (TextColumn("{task.description}"), BarColumn(), TextColumn("{task.fields[facts]}"))
        with Progress(*columns, console=self.to, transient=True) as self._bars:
            yield
        self._bars = self._task = None

    def see(self, event: Event, name: str = "") -> None:
        """Show one event of the run `name`."""
        if isinstance(event, Tick):
            self._tick(event, name)
        elif isinstance(event, Row):
            self.last_row = event
            say(self.to, row_line(event, name, self.noun))
        elif isinstance(event, Note):
            say(self.to, event.text, "yellow")
        elif isinstance(event, Stopped):
            self.stopped_at = event.step

    def _tick(self, tick: Tick, name: str) -> None:
        minutes, seconds = divmod(round(tick.seconds_left), 60)
        facts = (
            f"{tick.speed:,.0f} {self.noun}s/s  loss {tick.loss:.3f}  rate {tick.rate:.2g}  "
            f"{tick.memory_bytes / 2**30:.1f} GiB  {minutes}:{seconds:02d} left"
        )
        if self._bars:
            if self._task is None:
                self._task = self._bars.add_task(name, total=tick.total, facts="")
            self._bars.update(
                self._task, description=name, total=tick.total, completed=tick.step, facts=facts
            )
        elif time.monotonic() - self._said > QUIET_SECONDS:
            self._said = time.monotonic()
            say(self.to, f"{name}{' ' if name else ''}step {tick.step:,}/{tick.total:,}  {facts}")


def row_line(row: Row, name: str, noun: str = "image") -> str:
    """A finished epoch as a line."""
    v = row.values
    width = len(str(row.total))
    key = "test_map50" if "test_map50" in v else "test_error"
    mean = f" (averaged weights {v[f'ema_{key}']:5.2f} %)" if f"ema_{key}" in v else ""
    errors = f"train error {v['train_error']:5.2f} %  test error" if "train_error" in v else "test mAP@.5"
    speed = f"  {v['images_per_second']:,.0f} {noun}s/s" if v["images_per_second"] else ""
    return (
        f"{name}{'  ' if name else ''}epoch {v['epoch']:>{width}}/{row.total}  loss {v['train_loss']:.3f}  "
        f"{errors} {v[key]:5.2f} %{mean}{speed}"
    )


class Stopper:
    """Asked to stop once, it says so; asked twice, the process leaves at once."""

    def __init__(self, to: Console) -> None:
        """Listen for SIGINT and SIGTERM from now on."""
        self.to, self.asked = to, False
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, self._hear)

    def __call__(self) -> bool:
        """Whether to stop."""
        return self.asked

    def _hear(self, number: int, _: FrameType | None) -> None:
        if self.asked:
            os._exit(128 + number)
        self.asked = True
        say(self.to, "stopping after this step and saving (once more to leave at once) ...", "yellow")
