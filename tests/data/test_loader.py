"""Loader workers that die, hang or fail: one line with the example they read, and no process is left."""

import ctypes
import multiprocessing
import os
import re
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from functools import partial

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.utils.data import Dataset
from torch.utils.data._utils import signal_handling

import ranks
from residua.data import loader
from residua.data.loader import (
    BatchKey,
    BatchSampler,
    allocate_batch,
    find_worker_death,
    load_batches,
    track_indices,
)
from residua.errors import DataError, WorkerDiedError
from residua.training.prefetch import in_lockstep
from residua.training.processes.world import process_group
from small import never

CPU = torch.device("cpu")
BATCH, STEPS, BAD = 4, 6, 9


class Squares(Dataset[Tensor]):
    """Batches of 64 KiB a number; the worker that reads number 9 calls `before_nine` first."""

    def __init__(self, before_nine: Callable[[], object] = int) -> None:
        self.before_nine = before_nine

    def __getitem__(self, place: BatchKey) -> Tensor:
        _, indices = place
        batch = allocate_batch((len(indices), 1 << 16))
        for row, index in zip(batch, track_indices(indices), strict=True):
            if index == BAD:
                self.before_nine()
            row.fill_(index * index % 256)
        return batch


def batches_of(dataset: Squares, workers: int) -> Iterator[Tensor]:
    sampler = BatchSampler(lambda step: (0, np.arange(step * BATCH, (step + 1) * BATCH)), range(STEPS))
    return load_batches(dataset, sampler, workers=workers, device=CPU, title="number {}".format)


def read(dataset: Squares, workers: int) -> list[int]:
    return [int(value) for batch in batches_of(dataset, workers) for value in batch[:, -1]]


def send(number: signal.Signals) -> Callable[[], None]:
    return lambda: os.kill(os.getpid(), number)


def fail(error: Exception) -> Callable[[], None]:
    def raised() -> None:
        raise error

    return raised


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("workers", [0, 1, 8])
def test_batches_come_in_order(workers: int) -> None:
    assert read(Squares(), workers) == [number * number % 256 for number in range(BATCH * STEPS)]


@pytest.mark.parametrize("workers", [1, 2])
@pytest.mark.parametrize(
    ("fault", "cause"),
    [
        (send(signal.SIGKILL), "died (Killed)"),
        (send(signal.SIGSEGV), "died (Segmentation fault)"),
        (lambda: os._exit(0), "died (exit code 0)"),
        (signal.pause, "no batch for 2 s"),
        (fail(MemoryError()), "failed (MemoryError)"),
        (fail(OSError(24, "Too many open files")), "[Errno 24]"),
    ],
)
def test_a_worker_that_dies_hangs_or_fails_is_reported_with_its_example(
    monkeypatch: pytest.MonkeyPatch, fault: Callable[[], None], cause: str, workers: int
) -> None:
    for name in ("_timeout", "_FIRST_BATCH_SECONDS"):
        monkeypatch.setattr(loader, name, 2)
    with pytest.raises(WorkerDiedError) as caught:
        read(Squares(fault), workers)
    text = str(caught.value)
    assert "\n" not in text
    for word in (cause, "number 9", "free memory"):
        assert word in text
    assert not multiprocessing.active_children()


def test_a_death_that_torch_does_not_report_is_found_by_polling(monkeypatch: pytest.MonkeyPatch) -> None:
    """torch raises its error at any moment; Python drops it in a callback of `fork`."""
    monkeypatch.setattr(signal_handling, "_error_if_any_worker_fails", lambda: None)
    with pytest.raises(WorkerDiedError, match=r"\(Killed\) .* number 9: free"):
        read(Squares(send(signal.SIGKILL)), 2)


def test_a_hanging_worker_is_reported_before_other_processes_of_the_run_time_out(
    capfd: pytest.CaptureFixture[str],
) -> None:
    def work(rank: int) -> None:
        with process_group() as world:
            own = batches_of(Squares(signal.pause if rank else int), 1)
            list(in_lockstep(own, STEPS, world=world, stop=never))

    assert ranks.end(ranks.begin(2, work, stall=5)) == [ranks.FAILED] * 2
    error = capfd.readouterr().err
    assert re.search(r"PeerFailedError: process 1: .*no batch for 4 s.* number 9", error)


def test_a_worker_that_exits_before_it_hands_over_a_batch_is_reported() -> None:
    """The training process fetches the memory of a batch when it takes the batch."""
    batches = batches_of(Squares(lambda: threading.Timer(0.1, os._exit, [0]).start()), 1)
    next(batches)
    time.sleep(0.5)
    with pytest.raises(WorkerDiedError, match=r"\(exit code 0\): free") as caught:
        list(batches)
    assert "\n" not in str(caught.value)
    assert not multiprocessing.active_children()


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere torch ends workers, later")
@pytest.mark.parametrize("seconds", [60, pytest.param(5, marks=pytest.mark.battery)])  # 5 in promise P14
@pytest.mark.parametrize("fault", [int, signal.pause, send(signal.SIGSTOP)])
def test_no_worker_outlives_a_killed_parent_whatever_it_does(
    fault: Callable[[], object], seconds: int
) -> None:
    def parent(_rank: int) -> None:
        batches = batches_of(Squares(fault), 2)
        next(batches)
        time.sleep(60)

    (process,) = ranks.begin(1, parent)
    limit = time.monotonic() + 30
    while len(workers := ranks.children_of(process)) < 2 and time.monotonic() < limit:
        time.sleep(0.01)
    time.sleep(0.3)
    os.kill(process, signal.SIGKILL)
    assert ranks.end([process]) == [-signal.SIGKILL]
    assert len(workers) == 2
    limit = time.monotonic() + seconds
    while any(map(ranks.lives, workers)) and time.monotonic() < limit:
        time.sleep(0.01)
    assert not any(map(ranks.lives, workers))


@pytest.mark.parametrize("workers", [0, 2])
def test_a_data_error_is_raised_unchanged(workers: int) -> None:
    with pytest.raises(DataError, match=r"^9 is no number$"):
        read(Squares(fail(DataError("9 is no number"))), workers)
    assert not multiprocessing.active_children()


def test_without_workers_an_error_is_raised_unchanged() -> None:
    with pytest.raises(OSError, match="open files"):
        read(Squares(fail(OSError(24, "Too many open files"))), 0)


@pytest.mark.parametrize(
    ("size", "message"),
    [
        (b"size=16k", r"Errno 28.*free"),
        (b"size=600k", r"shared memory.* number \d+: free memory"),  # torch 2.11 gives another errno
    ],
)
@ranks.apart
def test_full_shared_memory_is_reported(monkeypatch: pytest.MonkeyPatch, size: bytes, message: str) -> None:
    libc, new_mounts, private = ctypes.CDLL(None), 0x20000, 0x44000
    if libc.unshare(new_mounts) or libc.mount(b"none", b"/", None, private, None):
        return  # only root may
    assert not libc.mount(b"tmpfs", b"/dev/shm", b"tmpfs", 0, size)
    monkeypatch.setattr(loader, "_timeout", 10)
    with pytest.raises(WorkerDiedError) as caught:
        read(Squares(), 2)
    assert re.search(message, str(caught.value))


def test_a_death_between_two_batches_is_recognised() -> None:
    batches = batches_of(Squares(lambda: (time.sleep(0.3), os.kill(os.getpid(), signal.SIGKILL))), 1)
    next(batches)
    with pytest.raises(RuntimeError, match=r"^DataLoader worker") as caught:
        time.sleep(60)  # a signal ends it
    died = find_worker_death(caught.value)
    assert died
    for word in ("(Killed)", "number 9", "free memory"):
        assert word in str(died)
    later = died.at("after step 41", cure="go on")
    assert re.search(r"\(Killed\) .*number 9 .*step 41: go on$", str(later))
    assert find_worker_death(later) is later
    assert find_worker_death(RuntimeError("the worker of another library")) is None


@pytest.mark.battery
def test_workers_that_stand_still_do_not_delay_the_end() -> None:
    """Promise P6: torch waits five seconds for each, which in training and validation took 25."""
    batches = batches_of(Squares(), 2)
    next(batches)
    for worker in multiprocessing.active_children():
        os.kill(worker.pid or 0, signal.SIGSTOP)
    before = time.monotonic()
    batches.close()  # type: ignore[attr-defined]
    assert time.monotonic() - before < 5
    assert not multiprocessing.active_children()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_worker_that_starts_slowly_survives_a_signal_to_its_group(
    number: signal.Signals, monkeypatch: pytest.MonkeyPatch
) -> None:
    def slow(start: Callable[..., None], *arguments: object) -> None:
        time.sleep(0.5)
        start(*arguments)

    def signal_all() -> None:
        for child in multiprocessing.active_children():
            os.kill(child.pid or 0, number)

    monkeypatch.setattr(loader, "_start_worker", partial(slow, loader._start_worker))
    soon = threading.Timer(0.2, signal_all)
    soon.start()
    assert read(Squares(), 2) == read(Squares(), 0)
    soon.join()
    assert signal.pthread_sigmask(signal.SIG_BLOCK, ()) == set()
