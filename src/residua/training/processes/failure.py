"""How the processes of a run end together when one of them fails: one line for the user, one exit code.

    own error         writes itself to the store (the first one counts), waits until rank 0 has read it, and
                      raises it silently; rank 0 raises it for all
    connection lost   reads the error of the process that failed from the store; without one, that process was
                      killed or stalls: PeerLostError
    rank 0            serves the store, so it leaves last

A process that waits in a collective operation notices a failure when that operation times out, at once when
the other process has ended. Processes that wait in `World.barrier` read the store and notice it at once.

A stopped process (SIGSTOP) does not act on the SIGTERM of the launcher, so the launcher waits 30 s and then
kills it. A process that fails therefore sends SIGCONT to the others on its machine: a stopped one continues,
fails like any process whose peer has failed, and ends, so that the restart need not wait for the launcher.
"""

import json
import os
import re
import signal
import socket
import threading
import time
from collections.abc import Callable, Iterable
from contextlib import suppress
from typing import Any, TypeVar

from residua.errors import PeerFailedError, PeerLostError

T = TypeVar("T")

Address = tuple[str, int]
"""Host name and process id."""

READ_SECONDS = 2.0
"""Wait of a process that lost its connections for the error of the others: none comes from a killed one."""
STORE_SECONDS = 5.0
"""Limit of a request to the store, which a stopped rank 0 never answers."""
_TORCH_MESSAGES = re.compile(r"gloo|NCCL|[Cc]onnection|[Tt]imed? ?out|[Bb]roken pipe|store|socket")
"""What torch writes into a plain RuntimeError when another process does not answer."""
_SOURCE_FILE = re.compile(r"^\[[^]]*\] ")
"""The C++ source file with which such a message begins."""


def own_address() -> Address:
    """The address of this process."""
    return socket.gethostname(), os.getpid()


def wake_stopped(addresses: Iterable[Address]) -> None:
    """Send SIGCONT to the other processes on this machine; it changes nothing for one that runs."""
    host, own = own_address()
    if (wake := getattr(signal, "SIGCONT", None)) is None:  # Windows stops no processes
        return
    for other_host, process in addresses:
        if other_host == host and process != own:
            with suppress(OSError):  # it has ended
                os.kill(process, wake)


def propagate_failure(error: Exception, store: Any, *, rank: int, size: int, seconds: float) -> Exception:
    """Pass `error` on to the other processes, and return what this process raises.

    Args:
        error: What was raised in this process.
        store: The store of the group.
        rank: Number of this process.
        size: Number of processes.
        seconds: Time-out of a collective operation, after which the others read the store.

    Returns:
        `error` itself; or the PeerFailedError of the process that failed first; or PeerLostError when
        another process died or stalls without an error.
    """
    classes = tuple(kind.__name__ for kind in type(error).__mro__)
    is_lost = isinstance(error, PeerFailedError) or _is_lost_connection(error, classes)
    try:
        call_within(STORE_SECONDS, lambda: store.check(["error"]))
        if not is_lost:
            store.compare_set("error", "", json.dumps([rank, classes, str(error)]))
        elif wait_until(lambda: store.check(["error"]), seconds=READ_SECONDS):
            error = failure_in(store, silent=rank > 0)
        silent = _leave(store, error, rank=rank, size=size, own=not is_lost, seconds=seconds + STORE_SECONDS)
    except Exception:  # the store ended with rank 0, or does not answer
        silent = False
    if silent:
        return PeerFailedError(classes, str(error), silent=True)
    if is_lost and not isinstance(error, PeerFailedError):
        reason = _SOURCE_FILE.sub("", str(error).splitlines()[0]).partition(". ")[0]
        return PeerLostError(
            f"another process of this run died or stalls ({reason}): `residua resume` continues it"
        )
    return error


def _leave(store: Any, error: Exception, *, rank: int, size: int, own: bool, seconds: float) -> bool:
    """Wait until the others know `error`; True when rank 0 raises the `own` error of this process."""
    if rank == 0:
        store.set("read", "")
    reported = rank > 0 and own and wait_until(lambda: store.check(["read"]), seconds=seconds)
    store.add("left", 1)
    if rank == 0:
        peer_is_gone = isinstance(error, PeerLostError) or not (own or isinstance(error, PeerFailedError))
        wait_until(lambda: store.add("left", 0) == size, seconds=READ_SECONDS if peer_is_gone else seconds)
    return bool(reported)


def _is_lost_connection(error: Exception, classes: tuple[str, ...]) -> bool:
    return "DistError" in classes or (
        type(error) is RuntimeError and bool(_TORCH_MESSAGES.search(str(error)))
    )


def call_within(seconds: float, request: Callable[[], T]) -> T:
    """What `request` returns.

    Raises:
        PeerLostError: It takes longer: a stopped process 0 answers no request.
    """
    results: list[T] = []
    errors: list[Exception] = []

    def run() -> None:
        try:
            results.append(request())
        except Exception as error:
            errors.append(error)

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    thread.join(seconds)
    if errors:
        raise errors[0]
    if not results:
        raise PeerLostError(
            f"process 0 of this run did not answer for {seconds:g} s: `residua resume` continues it"
        )
    return results[0]


def failure_in(store: Any, *, silent: bool = True) -> PeerFailedError:
    """The error that a process wrote to `store`."""
    rank, classes, text = json.loads(store.get("error"))
    return PeerFailedError(tuple(classes), f"process {rank}: {text}" if rank else text, silent=silent)


def wait_until(condition: Callable[[], bool], *, seconds: float) -> bool:
    """Wait until `condition` is true, at most so many seconds; whether it is."""
    limit = time.monotonic() + seconds
    while not (is_true := condition()) and time.monotonic() < limit:
        time.sleep(0.02)
    return is_true
