"""Progress of training as lines and bars, for the command line and for Python: in terminals and notebooks.

terminal              a bar at the bottom, and a line for each epoch above it
notebook              the same where ipywidgets is installed
pipe, file, others    a line for the first step and for each epoch, and one every ten seconds between them
"""

import math
import time
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from textwrap import wrap
from typing import TYPE_CHECKING

from residua.events import Activity, DownloadProgress, EpochRow, Event, Note, PlanLine, StepProgress, Stopped
from residua.spec.amount import format_bytes
from residua.spec.printable import printable

if TYPE_CHECKING:  # rich takes a third of the time that `--help` may take
    from rich.console import Console
    from rich.progress import Progress, TaskID

QUIET_SECONDS = 10.0
"""Without a terminal, one line of progress per this many seconds."""
INDENT = 8
"""Column where the text begins in lines that open with a label."""
BAR = 10
"""Characters of a bar on a narrow terminal; on a wide one, three times as many."""


def say(to: "Console", text: str, style: str = "") -> None:
    """Print one line of plain text, without markup."""
    from rich.text import Text

    to.print(Text(printable(text), style=style))


def say_wrapped(to: "Console", text: str, style: str = "") -> None:
    """Print `text` wrapped between words on a narrow terminal; following lines are indented."""
    width = to.width if to.is_terminal else len(text) + 1
    for line in wrap(text, width, subsequent_indent=" " * INDENT, break_on_hyphens=False):
        say(to, line, style)


def python_console() -> "Console":
    """The console of a Python program: its standard error, or the output of a notebook cell."""
    from rich.console import Console

    return Console(stderr=True, highlight=False, soft_wrap=True)


class ProgressPrinter:
    """Prints the Events of one or more runs."""

    def __init__(self, to: "Console", noun: str = "image") -> None:
        """Print on `to`; `noun` is what the run is trained on: `image` or `video`."""
        self.to, self.noun = to, noun
        self.stopped_at: int | None = None
        self.last_row: EpochRow | None = None
        self._bars: Progress | None = None
        self._tasks: dict[str, TaskID] = {}
        self._last_line = -math.inf
        self._downloading, self._last_download = "", -math.inf
        self._activity: TaskID | None = None

    @contextmanager
    def showing_bars(self) -> Iterator[None]:
        """Draw bars while inside, on a terminal and in a notebook."""
        if not _can_draw(self.to):
            yield
            return
        from rich.progress import BarColumn, Progress, TextColumn

        bar = BarColumn(BAR if self.to.width < 100 else 3 * BAR)
        with Progress(bar, TextColumn("{task.description}"), console=self.to, transient=True) as self._bars:
            yield
        self._bars, self._tasks = None, {}

    def show(self, event: Event, name: str = "") -> None:
        """Print one event of the run `name`."""
        self._end_activity()
        if isinstance(event, Activity):
            self._begin_activity(event)
        elif isinstance(event, StepProgress):
            self._tick(event, name)
        elif isinstance(event, DownloadProgress):
            self._download(event)
        elif isinstance(event, EpochRow):
            self.last_row = event
            if not event.total:  # a probe alone: the line `result` says what it gives
                return
            say_wrapped(
                self.to,
                epoch_line(event, name) if self._bars else epoch_line_with_speed(event, name, self.noun),
            )
        elif isinstance(event, Note):
            say_wrapped(self.to, event.text, "yellow")
        elif isinstance(event, PlanLine):
            say_wrapped(self.to, event.text)
        elif isinstance(event, Stopped):
            self.stopped_at = event.step

    def _begin_activity(self, activity: Activity) -> None:
        """Show what is being done: a bar without an end, or a line where none can be drawn."""
        if self._bars:
            self._activity = self._bars.add_task(f"{activity.text} ...", total=None)
        else:
            say_wrapped(self.to, f"{activity.text} ...")

    def _end_activity(self) -> None:
        if self._bars and self._activity is not None:
            self._bars.remove_task(self._activity)
        self._activity = None

    def _download(self, download: DownloadProgress) -> None:
        """Show how much of a file has arrived."""
        done, total = download.done_bytes, download.total_bytes
        text = join_fitting([download_facts(download), download.file], self.to.width - BAR - 1)
        if self._bars:
            if download.file not in self._tasks:
                self._tasks[download.file] = self._bars.add_task(text, total=total or None)
            self._bars.update(self._tasks[download.file], description=text, completed=done)
            if done == total:
                self._bars.remove_task(self._tasks.pop(download.file))
        elif download.file != self._downloading:
            self._downloading, self._last_download = download.file, time.monotonic()
        elif time.monotonic() - self._last_download > QUIET_SECONDS:
            self._last_download = time.monotonic()
            say(self.to, f"  {text}")

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


def _can_draw(to: "Console") -> bool:
    """Whether lines can be drawn again on `to`: on a terminal, or by widgets of a notebook."""
    return to.is_terminal or (to.is_jupyter and find_spec("ipywidgets") is not None)


def download_facts(download: DownloadProgress) -> str:
    """`12 MiB of 45 MiB`."""
    done = format_bytes(download.done_bytes)
    return f"{done} of {format_bytes(download.total_bytes)}" if download.total_bytes else done


def tick_facts(tick: StepProgress, noun: str) -> list[str]:
    """The numbers of `tick`, the most important first."""
    left = [f"{format_duration(tick.seconds_left)} left"] if tick.seconds_left else []
    return [
        *left,
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
    split = "held out" if row.is_held_out else "test"
    averaged = f", {v[f'ema_{key}']:5.2f} % averaged" if f"ema_{key}" in v else ""
    errors = f"{v[key]:5.2f} % {split}{averaged}"
    if "train_error" in v:
        errors = f"{v['train_error']:5.2f} % train, {errors}"
    what = "mAP@.5" if key == "test_map50" else "error"
    return f"{epoch}  loss {v['train_loss']:.3f}  {what} {errors}"


def epoch_line_with_speed(row: EpochRow, name: str, noun: str) -> str:
    """The same with the speed, where no bar shows it."""
    speed = row.values["images_per_second"]
    return epoch_line(row, name) + (f"  {speed:,.0f} {noun}s/s" if speed else "")
