"""Several small runs on the digits at once, a process each, with their Events in one place."""

import multiprocessing
import os
import queue
import signal
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from threading import Thread
from types import TracebackType
from typing import Any

from residua.jobs.prepare import Wish, prepare
from residua.jobs.train import begin
from residua.measure.evaluate import Judgement
from residua.training.events import Event
from residua.training.fit import Fit
from residua.training.run import Run

Listen = Callable[[str, Event], None]

POLL_SECONDS = 0.1
"""How often the parent looks for news and for a wish to stop."""

_shared: dict[str, Any] = {}  # in a worker: the way back to its parent, set once when it starts


class Pool:
    """Worker processes that stay for several contests, since starting one takes seconds."""

    def __init__(self, *, processes: int) -> None:
        """That many workers; spawned, because a fork would copy the threads of a progress bar half-way."""
        context = multiprocessing.get_context("spawn")
        self._news = context.Queue()
        self._stop = context.Event()
        self._pool = ProcessPoolExecutor(processes, context, _start, (self._news, self._stop))

    def __enter__(self) -> "Pool":
        """Itself."""
        return self

    def __exit__(self, kind: type[BaseException] | None, _: object, __: TracebackType | None) -> None:
        """Let the workers end; in trouble, without waiting for the work that is left."""
        self._stop.set()
        self._pool.shutdown(wait=True, cancel_futures=kind is not None)

    def train(
        self, entries: Sequence[tuple[str, Path]], *, listen: Listen, stop: Callable[[], bool]
    ) -> list[tuple[Run, Judgement]]:
        """Train each (name, path) on the digits, telling `listen` of all; those that were finished."""
        waiting = [self._pool.submit(_train, name, path) for name, path in entries]
        while not all(future.done() for future in waiting):
            if stop():
                self._stop.set()
            self._tell(listen)
        self._tell(listen)
        found = [future.result() for future in waiting]
        return [(Run(path), judged) for (_, path), judged in zip(entries, found, strict=True) if judged]

    def _tell(self, listen: Listen) -> None:
        try:
            while True:
                listen(*self._news.get(timeout=POLL_SECONDS))
        except queue.Empty:
            return


def _start(news: Any, stop: Any) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches all processes; the parent says when to stop
    _shared.update(news=news, stop=stop)
    Thread(target=_leave_with_parent, daemon=True).start()


def _leave_with_parent() -> None:
    """A killed parent cannot end its workers, so they end themselves."""
    parent = multiprocessing.parent_process()
    assert parent
    parent.join()
    os._exit(1)


def _train(name: str, path: Path) -> Judgement | None:
    """Train the network `name` into a run at `path`; what it says in the end, None when stopped."""
    prepared = prepare(Wish("digits", name))
    run = begin(prepared, path)
    with run.lock():
        fit = Fit(run, prepared.network, prepared.dataset, stop=_shared["stop"].is_set)
        for event in fit.events():
            _shared["news"].put((name, event))
    return fit.judged if run.finished else None
