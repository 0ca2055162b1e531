"""Several runs at once, a process each, with their Events in one place; nothing is done twice."""

import multiprocessing
import os
import queue
import signal
import sys
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from threading import Thread, current_thread, main_thread
from types import TracebackType
from typing import Any

from residua.errors import DivergedError
from residua.jobs.prepare import TrainRequest, prepare
from residua.jobs.train import create_run, load_run, same_environment
from residua.measure.evaluate import Judgement
from residua.runs.run import Run
from residua.spec.recipe import Recipe
from residua.training.events import Event, Note
from residua.training.fit import Fit
from residua.training.processes.world import ALONE

Listen = Callable[[str, Event], None]

POLL_SECONDS = 0.1
"""How often the parent looks for news and for a wish to stop."""
LEAKS = "ignore::UserWarning:multiprocessing.resource_tracker"
"""Not said by the process that tidies up after us: that whoever left at once, on a second Ctrl-C, did not."""


_FOR_ALL = (signal.SIGINT, signal.SIGHUP)
"""Ctrl-C and the end of a terminal reach every process of a command, but its parent says when to stop."""


@dataclass(frozen=True, slots=True)
class PoolEntry:
    """A run that is wanted."""

    name: str
    """What its Events are told under."""
    path: Path
    """Where it is, or is to be."""
    recipe: Recipe
    """Its recipe, before network and plan are fitted to images and machine."""


_shared: dict[str, Any] = {}  # in a worker: the way back to its parent, set once when it starts


class RunPool:
    """Worker processes that stay for several contests, since starting one takes seconds."""

    def __init__(self, *, processes: int) -> None:
        """That many workers; spawned, because a fork would copy the threads of a progress bar half-way."""
        if LEAKS not in sys.warnoptions:
            sys.warnoptions.append(LEAKS)
        context = multiprocessing.get_context("spawn")
        self._news = context.Queue()
        self._stop = context.Event()
        self._pool = ProcessPoolExecutor(processes, context, _start, (self._news, self._stop))

    def __enter__(self) -> "RunPool":
        """Itself."""
        return self

    def __exit__(self, kind: type[BaseException] | None, _: object, __: TracebackType | None) -> None:
        """Let the workers end; in trouble, without waiting for the work that is left."""
        self._stop.set()
        self._pool.shutdown(wait=True, cancel_futures=kind is not None)

    def train(
        self, entries: Sequence[PoolEntry], *, listen: Listen, stop: Callable[[], bool]
    ) -> list[tuple[Run, Judgement]]:
        """Train each, from where it stands, telling `listen` of all; those that were finished here.

        A run whose loss is no longer finite ends there, which is told; the others go on.
        """
        with _deaf():  # workers start here, and inherit it: Ctrl-C while they import would print tracebacks
            waiting = [self._pool.submit(_train, entry) for entry in entries]
        while not all(future.done() for future in waiting):
            if stop():
                self._stop.set()
            self._tell(listen)
        self._tell(listen)
        found = [_judged(entry, future, listen) for entry, future in zip(entries, waiting, strict=True)]
        return [(Run(entry.path), judged) for entry, judged in zip(entries, found, strict=True) if judged]

    def _tell(self, listen: Listen) -> None:
        try:
            while True:
                listen(*self._news.get(timeout=POLL_SECONDS))
        except queue.Empty:
            return


@contextmanager
def _deaf() -> Iterator[None]:
    """Ignore what all processes hear while inside; outside the main thread, which alone hears, do nothing."""
    if current_thread() is not main_thread():
        yield
        return
    before = {number: signal.signal(number, signal.SIG_IGN) for number in _FOR_ALL}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _judged(entry: PoolEntry, future: "Future[Judgement | None]", listen: Listen) -> Judgement | None:
    try:
        return future.result()
    except DivergedError as error:
        listen(entry.name, Note(f"{entry.name}: {error}"))
        return None


def _start(news: Any, stop: Any) -> None:
    for number in _FOR_ALL:
        signal.signal(number, signal.SIG_IGN)
    _shared.update(news=news, stop=stop)
    Thread(target=_leave_with_parent, daemon=True).start()


def _leave_with_parent() -> None:
    """A killed parent cannot end its workers, so they end themselves."""
    parent = multiprocessing.parent_process()
    assert parent
    parent.join()
    os._exit(1)


def _train(entry: PoolEntry) -> Judgement | None:
    if _shared["stop"].is_set():  # a step of each that waits would keep whoever pressed Ctrl-C for minutes
        return None
    return finish(entry, listen=_put, stop=_shared["stop"].is_set)


def _put(name: str, event: Event) -> None:
    _shared["news"].put((name, event))


def finish(entry: PoolEntry, *, listen: Listen, stop: Callable[[], bool]) -> Judgement | None:
    """Train `entry` to its end in this process: anew, or from its newest good state.

    What it says of the test images in the end; None when stopped, or finished before. RunBusyError when another
    process trains it.
    """
    run = Run(entry.path)
    if run.finished:
        return None
    fresh = None
    if not (entry.path / "recipe.json").exists():
        fresh = prepare(TrainRequest(entry.recipe.data.source, recipe=entry.recipe))
        create_run(fresh, entry.path)
    with run.lock():
        for line in same_environment(run, ALONE, force=True):  # in a cluster another machine may go on
            listen(entry.name, Note(f"{entry.name}: {line}"))
        prepared = fresh or load_run(run)
        fit = Fit(run, prepared.network, prepared.dataset, prepared.task, stop=stop)
        for event in fit.events():
            listen(entry.name, event)
    return fit.judged if run.finished else None
