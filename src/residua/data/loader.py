"""Batches read by any number of worker processes, in order, and at which example a process died."""

import ctypes
import math
import multiprocessing
import os
import re
import signal
import sys
import threading
import time
import warnings
from collections.abc import Callable, Iterator, MutableSequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import partial
from typing import TypeVar
from weakref import WeakSet

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import DataLoader, get_worker_info
from torch.utils.data import Dataset as TorchDataset

from residua.data.decode import one_line, shown
from residua.data.worker_monitor import CURE, WorkerMonitor
from residua.errors import DataError, WorkerDiedError

Place = tuple[int, NDArray[np.int64]]
"""Epoch and indices of one batch."""
Read = TypeVar("Read")

_LOOK_SECONDS = 1.0  # between two looks for those that died
_FIRST_SECONDS = 60.0  # until the first batch comes, for opening may take a while
_AHEAD = 4  # batches that each worker prepares; our choice, against slow files
_PR_SET_PDEATHSIG = 1  # Linux ends the process when its parent is gone
_ENDING = (signal.SIGINT, signal.SIGTERM)
_DEATH = re.compile(r"DataLoader worker \(pid(?:\(s\))? ([\d, ]+)\)")  # what torch says of it


class StoppedWhileWaiting(Exception):
    """Somebody asked to stop, and no batch came."""


@dataclass(frozen=True)
class Places:
    """The batches to come, worked out when they are asked for."""

    place: Callable[[int], Place]
    steps: range

    def __iter__(self) -> Iterator[Place]:
        """Each, when it is its turn."""
        return map(self.place, self.steps)

    def __len__(self) -> int:
        """How many."""
        return len(self.steps)


_patience = 60.0  # seconds without a batch after which a worker counts as hung
_opened: WeakSet[WorkerMonitor] = WeakSet()  # of all loaders, for torch tells of a death at any moment
_waits = False  # whether this process waits for a batch of its workers
_desk: tuple[MutableSequence[int], int] | None = None  # this worker's own, among all of its loader


def hurry(seconds: float) -> None:
    """From now on a worker counts as hung after so long without a batch, where that is less than a minute."""
    global _patience
    _patience = min(_patience, seconds)


def each(indices: NDArray[np.int64]) -> Iterator[int]:
    """The examples at `indices` one by one; a worker notes at which it is."""
    for index in indices.tolist():
        _note(index)
        yield index


def _note(index: int) -> None:
    if _desk:
        rows, place = _desk
        rows[place] = index


def room(shape: tuple[int, ...]) -> Tensor:
    """Memory for a batch of bytes; a worker's is shared from the first, or all would be copied once more."""
    if get_worker_info() is None:
        return torch.empty(shape, dtype=torch.uint8)
    # as torch's own collation does
    shared = torch.UntypedStorage._new_shared(math.prod(shape))  # type: ignore[no-untyped-call]
    return torch.empty(0, dtype=torch.uint8).set_(shared).view(shape)


def loaded(
    views: TorchDataset[Read],
    places: Places,
    *,
    workers: int,
    device: torch.device,
    title: Callable[[int], str],
) -> Iterator[Read]:
    """What `views` makes of the batches at `places`, in order, in memory from which `device` can copy.

    DataError as `views` raises it; WorkerDiedError tells of a process that died or hung, and calls the example
    that it read by its `title`.
    """
    desks = WorkerMonitor(workers, title)
    _opened.add(desks)
    others = multiprocessing.active_children()
    with _beginning():
        loader: DataLoader[Read | DataError | WorkerDiedError] = DataLoader(
            _WorkerDataset(views, title),
            sampler=places,
            batch_size=None,  # an item is a whole batch already
            num_workers=workers,
            pin_memory=device.type == "cuda",
            timeout=_LOOK_SECONDS if workers else 0,
            prefetch_factor=_AHEAD if workers else None,
            worker_init_fn=partial(_start_worker, desks.rows, os.getpid()),
            generator=torch.Generator(),  # else the loader draws from the global one, and dropout differs
        )
        results = iter(loader)  # one iterator, and one set of workers, for all epochs
    desks.workers = [child for child in multiprocessing.active_children() if child not in others]
    if workers:
        threading.Thread(target=desks.watch, args=[_patience / 2], daemon=True).start()
    try:
        while (result := _next(results, desks)) is not None:
            if isinstance(result, Exception):
                raise result
            yield result
    finally:
        desks.wake()  # torch waits for each of them to leave
        del results, loader  # or the traceback of an error would keep the workers
        desks.clear()


@contextmanager
def _beginning() -> Iterator[None]:
    """While workers are started: they inherit that signals are blocked, until they have begun."""
    before, told = signal.pthread_sigmask(signal.SIG_BLOCK, _ENDING), sys.unraisablehook

    def tell(lost: "sys.UnraisableHookArgs") -> None:
        """Pass on what is no death: a fork prints and drops it, and `_next` looks for the dead itself."""
        if not _DEATH.search(str(lost.exc_value)):
            told(lost)

    sys.unraisablehook = tell
    try:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", "This DataLoader will create")  # more than cores: as asked
            yield
    except OSError as error:
        raise WorkerDiedError(f"worker processes cannot be started ({one_line(error)})", CURE) from None
    finally:
        sys.unraisablehook = told
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _next(
    results: Iterator[Read | DataError | WorkerDiedError], desks: WorkerMonitor
) -> Read | DataError | WorkerDiedError | None:
    """The next of `results`, looking now and then for the dead: what torch raises may get lost."""
    global _waits
    if not desks.workers:
        return next(results, None)
    seconds = _patience if desks.began else _FIRST_SECONDS
    limit, _waits = time.monotonic() + seconds, True
    try:
        while True:
            try:
                return next(results, None)
            except (RuntimeError, OSError, EOFError) as error:
                late = "timed out" in str(error)
                if not isinstance(error, RuntimeError):  # one died while it handed over what it had announced
                    with suppress(RuntimeError):  # as which torch soon hears of it
                        time.sleep(0.5)
                if died := desks.died():
                    return died
                if not late:
                    raise
                if time.monotonic() > limit:
                    return desks.hung(seconds)
    finally:
        desks.began, _waits = True, False


def leave_waiting() -> None:
    """Raise Stalled if this process waits for a batch of its workers: for a handler of signals."""
    if _waits:
        raise StoppedWhileWaiting


def of_worker(error: BaseException) -> WorkerDiedError | None:
    """What `error` says where torch tells by it of a worker's end.

    torch hears of a death by a signal, and raises the error wherever this process is just then.
    """
    if isinstance(error, WorkerDiedError):
        return error
    if not (said := _DEATH.search(str(error))):
        return None
    processes = [int(number) for number in said[1].split(",")]
    found = [died for desks in _opened if (died := desks.died(*processes))]
    return found[0] if found else WorkerDiedError(f"a worker process died ({str(error).strip(' .')})", CURE)


@dataclass(frozen=True)
class _WorkerDataset(TorchDataset[Read | DataError | WorkerDiedError]):
    """`views`, or what is wrong with them: a raised error would arrive wrapped in a worker's traceback."""

    views: TorchDataset[Read]
    title: Callable[[int], str]

    def __getitem__(self, place: Place) -> Read | DataError | WorkerDiedError:
        _note(int(place[1][0]))
        try:
            return self.views[place]
        except DataError as error:
            return error
        except (MemoryError, OSError, RuntimeError) as error:
            if _desk is None:
                raise
            rows, own = _desk
            reading = shown(self.title(rows[own]))
            return WorkerDiedError(
                f"a worker process failed ({one_line(error)}) while it read {reading}", CURE
            )
        finally:
            _note(-1)


def _start_worker(rows: MutableSequence[int], parent: int, number: int) -> None:
    global _desk  # a worker reads for one loader until it ends
    _desk = rows, 2 * number + 1
    rows[2 * number] = os.getpid()
    sys.excepthook = lambda *_: None  # by it a thread of multiprocessing tells that the parent has left
    if sys.platform == "linux":  # elsewhere torch looks every five seconds, unless the worker hangs
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
        if os.getppid() != parent:
            os._exit(1)
    # Ctrl-C and launchers reach every process of a group, but the run ends when its parent says so. The
    # parent's handler of SIGTERM, which a fork inherits, would keep a worker from being ended.
    os.setsid()
    for ending in _ENDING:
        signal.signal(ending, signal.SIG_IGN)  # which forgets those that came before it left the group
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, _ENDING)
