"""Several runs at the same time, each in a process of this machine.

    parent                                   worker process (spawned, kept for several grids)
    ------                                   -----------------------------------------------
    train(entries): submit each  --------->  finish(entry): create or load the run, train it
    listen(name, event)  <-- event queue --  every Event of the run
    stop() is true: set the stop flag ---->  the run saves after its step and returns;
                                             entries that wait are not begun
    result or DivergedError  <-------------  the validation result of the last epoch

Ctrl-C and a closed terminal reach every process of the command. Workers ignore both: the parent decides,
through the stop flag. A killed parent cannot end its workers, so each worker watches for its end and exits.
"""

import multiprocessing
import queue
import signal
import sys
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from threading import current_thread, main_thread
from types import TracebackType
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from residua.child_process import exit_with_parent
from residua.data.sources.table import parse_source
from residua.errors import DivergedError
from residua.events import Event, Note
from residua.jobs.prepare import prepare
from residua.jobs.train import create_run, load_run, same_environment
from residua.jobs.train_request import TrainRequest
from residua.measure.evaluation import Evaluation
from residua.runs.run import Run
from residua.spec.recipe import Recipe
from residua.training.processes.world import SINGLE_PROCESS
from residua.training.session import TrainingSession

RunListener = Callable[[str, Event], None]
"""Receives the name of an entry and an Event of its run."""

POLL_SECONDS = 0.1
"""Time between two looks at the event queue and at `stop`."""
_IGNORED_WARNING = "ignore::UserWarning:multiprocessing.resource_tracker"
"""The resource tracker warns of what a process leaves that exits at once, on a second Ctrl-C."""
_GROUP_SIGNALS = [number for number in signal.Signals if number.name in ("SIGINT", "SIGHUP")]
"""Signals that a terminal sends to every process of a command; Windows has no SIGHUP."""


@dataclass(frozen=True, slots=True)
class PoolEntry:
    """A run to be trained."""

    name: str
    """Name under which its Events are reported."""
    path: Path
    """The run folder; it may exist already."""
    recipe: Recipe
    """Its recipe, before network and plan are fitted to images and machine."""


Probabilities = NDArray[np.float32]
"""(N, classes): what a network predicts for the N test images."""


class RunBackend(Protocol):
    """Trains runs: worker processes of this machine, or tasks on a cluster."""

    def train(self, entries: Sequence[PoolEntry], *, listen: RunListener, stop: Callable[[], bool]) -> object:
        """Train each entry from its newest checkpoint until it is finished or `stop()` is true.

        A run whose loss is not finite ends with a Note to `listen`; the others continue.
        """


_worker: dict[str, Any] = {}  # in a worker process: the event queue and the stop flag, set when it starts


class RunPool:
    """A `RunBackend` of worker processes. They stay for several grids, since starting one takes seconds."""

    def __init__(self, *, processes: int) -> None:
        """Create the pool of `processes` workers.

        They are spawned: a fork would copy the threads of a progress bar in an undefined state.
        """
        if _IGNORED_WARNING not in sys.warnoptions:
            sys.warnoptions.append(_IGNORED_WARNING)
        context = multiprocessing.get_context("spawn")
        self._events = context.Queue()
        self._stop = context.Event()
        self._executor = ProcessPoolExecutor(processes, context, _start_worker, (self._events, self._stop))

    def __enter__(self) -> "RunPool":
        return self

    def __exit__(self, kind: type[BaseException] | None, _: object, __: TracebackType | None) -> None:
        self._stop.set()
        self._executor.shutdown(wait=True, cancel_futures=kind is not None)

    def train(
        self, entries: Sequence[PoolEntry], *, listen: RunListener, stop: Callable[[], bool]
    ) -> list[tuple[Run, Probabilities]]:
        """Train each entry, as described at the top of this file.

        Args:
            entries: The runs.
            listen: Receives all Events, and a Note for a run whose loss is not finite.
            stop: Asked several times a second; True saves all runs and returns.

        Returns:
            The runs that were finished by this call, with their class probabilities (N, classes) for the test
            images: the images themselves stay in the worker.
        """
        with _signals_ignored():  # workers start here and inherit it: Ctrl-C would interrupt their imports
            futures = [self._executor.submit(_train, entry) for entry in entries]
        while not all(future.done() for future in futures):
            if stop():
                self._stop.set()
            self._report_events(listen)
        self._report_events(listen)
        results = [_result(entry, future, listen) for entry, future in zip(entries, futures, strict=True)]
        return [
            (Run(entry.path), result)
            for entry, result in zip(entries, results, strict=True)
            if result is not None
        ]

    def _report_events(self, listen: RunListener) -> None:
        try:
            while True:
                listen(*self._events.get(timeout=POLL_SECONDS))
        except queue.Empty:
            return


@contextmanager
def _signals_ignored() -> Iterator[None]:
    """Ignore `_GROUP_SIGNALS` inside; outside the main thread, which alone can handle signals, do nothing."""
    if current_thread() is not main_thread():
        yield
        return
    before = {number: signal.signal(number, signal.SIG_IGN) for number in _GROUP_SIGNALS}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _result(
    entry: PoolEntry, future: "Future[Probabilities | None]", listen: RunListener
) -> Probabilities | None:
    try:
        return future.result()
    except DivergedError as error:
        listen(entry.name, Note(f"{entry.name}: {error}"))
        return None


def _start_worker(events: Any, stop: Any) -> None:
    for number in _GROUP_SIGNALS:
        signal.signal(number, signal.SIG_IGN)
    _worker.update(events=events, stop=stop)
    exit_with_parent()


def _train(entry: PoolEntry) -> Probabilities | None:
    if _worker["stop"].is_set():  # one step of each waiting run would delay the end by minutes
        return None
    evaluation = finish(entry, listen=_put_event, stop=_worker["stop"].is_set)
    return None if evaluation is None else evaluation.probabilities


def _put_event(name: str, event: Event) -> None:
    _worker["events"].put((name, event))


def finish(entry: PoolEntry, *, listen: RunListener, stop: Callable[[], bool]) -> Evaluation | None:
    """Train `entry` to its end in this process: from scratch, or from its newest intact checkpoint.

    Args:
        entry: The run.
        listen: Receives every Event.
        stop: Asked after every step; True saves and stops.

    Returns:
        The predictions on the test images after the last epoch; None when stopped, or finished before.

    Raises:
        RunBusyError: Another process trains it.
        DivergedError: The loss or the weights are no longer finite.
    """
    run = Run(entry.path)
    if run.finished:
        return None
    prepared = None
    if not (entry.path / "recipe.json").exists():
        prepared = prepare(TrainRequest(entry.recipe.data.source, recipe=entry.recipe))
        create_run(prepared, entry.path)
    with run.lock():
        changes = same_environment(run, SINGLE_PROCESS, force=True)  # a cluster may resume on another machine
        for line in changes:
            listen(entry.name, Note(f"{entry.name}: {line}"))
        prepared = prepared or load_run(run, source=str(parse_source(entry.recipe.data.source).absolute()))
        session = TrainingSession(run, prepared.network, prepared.learned, prepared.task, stop=stop)
        for event in session.events():
            listen(entry.name, event)
    return session.validation if run.finished else None
