"""Batches read by worker processes, in a fixed order.

A wrapper around torch's DataLoader. The training process asks for batch keys (epoch, indices) one after
another; worker k of n reads the keys k, k + n, k + 2n, ... and torch returns the batches in the order of the
keys. Each worker prepares up to four batches ahead. A batch is written once, into shared memory that the
worker allocates (`allocate_batch`); only a handle travels through the queue.

A worker reports the example that it reads in a slot of shared memory (`track_indices`), so that an error can
name it even when the worker is gone:

* DataError, e.g. a damaged image: the worker sends the error in place of the batch; it is raised unchanged.
* OSError, MemoryError, RuntimeError in a worker: sent as WorkerDiedError "failed", with the example.
* A worker that is killed or crashes: `_next_batch` looks for dead workers every second while it waits.
  Between two batches, torch's handler of SIGCHLD raises RuntimeError wherever the training process is;
  `find_worker_death` turns that error into WorkerDiedError.
* A worker that hangs: after 60 seconds without a batch (`limit_timeout` lowers it) all workers are killed,
  and WorkerDiedError names the examples they read. Not detected: a worker that is stopped by SIGSTOP just
  when the training process fetches a batch from it; SIGCONT lets it continue.
* A training process that is killed: Linux kills its workers (PR_SET_PDEATHSIG; with the start method
  forkserver it kills the server, and with that the workers). Elsewhere torch's own check ends them within
  five seconds.
* SIGINT and SIGTERM go to the training process only, because workers have sessions of their own and ignore
  SIGINT. Its signal handler calls `raise_if_waiting`, which ends a wait for a batch and kills the workers.

When the generator of `load_batches` ends, for whatever reason, no worker is left.
"""

import ctypes
import math
import multiprocessing
import os
import re
import signal
import sys
import time
import warnings
from collections.abc import Callable, Iterable, Iterator, MutableSequence
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

from residua.data.decode import one_line, printable_path
from residua.data.worker_monitor import IDLE, REMEDY, WorkerMonitor
from residua.errors import DataError, WorkerDiedError

BatchKey = tuple[int, NDArray[np.int64]]
"""Epoch and indices (n,) of one batch."""
BatchT = TypeVar("BatchT")

_POLL_SECONDS = 1.0  # between two checks for dead workers
_FIRST_BATCH_SECONDS = 60.0  # limit for the first batch: archives are opened and modules imported
_BATCHES_AHEAD = 4  # that each worker prepares; our choice, against slow files
_PR_SET_PDEATHSIG = 1  # Linux: the signal that a process gets when its parent ends
_STOP_SIGNALS = (signal.SIGINT, signal.SIGTERM)
_TORCH_DEATH = re.compile(r"DataLoader worker \(pid(?:\(s\))? ([\d, ]+)\)")  # torch's message

# In the training process:
_timeout = 60.0  # seconds without a batch after which workers count as hung
_monitors: WeakSet[WorkerMonitor] = WeakSet()  # of all loaders: torch reports a death without its loader
_is_waiting = False  # for a batch from workers
# In a worker, which serves one loader until it ends:
_slot: tuple[MutableSequence[int], int] | None = None  # the shared array of indices, and its place there


class StoppedWhileWaiting(Exception):
    """A stop was requested while the process waited for a batch."""


@dataclass(frozen=True)
class BatchSampler:
    """The keys of the batches to read, computed when they are needed."""

    key_of: Callable[[int], BatchKey]
    """From a step to the key of its batch."""
    steps: range
    """The steps, in order."""

    def __iter__(self) -> Iterator[BatchKey]:
        return map(self.key_of, self.steps)

    def __len__(self) -> int:
        return len(self.steps)


def load_batches(
    dataset: TorchDataset[BatchT],
    keys: BatchSampler,
    *,
    workers: int,
    device: torch.device,
    title: Callable[[int], str],
) -> Iterator[BatchT]:
    """Read batches in worker processes.

    Args:
        dataset: Maps a `BatchKey` to a batch; reads its examples with `track_indices`.
        keys: The batches to read.
        workers: Number of worker processes; 0 reads in this process.
        device: Where the batches go next; for CUDA they are returned in pinned memory.
        title: Name of an example by its index, for errors.

    Yields:
        The batches, in the order of `keys`.

    Raises:
        DataError: Raised by `dataset`.
        WorkerDiedError: A worker died, failed or hangs; the message names the example it read.
    """
    monitor = WorkerMonitor(workers, title)
    _monitors.add(monitor)
    others = multiprocessing.active_children()
    with _starting_workers():
        loader: DataLoader[BatchT | DataError | WorkerDiedError] = DataLoader(
            _WorkerDataset(dataset, title),
            sampler=keys,
            batch_size=None,  # an item of the dataset is a whole batch already
            num_workers=workers,
            pin_memory=device.type == "cuda",
            timeout=_POLL_SECONDS if workers else 0,
            prefetch_factor=_BATCHES_AHEAD if workers else None,
            worker_init_fn=partial(_start_worker, monitor.pids, monitor.indices, os.getpid()),
            generator=torch.Generator(),  # else torch draws from the global generator, and dropout differs
        )
        batches = iter(loader)  # one iterator, and one set of workers, for all epochs
    monitor.processes = [child for child in multiprocessing.active_children() if child not in others]
    try:
        while (batch := _next_batch(batches, monitor)) is not None:
            if isinstance(batch, Exception):
                raise batch
            yield batch
    except (GeneratorExit, StoppedWhileWaiting):
        monitor.kill_all()  # workers whose batches nothing takes may hang: torch would wait 5 s for each
        raise
    finally:
        del batches, loader  # ends the workers; the traceback of an error would keep them otherwise
        monitor.kill_all()


def track_indices(indices: NDArray[np.int64]) -> Iterator[int]:
    """Iterate over example indices; a worker reports each to the training process before it is read."""
    for index in indices.tolist():
        _report_index(index)
        yield index


def allocate_batch(shape: tuple[int, ...]) -> Tensor:
    """Uninitialised uint8 memory for a batch; in a worker it is shared memory, which saves one copy."""
    if get_worker_info() is None:
        return torch.empty(shape, dtype=torch.uint8)
    # as torch's own collation does
    storage = torch.UntypedStorage._new_shared(math.prod(shape))  # type: ignore[no-untyped-call]
    return torch.empty(0, dtype=torch.uint8).set_(storage).view(shape)


def limit_timeout(seconds: float) -> None:
    """Lower the time without a batch after which workers count as hung; never raises it."""
    global _timeout
    _timeout = min(_timeout, seconds)


def raise_if_waiting() -> None:
    """Raise StoppedWhileWaiting if this process waits for a batch from workers; for signal handlers."""
    if _is_waiting:
        raise StoppedWhileWaiting


def find_worker_death(error: BaseException) -> WorkerDiedError | None:
    """Recognise the death of a worker in an error that torch raised.

    Args:
        error: Any error; torch raises a RuntimeError wherever this process is when a worker dies.

    Returns:
        The error to show; None when `error` has another cause.
    """
    if isinstance(error, WorkerDiedError):
        return error
    if not (match := _TORCH_DEATH.search(str(error))):
        return None
    pids = [int(number) for number in match[1].split(",")]
    for monitor in _monitors:
        if death := monitor.find_dead(*pids):
            return death
    return WorkerDiedError(f"a worker process died ({str(error).strip(' .')})", REMEDY)


def _next_batch(
    batches: Iterator[BatchT | DataError | WorkerDiedError], monitor: WorkerMonitor
) -> BatchT | DataError | WorkerDiedError | None:
    """The next batch, or an error to raise; None at the end."""
    global _is_waiting
    if not monitor.processes:
        return next(batches, None)
    seconds = _timeout if monitor.has_batch else _FIRST_BATCH_SECONDS
    deadline, _is_waiting = time.monotonic() + seconds, True
    try:
        while True:
            try:
                return next(batches, None)
            except (RuntimeError, OSError, EOFError) as error:
                is_timeout = "timed out" in str(error)
                if not isinstance(error, RuntimeError):  # a worker died while it handed over a batch
                    with suppress(RuntimeError):  # which torch's signal handler raises for it
                        time.sleep(0.5)
                if death := monitor.find_dead():
                    return death
                if not is_timeout:
                    raise
                if time.monotonic() > deadline:
                    return monitor.kill_hung(seconds)
    finally:
        monitor.has_batch, _is_waiting = True, False


@contextmanager
def _starting_workers() -> Iterator[None]:
    """Block stop signals, which workers inherit, until each worker has set its own handlers."""
    before = _mask_signals("SIG_BLOCK", _STOP_SIGNALS)
    try:
        with warnings.catch_warnings():
            # the user asked for more workers than there are cores
            warnings.filterwarnings("ignore", "This DataLoader will create")
            yield
    except OSError as error:
        raise WorkerDiedError(f"worker processes cannot be started ({one_line(error)})", REMEDY) from None
    finally:
        _mask_signals("SIG_SETMASK", before)


def _mask_signals(how: str, signals: Iterable[int]) -> Iterable[int]:
    """Change the blocked signals of this thread as `pthread_sigmask` does; those before. Windows has none."""
    mask = getattr(signal, "pthread_sigmask", None)
    return mask(getattr(signal, how), signals) if mask else ()


def _start_worker(
    pids: MutableSequence[int], indices: MutableSequence[int], parent: int, number: int
) -> None:
    """Prepare worker `number`: its slot, its end with the training process, and its signals."""
    global _slot
    _slot = indices, number
    pids[number] = os.getpid()
    # A thread of multiprocessing reports through this hook that the training process closed a connection.
    sys.excepthook = lambda *_: None
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
        if os.getppid() != parent and multiprocessing.get_start_method() != "forkserver":
            os._exit(1)  # the training process ended before the call above
    # Ctrl-C and launchers signal a whole process group; a worker ends when the training process ends it.
    if set_session := getattr(os, "setsid", None):
        set_session()
    for stop_signal in _STOP_SIGNALS:
        signal.signal(stop_signal, signal.SIG_IGN)  # drops signals that arrived before setsid
    signal.signal(signal.SIGTERM, signal.SIG_DFL)  # torch ends workers by SIGTERM
    _mask_signals("SIG_UNBLOCK", _STOP_SIGNALS)


def _report_index(index: int) -> None:
    if _slot:
        indices, number = _slot
        indices[number] = index


@dataclass(frozen=True)
class _WorkerDataset(TorchDataset[BatchT | DataError | WorkerDiedError]):
    """A dataset that returns its errors: torch would wrap a raised one in the traceback of the worker."""

    dataset: TorchDataset[BatchT]
    title: Callable[[int], str]

    def __getitem__(self, key: BatchKey) -> BatchT | DataError | WorkerDiedError:
        _report_index(int(key[1][0]))
        try:
            return self.dataset[key]
        except DataError as error:
            return error
        except (MemoryError, OSError, RuntimeError) as error:
            if _slot is None:
                raise
            indices, number = _slot
            example = printable_path(self.title(indices[number]))
            return WorkerDiedError(
                f"a worker process failed ({one_line(error)}) while it read {example}", REMEDY
            )
        finally:
            _report_index(IDLE)
